import type { DatasetSpec } from "../spec.ts";
import { NLI_FIELDS, NLI_LABELLED, NLI_WORDING } from "./snli.ts";

/** The rounds of Adversarial NLI (Nie et al. 2020). */
export const anli: readonly DatasetSpec[] = [1, 2, 3].map((round) => ({
  name: `anli_r${round}`,
  description: `Adversarial NLI, round ${round}: does a premise entail a hypothesis?`,
  home: "https://huggingface.co/datasets/facebook/anli",
  licence: "CC-BY-NC-4.0",
  source: { repo: "facebook/anli" },
  splits: { train: `train_r${round}`, test: `test_r${round}` },
  shots: `dev_r${round}`,
  fields: NLI_FIELDS,
  keep: NLI_LABELLED,
  wording: NLI_WORDING,
}));
