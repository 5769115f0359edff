/**
 * Python's regular expressions, which adapters may name layers with: whether one matches a short line.
 *
 * JavaScript's own engine will not do: there `\Z`, `[]a]` and `{,3}` mean other things, and a pattern from a stranger
 * can take exponential time. Here a pattern takes a set of places in the text to the set of places where its matches
 * may end, so time is polynomial, and bounded besides. Groups are not remembered, so a reference to one is refused.
 */

/** Makes the error for a pattern that is none, or is not implemented. */
export type RefusePattern = (what: string) => Error;

/** Steps that patterns may take, together if they share it. */
export interface StepBudget {
  left: number;
}

/** Far more than the names of any model need, and a second's work. */
export const MAX_STEPS = 20_000_000;

/** More than a list of all layers of any model, joined with `|`. */
const MAX_LENGTH = 100_000;
const MAX_DEPTH = 100;

type Node =
  | { readonly kind: "character"; readonly test: (character: string) => boolean }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "either"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly part: Node; readonly least: number; readonly most: number }
  | { readonly kind: "look"; readonly part: Node; readonly behind: boolean; readonly wanted: boolean }
  | { readonly kind: "place"; readonly test: (text: string, place: number) => boolean };

/** A pattern of Python's `re`. */
export class PythonRegex {
  readonly #root: Node;
  readonly #refuse: RefusePattern;
  readonly #budget: StepBudget;

  /** @throws what `refuse` makes, if Python would not take the pattern, or it needs what is not implemented */
  constructor(pattern: string, refuse: RefusePattern, budget: StepBudget = { left: MAX_STEPS }) {
    if (pattern.length > MAX_LENGTH) throw refuse(`the pattern has ${pattern.length} characters`);
    this.#root = new Parser(pattern, refuse).parse();
    this.#refuse = refuse;
    this.#budget = budget;
  }

  /** Python's `re.fullmatch`. */
  matches(text: string): boolean {
    return this.#advance(this.#root, new Set([0]), text).has(text.length);
  }

  /** Python's `re.match`: whether it matches from the start of the text, perhaps not to its end. */
  matchesStart(text: string): boolean {
    return this.#advance(this.#root, new Set([0]), text).size > 0;
  }

  /** Where a match may end that starts at one of the places. */
  #advance(node: Node, places: ReadonlySet<number>, text: string): ReadonlySet<number> {
    this.#budget.left -= 1 + places.size;
    if (this.#budget.left < 0) throw this.#refuse("the pattern takes too long to match");
    if (places.size === 0) return places;
    switch (node.kind) {
      case "character":
        return new Set(
          [...places].filter((at) => at < text.length && node.test(text[at])).map((at) => at + 1),
        );
      case "place":
        return new Set([...places].filter((at) => node.test(text, at)));
      case "sequence":
        return node.parts.reduce((now, part) => this.#advance(part, now, text), places);
      case "either":
        return new Set(node.parts.flatMap((part) => [...this.#advance(part, places, text)]));
      case "look":
        return new Set([...places].filter((at) => this.#looks(node, at, text) === node.wanted));
      case "repeat":
        return this.#repeat(node, places, text);
    }
  }

  #looks({ part, behind }: Node & { kind: "look" }, at: number, text: string): boolean {
    if (!behind) return this.#advance(part, new Set([at]), text).size > 0;
    for (let start = at; start >= 0; start--) {
      if (this.#advance(part, new Set([start]), text).has(at)) return true;
    }
    return false;
  }

  #repeat({ part, least, most }: Node & { kind: "repeat" }, places: ReadonlySet<number>, text: string) {
    let now = places;
    for (let count = 0; count < least; count++) {
      const next = this.#advance(part, now, text);
      if (next.size === now.size && [...next].every((at) => now.has(at))) break;
      now = next;
    }
    const all = new Set(now);
    for (let count = least; count < most && now.size > 0; count++) {
      now = new Set([...this.#advance(part, now, text)].filter((at) => !all.has(at)));
      now.forEach((at) => all.add(at));
    }
    return all;
  }
}

const isDigit = (character: string) => character >= "0" && character <= "9" && character.length === 1;
const isWord = (character: string) => /^\w$/.test(character);
const isSpace = (character: string) => /^\s$/.test(character);

/** Classes by the letter behind a backslash; the capital is the contrary. */
const CLASSES: Readonly<Record<string, (character: string) => boolean>> = {
  d: isDigit,
  w: isWord,
  s: isSpace,
  D: (character) => !isDigit(character),
  W: (character) => !isWord(character),
  S: (character) => !isSpace(character),
};

const CONTROL: Readonly<Record<string, string>> = {
  a: "\x07",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

const boundary = (text: string, at: number) =>
  (at > 0 && isWord(text[at - 1])) !== (at < text.length && isWord(text[at]));
const start = (_: string, at: number) => at === 0;
const end = (text: string, at: number) => at === text.length;

const PLACES: Readonly<Record<string, (text: string, place: number) => boolean>> = {
  A: start,
  Z: end,
  b: boundary,
  B: (text, at) => !boundary(text, at),
};

/** A recursive descent over the syntax of Python's `re`, in its own order. */
class Parser {
  readonly #pattern: string;
  readonly #refuse: RefusePattern;
  readonly #names = new Set<string>();
  #at = 0;
  #depth = 0;
  #ignoreCase = false;
  #dotAll = false;

  constructor(pattern: string, refuse: RefusePattern) {
    this.#pattern = pattern;
    this.#refuse = refuse;
  }

  parse(): Node {
    const flags = /^\(\?([aimsu]+)\)/.exec(this.#pattern);
    if (flags) {
      this.#at = flags[0].length;
      this.#ignoreCase = flags[1].includes("i");
      this.#dotAll = flags[1].includes("s");
    }
    const root = this.#alternatives();
    if (this.#at < this.#pattern.length) throw this.#refuse('the pattern has an unbalanced ")"');
    return root;
  }

  #take(text: string): boolean {
    if (!this.#pattern.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #next(): string {
    if (this.#at >= this.#pattern.length) throw this.#refuse("the pattern ends too early");
    return this.#pattern[this.#at++];
  }

  #alternatives(): Node {
    if (++this.#depth > MAX_DEPTH) throw this.#refuse("the pattern has too many groups within groups");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0] : { kind: "either", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#pattern.length && !"|)".includes(this.#pattern[this.#at])) {
      if (this.#take("(?#")) {
        while (this.#next() !== ")");
        continue;
      }
      parts.push(this.#repeated(this.#atom()));
    }
    return { kind: "sequence", parts };
  }

  #repeated(part: Node): Node {
    const counts = this.#counts();
    if (!counts) return part;
    if (part.kind === "place") throw this.#refuse("the pattern has nothing to repeat");
    if (this.#take("+")) throw this.#refuse("the pattern has a possessive quantifier");
    // Whether as much or as little as possible is taken changes the groups, not whether the whole matches.
    this.#take("?");
    if (this.#counts()) throw this.#refuse("the pattern repeats a repetition");
    const [least, most] = counts;
    if (most < least) throw this.#refuse("the pattern has a least count above the most");
    return { kind: "repeat", part, least, most };
  }

  /** Least and most of a quantifier, if one stands here. */
  #counts(): readonly [number, number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const braces = /^\{(\d*)(,?)(\d*)\}/.exec(this.#pattern.slice(this.#at, this.#at + 32));
    // What is no quantifier, as in `{}` or `{a}`, stands for itself.
    if (!braces || braces[0] === "{}") return undefined;
    this.#at += braces[0].length;
    const [, least, comma, most] = braces;
    const lower = Number(least || 0);
    return [lower, comma ? (most === "" ? Infinity : Number(most)) : lower];
  }

  #atom(): Node {
    const character = this.#next();
    if (character === "(") return this.#group();
    if (character === "[") return { kind: "character", test: this.#set() };
    if (character === ".") {
      return { kind: "character", test: this.#dotAll ? () => true : (other) => other !== "\n" };
    }
    if (character === "^") return { kind: "place", test: start };
    if (character === "$") return { kind: "place", test: end };
    this.#at--;
    if (this.#counts()) throw this.#refuse("the pattern has nothing to repeat");
    this.#at++;
    if (character !== "\\") return this.#literal(character);
    const letter = this.#pattern[this.#at] ?? "";
    if (Object.hasOwn(PLACES, letter)) return { kind: "place", test: PLACES[this.#next()] };
    const escaped = this.#escape();
    return typeof escaped === "string" ? this.#literal(escaped) : { kind: "character", test: escaped };
  }

  #literal(wanted: string): Node {
    return { kind: "character", test: this.#folded((character) => character === wanted) };
  }

  #group(): Node {
    let wrap = (part: Node): Node => part;
    if (this.#take("?")) {
      const look = /^<?[=!]/.exec(this.#pattern.slice(this.#at, this.#at + 2))?.[0];
      if (look) {
        this.#at += look.length;
        wrap = (part) => ({ kind: "look", part, behind: look.length === 2, wanted: look.endsWith("=") });
      } else if (this.#take("P<")) {
        let name = "";
        for (let next = this.#next(); next !== ">"; next = this.#next()) name += next;
        if (!/^[A-Za-z_]\w*$/.test(name) || this.#names.has(name)) {
          throw this.#refuse(`the pattern has a group named "${name}"`);
        }
        this.#names.add(name);
      } else if (!this.#take(":")) {
        const sign = this.#pattern.slice(this.#at, this.#at + 2);
        throw this.#refuse(`the pattern has a group that begins with "(?${sign}"`);
      }
    }
    const part = this.#alternatives();
    if (!this.#take(")")) throw this.#refuse('the pattern has an unbalanced "("');
    // A group of its own, so that it can be repeated even where only a place stands in it.
    return wrap({ kind: "sequence", parts: [part] });
  }

  /** What is behind a backslash: one character, or the test of a class. */
  #escape(): string | ((character: string) => boolean) {
    const letter = this.#next();
    if (Object.hasOwn(CLASSES, letter)) return CLASSES[letter];
    if (Object.hasOwn(CONTROL, letter)) return CONTROL[letter];
    const digits = letter === "x" ? 2 : letter === "u" ? 4 : 0;
    if (digits > 0) {
      const hex = this.#pattern.slice(this.#at, this.#at += digits);
      if (hex.length === digits && /^[\da-f]+$/i.test(hex)) return String.fromCharCode(parseInt(hex, 16));
    }
    if (/[A-Za-z0-9]/.test(letter)) throw this.#refuse(`the pattern has "\\${letter}"`);
    return letter;
  }

  /** What is behind `[`, up to its end. */
  #set(): (character: string) => boolean {
    const negative = this.#take("^");
    const tests: ((character: string) => boolean)[] = [];
    const member = () => {
      const character = this.#next();
      if (character !== "\\") return character;
      return this.#take("b") ? "\b" : this.#escape();
    };
    // A bracket right behind the opening one stands for itself.
    for (let first = true; first || this.#pattern[this.#at] !== "]"; first = false) {
      const low = member();
      const ranges = this.#pattern[this.#at] === "-" && this.#pattern[this.#at + 1] !== "]";
      if (!ranges) {
        tests.push(typeof low === "string" ? (character) => character === low : low);
        continue;
      }
      this.#at++;
      const high = member();
      if (typeof low !== "string" || typeof high !== "string" || high < low) {
        throw this.#refuse("the pattern has a bad range of characters");
      }
      tests.push((character) => character >= low && character <= high);
    }
    this.#at++;
    const any = this.#folded((character) => tests.some((test) => test(character)));
    return negative ? (character) => !any(character) : any;
  }

  #folded(test: (character: string) => boolean): (character: string) => boolean {
    if (!this.#ignoreCase) return test;
    return (character) => test(character.toLowerCase()) || test(character.toUpperCase());
  }
}
