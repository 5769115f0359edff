import { dataError, type Label } from "../core/mod.ts";
import { type AskedRow, HUMAN } from "./_audit_sheet.ts";

/** What a human may type, in full or by its first letter. */
const ANSWERS: Readonly<Record<string, string>> = {
  y: "y",
  yes: "y",
  n: "n",
  no: "n",
  u: "u",
  undecided: "u",
  b: "back",
  back: "back",
  q: "quit",
  quit: "quit",
};

const HELP =
  "y: the answer is correct; n: it is wrong; u: cannot say; back: the row before; quit: go on later";

/** How the rows are asked about. */
export interface AuditTalk {
  /** In the order in which they are asked. */
  readonly rows: readonly AskedRow[];
  /** What was said so far, by id; grows. */
  readonly said: Map<string, Label>;
  /** Shows a line. */
  say(text: string): void;
  /** What the human types next; undefined at the end of it. */
  next(): Promise<string | undefined>;
  /** Keeps an answer, before the next row is shown. */
  save(): Promise<void>;
  /** Whether a line that is no answer ends it, as in a pipe, where those behind it would belong to other rows. */
  readonly strict: boolean;
}

/** Asks about every row that was not judged yet, until all are or the human leaves. */
export async function askHuman({ rows, said, say, next, save, strict }: AuditTalk): Promise<void> {
  const open = (from: number) => rows.findIndex(({ id }, index) => index >= from && !said.has(id));
  let at = open(0), taken = 0;
  if (at >= 0) say(`Is the model's answer correct? ${HELP}.`);
  while (at >= 0) {
    const row = rows[at];
    say(`\n[${at + 1}/${rows.length}]\n${shown(row)}`);
    if (said.has(row.id)) say(`You said: ${word(said.get(row.id)!)}.`);
    const typed = await next();
    if (typed === undefined) return;
    taken++;
    const answer = ANSWERS[typed.trim().toLowerCase()];
    if (answer === "quit") return;
    if (answer === "back") {
      if (at === 0) say("This is the first row.");
      at = Math.max(0, at - 1);
    } else if (answer !== undefined) {
      said.set(row.id, HUMAN.get(answer)!);
      await save();
      say(`The labeler says: ${word(row.label)}.`);
      at = open(at + 1) >= 0 ? open(at + 1) : open(0);
    } else if (strict) {
      throw dataError(
        `${JSON.stringify(typed.slice(0, 60))} is not an answer`,
        `standard input, answer ${taken}`,
        `give one a line (${HELP}); what came before it is kept`,
      );
    } else say(HELP);
  }
}

function shown({ question, target, answer }: AskedRow): string {
  const part = (title: string, text: string) =>
    `${title}\n${(text.trim() || "(nothing)").replace(/^/gm, "  ")}`;
  return [part("Question", question), part("Right answer", target), part("Model's answer", answer)].join(
    "\n",
  );
}

const word = (label: Label) => label === null ? "undecided" : label === 1 ? "correct" : "wrong";
