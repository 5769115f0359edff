import { answerOf as readAnswer, type DatasetSpec, text } from "../spec.ts";

const TAIL = "Now, resolve the next ambiguity.";

/** WinoGrande (Sakaguchi et al. 2020), the largest of its training sets. Its test split has no answers. */
export const winogrande: DatasetSpec = {
  name: "winogrande",
  description: "WinoGrande: which of two words fills a blank?",
  home: "https://huggingface.co/datasets/allenai/winogrande",
  licence: "unknown",
  source: { repo: "allenai/winogrande", config: "winogrande_xl" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 40_398, validation: 1267 },
  shots: "train",
  fields: (row) => {
    const sentence = text(row, "sentence"), options = [text(row, "option1"), text(row, "option2")];
    const [filled1, filled2] = options.map((option) => sentence.replaceAll("_", () => option));
    return {
      question: sentence,
      texts: { filled1, filled2 },
      choices: options,
      answer: readAnswer(row, { column: "answer", form: "number" }, 2),
    };
  },
  wording: {
    choice: {
      context: "Sentence:\n{question}",
      header: "The following are ambiguous sentences (with answer choices).",
      tail: TAIL,
    },
    oe: {
      context:
        'Fill in the blank "_" in the following sentence from the following choices. Respond with only "1" or ' +
        '"2" and no additional text.\nSentence: {question}\n  Choice 1: {filled1}\n  Choice 2: {filled2}',
      header: "The following are ambiguous sentences (with answers).",
      tail: TAIL,
      numbered: true,
    },
  },
};
