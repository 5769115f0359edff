import { answerText, type PromptStyle, renderPrompt } from "../../core/mod.ts";

/** Open-ended: the model writes the answer itself. */
export const oe: PromptStyle = {
  kind: "prompt-style",
  name: "oe",
  version: 1,
  description: "Open-ended: the model writes the answer itself",
  defaults: {},
  maxNewTokens: 30,
  render: (question, shots) =>
    renderPrompt(question, shots, "oe", { context: "Question: {question}" }, (asked) => ({
      suffix: "",
      target: answerText(asked),
    })),
  cleanUp: firstLine,
  // Were the line still open, a letter more would be part of the answer.
  isComplete: (output) => firstLine(`${output}x`) === firstLine(output),
};

/** The seed's clean-up: the first line that says something; and no blanks around it. */
function firstLine(output: string): string {
  return output.replaceAll("\n\n", "\n").replaceAll(":\n", ":").replace(/^\n+|\n+$/g, "").split("\n")[0]
    .trim();
}
