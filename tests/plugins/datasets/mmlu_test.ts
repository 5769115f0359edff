import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import {
  type DatasetRequest,
  mmlu,
  mmluAll,
  type Question,
  type Split,
  UserError,
  writeCsv,
} from "@credence/credence";
import { testDataset } from "@credence/credence/testing";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";
import { FakeHub } from "../../core/hub/_fake_hub.ts";
import anatomy from "../../golden/prompts/mmlu__anatomy.json" with { type: "json" };

type MmluRow = { question: string; choices: string[]; answer: number };

const HEADER = "question,choice0,choice1,choice2,choice3,answer\n";
const COLUMNS = ["question", "choice0", "choice1", "choice2", "choice3", "answer"];

const request = (dataDir: string, argument = "anatomy"): DatasetRequest => ({
  argument,
  options: {},
  dataDir,
});

const read = (split: Split, asked: DatasetRequest) => all(mmlu.read!(split, asked)) as Promise<Question[]>;

/** Writes the splits of one subject as CSV files. */
async function writeSubject(
  folder: string,
  subject: string,
  rows: Readonly<Record<string, readonly MmluRow[]>>,
): Promise<void> {
  for (const [split, list] of Object.entries(rows)) {
    const flat = list.map(({ question, choices, answer }) => ({
      question,
      ...Object.fromEntries(choices.map((text, index) => [`choice${index}`, text])),
      answer,
    }));
    await writeCsv(`${folder}/${split}/${subject}_${split}.csv`, COLUMNS, flat);
  }
}

/** Runs with the Hugging Face cache at a folder, so that this machine's own does not matter. */
async function withHubCache<T>(cache: string, work: () => Promise<T>): Promise<T> {
  return await withEnvironment({ HF_HUB_CACHE: cache, HF_HUB_OFFLINE: "1" }, work);
}

const withoutHubCache = (work: (folder: string) => Promise<void>) => () =>
  withFolder((folder) => withHubCache(`${folder}/no cache`, () => work(folder)));

/** A hub cache as huggingface_hub lays it out; `files` are names of recorded files by split. */
async function writeHubCache(
  folder: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const repository = "datasets--cais--mmlu";
  await writeFiles(folder, { [`${repository}/refs/main`]: "c30699e\n" });
  for (const [split, name] of Object.entries(files)) {
    const golden = new URL(`../../golden/mmlu_parquet/${name}.parquet`, import.meta.url);
    await writeFiles(folder, {
      [`${repository}/snapshots/c30699e/anatomy/${split}-00000-of-00001.parquet`]: await Deno.readFile(
        golden,
      ),
    });
  }
}

Deno.test("mmlu asks for five worked examples when the user names no number", () => {
  assertEquals(mmlu.evalKshot, 5);
});

Deno.test("mmlu and mmlu_all are for evaluation only", () => {
  assertEquals([mmlu.tags, mmluAll.tags], [["eval"], ["eval"]]);
});

// Local folders.

Deno.test("mmlu reads <data-dir>/test/<subject>_test.csv, keeping quotes, commas and line feeds", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, {
      "test/anatomy_test.csv": `${HEADER}"Is it ""so"",\nor not?",a,b,"c, d",e,2\n`,
    });
    const [question] = await read("test", request(folder));
    assertEquals(question.id, "mmlu:anatomy/test/0");
    assertEquals(question.question, 'Is it "so",\nor not?');
    assertEquals(question.choices, ["a", "b", "c, d", "e"]);
    assertEquals([question.answer, question.group, question.split], [2, "anatomy", "test"]);
  }));

Deno.test("mmlu reads <data-dir>/mmlu/test/<subject>_test.csv as well", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "mmlu/test/anatomy_test.csv": `${HEADER}q?,a,b,c,d,0\n` });
    assertEquals((await read("test", request(folder))).length, 1);
  }));

Deno.test("mmlu takes its worked examples from dev, which no split yields", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, {
      "dev/anatomy_dev.csv": `${HEADER}shown?,a,b,c,d,0\n`,
      "test/anatomy_test.csv": `${HEADER}asked?,a,b,c,d,0\n`,
    });
    const pool = await mmlu.shotPool!(request(folder));
    assertEquals(pool.map(({ question, id }) => [question, id]), [["shown?", "mmlu:anatomy/dev/0"]]);
    assert(!mmlu.splits.includes("train"));
  }));

for (const { answer, why } of [{ answer: "0", why: "first" }, { answer: "3", why: "last" }]) {
  Deno.test(`mmlu accepts the answer ${answer}, the ${why}`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, { "test/anatomy_test.csv": `${HEADER}q?,a,b,c,d,${answer}\n` });
      assertEquals((await read("test", request(folder)))[0].answer, Number(answer));
    }));
}

for (const answer of ["-1", "4", "1.5", "B", ""]) {
  Deno.test(`mmlu refuses the answer ${JSON.stringify(answer)}, naming file and row`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, {
        "test/anatomy_test.csv": `${HEADER}fine?,a,b,c,d,0\nq?,a,b,c,d,${answer}\n`,
      });
      const error = await assertRejects(() => read("test", request(folder)), UserError);
      assertEquals(error.what, `The answer is ${JSON.stringify(answer)}`);
      assertEquals(error.where, `${folder}/test/anatomy_test.csv, row 2`);
      assertEquals(error.kind, "data");
    }));
}

Deno.test("mmlu names the column that a file lacks", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, {
      "test/anatomy_test.csv": "question,choice0,choice1,choice2,answer\nq?,a,b,c,0\n",
    });
    const error = await assertRejects(() => read("test", request(folder)), UserError);
    assertStringIncludes(error.what, 'Column "choice3" is missing');
    assertEquals(error.kind, "data");
  }));

Deno.test(
  "mmlu says which split of which subject is not there, and where it looked",
  withoutHubCache(async (folder) => {
    const error = await assertRejects(() => read("validation", request(folder)), UserError);
    assertEquals(error.what, "The validation split of MMLU's anatomy is not on this machine");
    assertEquals(error.where, `--data-dir=${folder} and the cache of the Hugging Face Hub`);
    assertEquals(error.kind, "data");
  }),
);

Deno.test(
  "mmlu says that the worked examples are missing when only the questions are there",
  withoutHubCache(async (folder) => {
    await writeFiles(folder, { "test/anatomy_test.csv": `${HEADER}q?,a,b,c,d,0\n` });
    const error = await assertRejects(() => mmlu.shotPool!(request(folder)), UserError);
    assertStringIncludes(error.what, "The dev split of MMLU's anatomy");
  }),
);

Deno.test(
  "mmlu refuses a subject that MMLU has not, with the nearest name, when read and when identified",
  withoutHubCache(async (folder) => {
    for (
      const ask of [
        () => read("test", request(folder, "anatmy")),
        () => mmlu.revision!(request(folder, "anatmy")),
      ]
    ) {
      const error = await assertRejects(ask, UserError);
      assertEquals(error.what, 'Unknown MMLU subject "anatmy"');
      assertEquals([error.fix, error.kind], ['did you mean "anatomy"?', "usage"]);
    }
  }),
);

Deno.test("mmlu's revision changes with the questions and with the worked examples", () =>
  withFolder(async (folder) => {
    const files = {
      "dev/anatomy_dev.csv": `${HEADER}shown?,a,b,c,d,0\n`,
      "test/anatomy_test.csv": `${HEADER}asked?,a,b,c,d,0\n`,
    };
    await writeFiles(folder, files);
    const before = await mmlu.revision!(request(folder));
    await writeFiles(folder, files);
    assertEquals(await mmlu.revision!(request(folder)), before);
    for (const name of Object.keys(files)) {
      await writeFiles(folder, { ...files, [name]: `${HEADER}another?,a,b,c,d,1\n` });
      assertNotEquals(await mmlu.revision!(request(folder)), before, name);
    }
  }));

Deno.test(
  "mmlu's revision needs some split of the subject",
  withoutHubCache(async (folder) => {
    await assertRejects(() => mmlu.revision!(request(folder)), UserError, "is not on this machine");
  }),
);

// The Hugging Face cache.

Deno.test("mmlu reads Parquet files of the hub cache as it reads CSV files of the same rows", () =>
  withFolder(async (folder) => {
    await writeSubject(`${folder}/csv`, "anatomy", anatomy.rows);
    await writeHubCache(`${folder}/hub`, { dev: "dev", validation: "validation", test: "test" });
    await withHubCache(`${folder}/hub`, async () => {
      const fromHub = { argument: "anatomy", options: {} };
      for (const split of ["validation", "test"] as const) {
        assertEquals(await read(split, fromHub), await read(split, request(`${folder}/csv`)));
      }
      assertEquals(await mmlu.shotPool!(fromHub), await mmlu.shotPool!(request(`${folder}/csv`)));
      assertStringIncludes(await mmlu.revision!(fromHub), "cais/mmlu@c30699e");
    });
  }));

Deno.test("mmlu prefers --data-dir to the hub cache", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "test/anatomy_test.csv": `${HEADER}mine?,a,b,c,d,0\n` });
    await writeHubCache(`${folder}/hub`, { test: "test" });
    await withHubCache(`${folder}/hub`, async () => {
      assertEquals((await read("test", request(folder)))[0].question, "mine?");
    });
  }));

Deno.test("mmlu finds the cache under HF_HOME where HF_HUB_CACHE is not set", () =>
  withFolder(async (folder) => {
    await writeHubCache(`${folder}/hub`, { test: "test" });
    const before = Object.fromEntries(HUB_VARIABLES.map((name) => [name, Deno.env.get(name)]));
    try {
      for (const name of HUB_VARIABLES) Deno.env.delete(name);
      Deno.env.set("HF_HOME", folder);
      assertEquals((await read("test", { argument: "anatomy", options: {} })).length, 9);
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) Deno.env.delete(name);
        else Deno.env.set(name, value);
      }
    }
  }));

const HUB_VARIABLES = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"];

Deno.test("mmlu refuses a Parquet file without the answers' column", () =>
  withFolder(async (folder) => {
    await writeHubCache(folder, { test: "no_answer_column" });
    await withHubCache(folder, async () => {
      const error = await assertRejects(() => read("test", { argument: "anatomy", options: {} }), UserError);
      assertStringIncludes(error.what, "answer");
      assertEquals(error.kind, "data");
    });
  }));

Deno.test("mmlu refuses a Parquet row whose answer is null instead of taking it for the first choice", () =>
  withFolder(async (folder) => {
    await writeHubCache(folder, { test: "no_answer" });
    await withHubCache(folder, async () => {
      await assertRejects(
        () => read("test", { argument: "anatomy", options: {} }),
        UserError,
        'The answer is "null"',
      );
    });
  }));

Deno.test("mmlu refuses a Parquet file that is cut short, naming it", () =>
  withFolder(async (folder) => {
    await writeHubCache(folder, { test: "test" });
    const path = `${folder}/datasets--cais--mmlu/snapshots/c30699e/anatomy/test-00000-of-00001.parquet`;
    await Deno.truncate(path, 1000);
    await withHubCache(folder, async () => {
      const error = await assertRejects(() => read("test", { argument: "anatomy", options: {} }), UserError);
      assertStringIncludes(error.what, "Not a readable Parquet file");
      assertEquals(error.where, path);
    });
  }));

Deno.test(
  "mmlu has the splits that are in --data-dir, or all where it would be downloaded",
  withoutHubCache(async (folder) => {
    await writeFiles(folder, { "test/anatomy_test.csv": `${HEADER}q?,a,b,c,d,0\n` });
    assertEquals(await mmlu.available!(request(folder)), ["test"]);
    assertEquals(await mmlu.available!(request(folder, "virology")), ["validation", "test"]);
    const error = await assertRejects(() => read("validation", request(folder)), UserError);
    assertStringIncludes(error.fix, "validation/<subject>_validation.csv");
  }),
);

// The collection.

Deno.test(
  "mmlu_all is every subject in --data-dir, in the research code's order",
  withoutHubCache(async (folder) => {
    await writeFiles(folder, {
      "test/world_religions_test.csv": `${HEADER}q?,a,b,c,d,0\n`,
      "test/anatomy_test.csv": `${HEADER}q?,a,b,c,d,0\n`,
      "test/not_a_subject_test.csv": `${HEADER}q?,a,b,c,d,0\n`,
    });
    assertEquals(await mmluAll.expand!(request(folder, "")), ["mmlu:anatomy", "mmlu:world_religions"]);
  }),
);

Deno.test(
  "mmlu_all refuses a machine without any subject that may not download one",
  withoutHubCache(async (folder) => {
    const error = await assertRejects(() => mmluAll.expand!(request(folder, "")), UserError);
    assertStringIncludes(error.fix, "--data-dir=<folder>");
    assertEquals(error.kind, "data");
  }),
);

Deno.test("mmlu downloads the subject that is asked for, and mmlu_all names every one of them", () =>
  withFolder(async (folder) => {
    await using hub = new FakeHub();
    const bytes = await Deno.readFile(new URL("../../golden/mmlu_parquet/test.parquet", import.meta.url));
    const paths = ["anatomy", "virology"].map((task) => `${task}/test-00000-of-00001.parquet`);
    hub.repositories["cais/mmlu"] = {
      type: "dataset",
      files: Object.fromEntries(paths.map((path) => [path, bytes])),
    };
    const variables = { HF_HUB_CACHE: "", HF_HOME: folder, HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "" };
    await withEnvironment(variables, async () => {
      const asked = { argument: "anatomy", options: {} };
      assertEquals((await mmluAll.expand!({ ...asked, argument: "" })).length, 57);
      assertEquals((await read("test", asked)).length, 9);
      assertEquals(hub.requestsFor(paths[0]).length, 1);
      assertEquals(hub.requestsFor(paths[1]).length, 0);
      const error = await assertRejects(() => read("test", { ...asked, argument: "sociology" }), UserError);
      assertStringIncludes(error.what, "sociology is not on this machine, and cannot be downloaded");
    });
  }));

// The test kit.

testDataset(mmlu, {
  request: request(fileURLToPath(new URL("../../golden/mmlu/", import.meta.url))),
  rows: { validation: 2, test: 8 },
});
