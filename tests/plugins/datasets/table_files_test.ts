import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "@credence/credence";
import { findFiles, groupBySplit, splitNamed } from "../../../plugins/datasets/table_files.ts";
import { withFolder, writeFiles } from "../_folders.ts";

Deno.test("splitNamed() knows the usual names of splits", () => {
  assertEquals(["Train", "dev", "val", "valid", "eval", "other", ""].map(splitNamed), [
    "train",
    "validation",
    "validation",
    "validation",
    "test",
    undefined,
    undefined,
  ]);
});

for (
  const [paths, expected] of [
    [["train.csv", "dev.csv", "test.csv", "README.csv"], {
      train: ["train.csv"],
      validation: ["dev.csv"],
      test: ["test.csv"],
    }],
    [["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet"], {
      train: ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
    }],
    [["test/0.csv", "train/0.csv"], { train: ["train/0.csv"], test: ["test/0.csv"] }],
    [["test_data/train.csv"], { train: ["test_data/train.csv"] }],
    [["quiz_val.csv", "quiz_validation.csv"], { validation: ["quiz_validation.csv"] }],
    [["latest.csv", "trainer.csv", "contest.csv"], {}],
  ] as const
) {
  Deno.test(`groupBySplit() sorts ${paths.join(", ")}`, () => {
    assertEquals(groupBySplit(paths), expected as unknown);
  });
}

/** Splits with the paths of their files within the folder. */
const find = (files: readonly string[], argument: string, format: "csv" | "jsonl" | "parquet" = "csv") =>
  withFolder(async (folder) => {
    await writeFiles(folder, Object.fromEntries(files.map((name) => [name, ""])));
    const found = await findFiles(argument.replaceAll("@", folder), format);
    return Object.fromEntries(
      Object.entries(found).map(([split, files]) => [
        split,
        files.map(({ name, format }) => `${name.replace(`${folder}/`, "")} ${format}`),
      ]),
    );
  });

Deno.test("findFiles() finds the files of a format in a folder, compressed ones and those with tabs too", async () => {
  const files = ["train.csv.gz", "sub/dev.tsv", "test.jsonl", ".git/test.csv", "notes.txt"];
  assertEquals(await find(files, "@"), { train: ["train.csv.gz csv"], validation: ["sub/dev.tsv tsv"] });
  assertEquals(await find(files, "@", "jsonl"), { test: ["test.jsonl jsonl"] });
});

Deno.test("findFiles() takes one file for the split that its name says, else for the test split", async () => {
  assertEquals(await find(["quiz.csv"], "@/quiz.csv"), { test: ["quiz.csv csv"] });
  assertEquals(await find(["train.csv"], "@/train.csv"), { train: ["train.csv csv"] });
  assertEquals(await find(["quiz.data"], "@/quiz.data"), { test: ["quiz.data csv"] });
});

Deno.test("findFiles() takes files by split, as they are named", async () => {
  assertEquals(await find(["a=1.csv", "b.csv"], "train=@/b.csv,dev=@/a=1.csv"), {
    train: ["b.csv csv"],
    validation: ["a=1.csv csv"],
  });
});

Deno.test({
  name: "A device, which never ends, is refused before it is read",
  ignore: Deno.build.os === "windows",
  async fn() {
    const { test } = await findFiles("/dev/zero", "csv");
    const error = await assertRejects(() => test![0].locate(), UserError);
    assertEquals([error.what, error.where], ["It is not a file", "/dev/zero"]);
  },
});

for (
  const [what, files, argument, message, fix] of [
    ["a file that is not there", [], "@/a.csv", "There is no file", "check the path"],
    ["a folder without such files", ["train.jsonl"], "@", "There is no csv file in the folder", "train.csv"],
    [
      "a folder whose files do not say their split",
      ["quiz.csv"],
      "@",
      "No file is named by a split",
      "csv:test=<path>",
    ],
    [
      "a split that is named twice",
      ["a.csv"],
      "dev=@/a.csv,val=@/a.csv",
      "The validation split is named twice",
      "csv:train=",
    ],
    ["a name that is no split", ["a.csv"], "tests=@/a.csv", "is no split with its file", "csv:train="],
  ] as const
) {
  Deno.test(`findFiles() refuses ${what}`, async () => {
    const error = await assertRejects(() => find(files, argument), UserError);
    assertStringIncludes(error.what, message);
    assertStringIncludes(error.fix, fix);
  });
}
