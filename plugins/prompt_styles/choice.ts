import { type PromptStyle, type Question, renderPrompt, UserError } from "../../core/mod.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** Multiple choice: options (a), (b), … are listed and the model names a letter. */
export const choice: PromptStyle = {
  kind: "prompt-style",
  name: "choice",
  version: 1,
  description: "Multiple choice: the model names the letter of an option",
  defaults: {},
  maxNewTokens: 1,
  render: (question, shots) =>
    renderPrompt(question, shots, "choice", {
      context: "Question:\n{question}",
      header: "The following are questions (with multiple-choice answers).",
    }, options),
  cleanUp: (output) => output.trim(),
};

function options({ id, choices = [], answer }: Question): { suffix: string; target: string } {
  const index = typeof answer === "number" ? answer : choices.indexOf(answer);
  if (
    choices.length === 0 || choices.length > LETTERS.length || LETTERS[index] === undefined ||
    index >= choices.length
  ) {
    throw new UserError({
      kind: "data",
      what:
        `A multiple-choice question needs 1 to 26 choices and one of them as answer; it has ${choices.length}` +
        ` and ${JSON.stringify(answer)}`,
      where: `question ${id}`,
      fix: "use --prompt-style=oe, or correct the dataset",
    });
  }
  const lines = choices.map((text, number) => `\n  (${LETTERS[number]}): ${text}`);
  return { suffix: `\n\nChoices:${lines.join("")}`, target: LETTERS[index] };
}
