import { answerText, type PromptStyle, renderPrompt } from "@credence/credence";

/** Questions as on a quiz card: `Q:` and `A:`. */
export const quiz: PromptStyle = {
  kind: "prompt-style",
  name: "acme/quiz",
  version: 1,
  description: "Questions as on a quiz card",
  defaults: {},
  maxNewTokens: 10,
  render: (question, shots) =>
    renderPrompt(
      question,
      shots,
      "acme/quiz",
      { context: "Q: {question}", targetPrompt: "\nA:" },
      (asked) => ({
        suffix: "",
        target: answerText(asked),
      }),
    ),
  cleanUp: (output) => output.split("\n")[0].trim(),
};
