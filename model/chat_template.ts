/**
 * Renders a chat as the text that a model was tuned on, with the Jinja template that comes with it.
 *
 * A template is a stranger's program. The library that runs it (`@huggingface/jinja`) reaches nothing outside, but has
 * no limits, so each of its steps is counted here. Not bounded is what a single step may take: one filter may build a
 * text of up to V8's largest, half a gigabyte, before the text is refused.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { dataError } from "../core/files.ts";
import type { ChatMessage, ChatOptions } from "../core/types.ts";

/** Real templates have some 10,000 characters, take some 50 steps a message, and give texts a model can read. */
const LIMITS = { template: 2 ** 16, steps: 2_000_000, text: 2 ** 24, items: 2 ** 17 };

/** Renders a chat; `now` is for templates that name the date. */
export type ChatTemplate = (messages: readonly ChatMessage[], options?: ChatOptions, now?: Date) => string;

/**
 * Reads a template.
 *
 * @param source Jinja, as transformers understands it
 * @param tokens what the template knows by name, such as `bos_token`
 * @param path the file it is from, for messages
 * @throws {UserError} of kind `data` if it is no Jinja; rendering throws it too if the template refuses the chat, fails,
 * or would not end soon
 */
export function compileChatTemplate(
  source: string,
  tokens: Readonly<Record<string, string>>,
  path: string,
): ChatTemplate {
  if (source.length > LIMITS.template) {
    throw refusal(`The chat template has ${source.length} characters, of at most ${LIMITS.template}`, path);
  }
  const program = attempt(
    "is not one that can be read",
    path,
    () => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })),
  );
  return (messages, { addGenerationPrompt = true } = {}, now = new Date()) =>
    attempt("fails", path, () => {
      if (messages.length === 0) throw new Refusal("needs a chat of at least one message");
      const variables = {
        ...tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
        // As transformers has it: defined, and none.
        tools: null,
        documents: null,
      };
      return String(new BoundedInterpreter(globals(variables, now)).run(program).value);
    });
}

/** A limit that was met, or what the template itself says against a chat. */
class Refusal extends Error {}

/** Does something, and says of the template what went wrong. */
function attempt<T>(what: string, path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof Refusal) throw refusal(`The chat template ${error.message}`, path, error);
    const reason = error instanceof Error ? error.message : String(error);
    throw refusal(`The chat template ${what}: ${reason}`, path, error);
  }
}

function refusal(what: string, path: string, cause?: unknown): Error {
  return dataError(what, path, "change the chat, or give the model another chat template", cause);
}

/** What every template knows, and what this one is given. */
function globals(variables: Readonly<Record<string, unknown>>, now: Date): Environment {
  const environment = new Environment();
  const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
  const functions = {
    range,
    raise_exception: (message: unknown) => {
      throw new Refusal(`refuses this chat: ${message}`);
    },
    strftime_now: (format: unknown) => strftime(now, String(format)),
  };
  for (const [name, value] of Object.entries({ ...constants, ...functions, ...variables })) {
    environment.set(name, value);
  }
  return environment;
}

/** Python's, but for its length. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LIMITS.items)) throw new Refusal(`counts to ${length}, of at most ${LIMITS.items}`);
  return Array.from({ length }, (_, index) => start + index * step);
}

const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's, in English whatever the machine speaks; what it does not know it leaves as it is. */
function strftime(now: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const month = MONTHS[now.getMonth()], day = DAYS[now.getDay()];
  const parts: Readonly<Record<string, string>> = {
    Y: String(now.getFullYear()),
    y: two(now.getFullYear() % 100),
    m: two(now.getMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(now.getDate()),
    A: day,
    a: day.slice(0, 3),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (code, letter) => parts[letter] ?? code);
}

type Node = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;

/** What is read of a node here, whatever its kind. */
interface Block {
  readonly type: string;
  readonly test: Node;
  readonly body: readonly Node[];
  readonly alternate: readonly Node[];
  readonly defaultBlock: readonly Node[];
}

/** The body of a loop that is under way. */
interface LoopBody {
  readonly type: "LoopBody";
  readonly body: readonly Node[];
  /** Whether it was left by a break. */
  left: boolean;
  /** Whether an iteration came to its end. */
  completed: boolean;
}

/** A `continue` or `break` on its way to its loop, with the text that was written before it. */
class LoopControl extends Error {
  text = "";

  constructor(readonly leaves: boolean) {
    super("outside of a loop");
  }
}

/** Counts steps, and keeps what an iteration wrote before `continue` or `break`, which the library loses. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;

  override evaluate(node: Node, environment: Environment): Value {
    this.#spend(1);
    const value = this.#evaluate(node, environment);
    const content: unknown = value.value;
    if (typeof content === "string") {
      this.#spend(content.length / 64, content.length, LIMITS.text, "characters");
    } else if (Array.isArray(content)) {
      this.#spend(content.length / 16, content.length, LIMITS.items, "items");
    }
    return value;
  }

  #spend(steps: number, size = 0, most = 0, unit = ""): void {
    if (size > most) throw new Refusal(`makes a value of ${size} ${unit}, of at most ${most}`);
    this.#steps += steps;
    if (this.#steps > LIMITS.steps) throw new Refusal(`takes more than ${LIMITS.steps} steps`);
  }

  #evaluate(node: Node, environment: Environment): Value {
    const block = node as unknown as Block | undefined;
    switch (block?.type) {
      case "For":
        return textValue(this.#loop(block, environment));
      case "LoopBody":
        return textValue(this.#iteration(node as unknown as LoopBody, environment));
      case "If": {
        const branch = this.evaluate(block.test, environment).__bool__().value ? block.body : block.alternate;
        return textValue(this.#block(branch, environment));
      }
      case "Continue":
      case "Break":
        throw new LoopControl(block.type === "Break");
      default:
        return super.evaluate(node, environment);
    }
  }

  /** The `else` of a loop is for when no iteration came to its end, as in Jinja. */
  #loop(block: Block, environment: Environment): string {
    const loop: LoopBody = { type: "LoopBody", body: block.body, left: false, completed: false };
    const bounded = { ...block, body: [loop], defaultBlock: [] } as unknown as Node;
    const text = super.evaluate(bounded, environment).toString();
    return loop.completed ? text : text + this.#block(block.defaultBlock, environment);
  }

  #iteration(loop: LoopBody, environment: Environment): string {
    // The library goes on to the other items of a loop that was left.
    if (loop.left) return "";
    try {
      const text = this.#block(loop.body, environment);
      loop.completed = true;
      return text;
    } catch (error) {
      if (!(error instanceof LoopControl)) throw error;
      loop.left = error.leaves;
      return error.text;
    }
  }

  #block(nodes: readonly Node[], environment: Environment): string {
    let text = "";
    for (const node of nodes) {
      try {
        const value = this.evaluate(node, environment);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") text += value.toString();
      } catch (error) {
        if (error instanceof LoopControl) error.text = text + error.text;
        throw error;
      }
    }
    return text;
  }
}

/** The library does not export the class of its texts. */
function textValue(text: string): Value {
  return new Environment().set("text", text);
}
