import { UserError } from "../core/errors.ts";

/** One WGSL file that is joined into a shader. */
export interface SourceFile {
  /** Path from the project's root, for error messages. */
  readonly file: string;
  /** The WGSL. */
  readonly text: string;
}

/** A shader ready for the compiler, with the way back from its lines to the files it was made of. */
export interface SpecialisedSource {
  /** The WGSL that the compiler gets. */
  readonly code: string;
  /** `origin[i]` is the `file:line` that line `i` (from 0) came from. */
  readonly origin: readonly string[];
}

interface Line {
  readonly text: string;
  readonly origin: string;
}

const CONSTANT = /^(\s*const\s+(\w+)(?:\s*:\s*u32)?\s*=\s*)([^;]+)(;.*)$/;
const LOCAL = /^(\s+var \w+): ([^;=]+);(.*)$/;
const UNROLL = /^\s*for \(var (\w+) = (.+?); \1 < (.+?); \1\+\+\) \{\s*\/\/ @unroll\s*$/;

/**
 * Joins WGSL files, sets named constants, expands the loops marked `// @unroll` and initialises local variables.
 *
 * The files are valid WGSL before and after: a constant has a default (`const rows = 8u;`) that `constants`
 * replaces, and a marked loop (`for (var r = 0u; r < rows; r++) { // @unroll`) computes the same when it is not
 * expanded. Expanding matters because the compiler adds a counter to every loop and a clamp to every array index
 * that is not a literal. Local variables get the zero that WGSL promises them spelled out, because the compiler of
 * Deno 2.9 (naga, wgpu #9489) sets one that is declared in a loop to zero only once.
 *
 * @param constants values for module-level `const` declarations, all `u32`
 */
export function specialise(
  sources: readonly SourceFile[],
  constants: Readonly<Record<string, number>>,
): SpecialisedSource {
  const unset = new Set(Object.keys(constants));
  const known = new Map<string, number>();
  const lines = sources.flatMap(({ file, text }) =>
    text.split("\n").map((line, index) => {
      const origin = `${file}:${index + 1}`;
      const match = CONSTANT.exec(line);
      if (!match) return { text: line.replace(LOCAL, "$1: $2 = $2();$3"), origin };
      const [, head, name, value, tail] = match;
      if (Object.hasOwn(constants, name)) {
        unset.delete(name);
        known.set(name, constants[name]);
        return { text: `${head}${constants[name]}u${tail}`, origin };
      }
      const evaluated = evaluate(value, known);
      if (evaluated !== undefined) known.set(name, evaluated);
      return { text: line, origin };
    })
  );
  if (unset.size > 0) {
    throw new UserError({
      kind: "internal",
      what: `No constant named ${[...unset].map((name) => `"${name}"`).join(", ")} to set`,
      where: sources.map(({ file }) => file).join(", "),
      fix: "declare it as `const name = 1u;` on a line of its own",
    });
  }
  const expanded = unroll(lines, known);
  return { code: expanded.map(({ text }) => text).join("\n"), origin: expanded.map(({ origin }) => origin) };
}

/** Expands every marked loop in `lines`, outermost first, so that inner bounds may use outer variables. */
function unroll(lines: readonly Line[], known: ReadonlyMap<string, number>): Line[] {
  const output: Line[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index];
    const match = UNROLL.exec(line.text);
    if (!match) {
      if (line.text.includes("@unroll")) {
        throw malformed(line, "write it as `for (var i = 0u; i < n; i++) { // @unroll`");
      }
      output.push(line);
      continue;
    }
    const [, variable, from, to] = match;
    const first = evaluate(from, known), end = evaluate(to, known);
    if (first === undefined || end === undefined) {
      throw malformed(line, "give it bounds made of u32 literals and named constants");
    }
    const close = closingLine(lines, index);
    const body = lines.slice(index + 1, close);
    const name = new RegExp(`\\b${variable}\\b`, "g");
    for (let value = first; value < end; value++) {
      const copy = body.map(({ text, origin }) => ({ text: text.replace(name, `${value}u`), origin }));
      output.push({ text: "{", origin: line.origin }, ...unroll(copy, known), {
        text: "}",
        origin: lines[close].origin,
      });
    }
    index = close;
  }
  return output;
}

/** Index of the line that closes the brace opened at the end of line `start`. */
function closingLine(lines: readonly Line[], start: number): number {
  let depth = 0;
  for (let index = start; index < lines.length; index++) {
    for (const character of lines[index].text.replace(/\/\/.*$/, "")) {
      if (character === "{") depth++;
      if (character === "}" && --depth === 0) return index;
    }
  }
  throw malformed(lines[start], "close the loop with a `}` on a line of its own");
}

function malformed(line: Line, fix: string): UserError {
  return new UserError({
    kind: "internal",
    what: `Cannot unroll \`${line.text.trim()}\``,
    where: line.origin,
    fix,
  });
}

/** Value of an expression of `u32` literals, known names, `+ - * /`, `min` and `max`; `undefined` if it is not one. */
function evaluate(expression: string, known: ReadonlyMap<string, number>): number | undefined {
  const tokens = expression.match(/\w+|[^\s\w]/g) ?? [];
  let position = 0;
  const atom = (): number => {
    const token = tokens[position++];
    if (token === "(") {
      const value = sum();
      return tokens[position++] === ")" ? value : NaN;
    }
    if (/^\d+u?$/.test(token ?? "")) return Number.parseInt(token);
    if ((token === "min" || token === "max") && tokens[position++] === "(") {
      const first = sum();
      const second = tokens[position++] === "," ? sum() : NaN;
      return tokens[position++] === ")" ? Math[token](first, second) : NaN;
    }
    return known.get(token) ?? NaN;
  };
  const product = (): number => {
    let value = atom();
    while (tokens[position] === "*" || tokens[position] === "/") {
      value = tokens[position++] === "*" ? value * atom() : Math.floor(value / atom());
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[position] === "+" || tokens[position] === "-") {
      value = tokens[position++] === "+" ? value + product() : value - product();
    }
    return value;
  };
  const value = sum();
  return position === tokens.length && Number.isInteger(value) ? value : undefined;
}
