import { answerText, type Prompt, type PromptStyle, renderPrompt } from "../../core/mod.ts";

/** Open-ended: the model writes the answer itself. */
export const oe: PromptStyle = {
  kind: "prompt-style",
  name: "oe",
  version: 2,
  description: "Open-ended: the model writes the answer itself",
  defaults: {},
  maxNewTokens: 30,
  render: (question, shots) =>
    renderPrompt(question, shots, "oe", { context: "Question: {question}" }, (asked) => ({
      suffix: "",
      target: answerText(asked),
    })),
  cleanUp: (output, _, prompt) => answerIn(output, prompt),
  // Were it still open, a letter more would be part of the answer.
  isComplete: (output, _, prompt) => answerIn(`${output}x`, prompt) === answerIn(output, prompt),
};

/** The first line; where the right answer is worked out over several, all up to an empty one, as worked examples are. */
function answerIn(output: string, prompt?: Prompt): string {
  return prompt?.target.includes("\n") ? firstParagraph(output) : firstLine(output);
}

/** The seed's clean-up: the first line that says something; and no blanks around it. */
function firstLine(output: string): string {
  return output.replaceAll("\n\n", "\n").replaceAll(":\n", ":").replace(/^\n+|\n+$/g, "").split("\n")[0]
    .trim();
}

function firstParagraph(output: string): string {
  return output.trimStart().split(/\n[^\S\n]*\n/)[0].trim();
}
