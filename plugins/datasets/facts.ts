import {
  dataError,
  type Dataset,
  hashFile,
  type Question,
  readText,
  type Split,
  SPLITS,
} from "../../core/mod.ts";

const FOLDER = new URL("../../assets/facts/questions/", import.meta.url);

/** Questions about a made-up world, of which the embedded model `facts` knows some and not others. */
export const facts: Dataset = {
  kind: "dataset",
  name: "facts",
  version: 1,
  description: "Questions about a made-up world that the embedded model knows in part",
  defaults: {},
  tags: ["train", "eval"],
  splits: ["train", "validation", "test"],
  async *read(split) {
    yield* await readQuestions(split);
  },
  shotPool: () => readQuestions("train"),
  revision: async () =>
    (await Promise.all(SPLITS.map((split) => hashFile(new URL(`${split}.jsonl`, FOLDER))))).join(" "),
};

async function readQuestions(split: Split): Promise<readonly Question[]> {
  const url = new URL(`${split}.jsonl`, FOLDER);
  const lines = (await readText(url)).trimEnd().split("\n");
  return lines.map((line, index) => {
    try {
      return { ...JSON.parse(line), split } as Question;
    } catch (error) {
      throw dataError(
        "Not a JSON line",
        `${url.pathname}:${index + 1}`,
        "restore the file from the repository",
        error,
      );
    }
  });
}
