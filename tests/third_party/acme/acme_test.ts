import {
  testDataset,
  testLabeler,
  testMethod,
  testMetric,
  testModelFamily,
} from "@credence/credence/testing";
import { testPromptStyle } from "@credence/credence/testing";
import { colours } from "./colours.ts";
import { exactMatch } from "./exact_match.ts";
import { firstWord } from "./first_word.ts";
import { quiz } from "./quiz.ts";
import { renamedLlama } from "./renamed_llama.ts";
import { sharpness } from "./sharpness.ts";

testDataset(colours, { rows: { train: 3, validation: 1, test: 2 } });

testPromptStyle(quiz, {
  renders: [{
    question: { id: "sky", split: "test", question: "What colour has the sky?", answer: "blue" },
    shots: [{ id: "snow", split: "train", question: "What colour has snow?", answer: "white" }],
    text: "The following are questions (with answers).\n\nQ: What colour has snow?\nA: white\n\n" +
      "Now, answer the next question.\n\nQ: What colour has the sky?\nA:",
    target: "blue",
  }],
  cleans: [[" blue\nQ: What", "blue"], ["", ""]],
});

testLabeler(exactMatch, {
  correct: [{ answer: " Blue", target: "blue" }],
  wrong: [{ answer: "sky blue", target: "blue" }],
  undecided: [{ answer: " ", target: "blue" }],
});

testLabeler(exactMatch, {
  options: { caseSensitive: true },
  correct: [{ answer: "blue ", target: "blue" }],
  wrong: [{ answer: "Blue", target: "blue" }],
});

testMetric(sharpness, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 1 },
    { pairs: [[1, 0.5]], expected: 0 },
    { pairs: [[0, 0.75], [1, 0.25]], expected: 0.5 },
  ],
});

testMethod(firstWord);

testModelFamily(renamedLlama, {
  describes: [{
    config: {
      model_type: "acme-llama",
      n_layers: 3,
      hidden_size: 64,
      intermediate_size: 128,
      num_attention_heads: 4,
      vocab_size: 100,
      max_position_embeddings: 256,
    },
    expected: {
      layers: 3,
      width: 64,
      heads: 4,
      kvHeads: 4,
      headDim: 16,
      feedForward: 128,
      vocabulary: 100,
      contextLength: 256,
      normEpsilon: 1e-6,
      ropeTheta: 10000,
      tiedEmbeddings: false,
    },
  }],
  refuses: [{ config: { model_type: "acme-llama", n_layers: 3, hidden_act: "gelu" }, message: "hidden_act" }],
});
