import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Question, UserError } from "@credence/credence";
import { tables } from "../../../plugins/datasets/table.ts";
import { findHubTables } from "../../../plugins/datasets/table_hub.ts";
import { COMMIT, FakeHub } from "../../core/hub/_fake_hub.ts";
import { all, withEnvironment, withFolder } from "../_folders.ts";
import { recorded } from "./tables/_golden.ts";

const hf = tables.find(({ name }) => name === "hf")!;

/**
 * Works with a Hub whose repository `acme/quiz` has these files, and `acme/old` the same without what the Hub makes of
 * them.
 */
async function withHub<T>(files: readonly string[], work: (hub: FakeHub) => Promise<T>): Promise<T> {
  const bytes = await recorded("zstd");
  const csv = 'question,choices,answer\nWhich?,"[""red"",""blue""]",blue\n';
  return await withFolder(async (folder) => {
    await using hub = new FakeHub();
    hub.repositories["acme/quiz"] = {
      type: "dataset",
      files: Object.fromEntries(files.map((path) => [path, path.endsWith(".parquet") ? bytes : csv])),
    };
    const environment = { HF_HOME: folder, HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "" };
    return await withEnvironment(environment, () => work(hub));
  });
}

const splitsOf = async (argument: string) => {
  const { files, revision } = await findHubTables(argument);
  return [
    revision,
    Object.fromEntries(Object.entries(files).map(([split, list]) => [split, list.map(({ name }) => name)])),
  ];
};

const PLACE = `hf:acme/quiz@${COMMIT.slice(0, 7)}`;

Deno.test("hf finds the splits of the only configuration, under their own names before others", async () => {
  const files = [
    "main/train/0000.parquet",
    "main/dev/0000.parquet",
    "main/validation/0000.parquet",
    "main/extra/0.parquet",
  ];
  await withHub(files, async () => {
    assertEquals(await splitsOf("acme/quiz"), [`acme/quiz@${COMMIT}`, {
      train: [`${PLACE}/main/train/0000.parquet`],
      validation: [`${PLACE}/main/validation/0000.parquet`],
    }]);
  });
});

Deno.test("hf takes the configuration that is named, or the one called default", async () => {
  await withHub(["a/test/0000.parquet", "default/test/0000.parquet"], async () => {
    assertEquals((await splitsOf("acme/quiz:a"))[1], { test: [`${PLACE}/a/test/0000.parquet`] });
    assertEquals((await splitsOf("acme/quiz"))[1], { test: [`${PLACE}/default/test/0000.parquet`] });
  });
});

Deno.test("hf finds the repository's own files where the Hub has made no Parquet of all of them", async () => {
  await withHub(["data/train.csv", "data/test.csv", "README.md"], async () => {
    const own = { train: [`${PLACE}/data/train.csv`], test: [`${PLACE}/data/test.csv`] };
    assertEquals((await splitsOf("acme/quiz"))[1], own);
    assertEquals((await splitsOf("acme/quiz:data"))[1], own);
  });
  await withHub(["x/partial-train/0000.parquet", "x/train-00000-of-00001.parquet"], async () => {
    assertEquals((await splitsOf("acme/quiz@main"))[1], {
      train: [`${PLACE}/x/partial-train/0000.parquet`, `${PLACE}/x/train-00000-of-00001.parquet`],
    });
  });
});

for (
  const [what, files, argument, message, fix] of [
    [
      "several configurations of which none is named",
      ["a/test/0.parquet", "b/test/0.parquet"],
      "acme/quiz",
      "several configurations",
      "hf:acme/quiz:a; there are a, b",
    ],
    [
      "a configuration that is not there",
      ["a/test/0.parquet"],
      "acme/quiz:b",
      'no configuration "b"',
      "there are a",
    ],
    [
      "splits of other names",
      ["a/first/0.parquet"],
      "acme/quiz",
      "no split called train",
      "parquet:test=<path>",
    ],
    [
      "a repository without tables",
      ["README.md"],
      "acme/quiz",
      "no Parquet, JSON Lines or CSV file",
      "dataset's page",
    ],
    ["a repository that is not there", [], "acme/none", "", "check"],
    ["a name that is none", [], "acme//x", "Not a name on the Hugging Face Hub", "hf:owner/name"],
  ] as const
) {
  Deno.test(`hf refuses ${what}`, async () => {
    await withHub(files, async () => {
      const error = await assertRejects(() => findHubTables(argument), UserError);
      assertStringIncludes(error.what, message);
      assertStringIncludes(error.fix, fix);
    });
  });
}

Deno.test("hf downloads the wanted split only, and finds it again offline", async () => {
  await withHub(["main/train/0000.parquet", "main/test/0000.parquet"], async (hub) => {
    const request = {
      argument: "acme/quiz",
      options: { fields: "question=question,answer=share,id=answers.of.row" },
    };
    const read = () => all(hf.read!("test", request)) as Promise<Question[]>;
    const online = await read();
    assertEquals([online.length, online[3].id, online[3].answer], [60, "hf/3", "0.375"]);
    assertEquals(await hf.revision!(request), `acme/quiz@${COMMIT}`);
    assertEquals(hub.requestsFor("main/train/0000.parquet"), []);
    const seen = hub.seen.length;
    assertEquals(await withEnvironment({ HF_HUB_OFFLINE: "1" }, read), online);
    assertEquals(hub.seen.length, seen);
    const train = () => all(hf.read!("train", request));
    const error = await withEnvironment({ HF_HUB_OFFLINE: "1" }, () => assertRejects(train, UserError));
    assertStringIncludes(error.what, "HF_HUB_OFFLINE forbids to download");
  });
});
