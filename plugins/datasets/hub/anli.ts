import type { DatasetSpec } from "../spec.ts";
import { NLI_FIELDS, NLI_LABELLED, NLI_WORDING } from "./snli.ts";

/** Rows of the rounds. */
const ROWS: Readonly<Record<number, DatasetSpec["rows"]>> = {
  1: { train: 16_946, test: 1000 },
  2: { train: 45_460, test: 1000 },
  3: { train: 100_459, test: 1200 },
};

/** The rounds of Adversarial NLI (Nie et al. 2020). */
export const anli: readonly DatasetSpec[] = [1, 2, 3].map((round) => ({
  name: `anli_r${round}`,
  description: `Adversarial NLI, round ${round}: does a premise entail a hypothesis?`,
  home: "https://huggingface.co/datasets/facebook/anli",
  licence: "CC-BY-NC-4.0",
  source: { repo: "facebook/anli" },
  splits: { train: `train_r${round}`, test: `test_r${round}` },
  rows: ROWS[round],
  shots: `dev_r${round}`,
  fields: NLI_FIELDS,
  keep: NLI_LABELLED,
  wording: NLI_WORDING,
}));
