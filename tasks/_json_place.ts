/** A value of a JSON file that users write, which knows its place in it. */
import { nearest, UserError } from "../core/mod.ts";
import type { Flag, FlagSet, FlagValues } from "./_flags.ts";

/** A value of the file, which knows its place in it. */
export class JsonPlace {
  readonly #file: string;
  readonly #place: string;
  readonly value: unknown;

  /** @param place as in `grids[0].method`; empty for the whole file */
  constructor(file: string, place: string, value: unknown) {
    this.#file = file;
    this.#place = place;
    this.value = value;
  }

  /** Refuses all keys but these. */
  keys(allowed: readonly string[]): void {
    for (const key of Object.keys(this.#object())) {
      if (!allowed.includes(key)) throw this.#unknownKey(key, allowed);
    }
  }

  get(key: string): JsonPlace {
    return this.optional(key) ?? (() => {
      throw this.missing(key);
    })();
  }

  optional(key: string): JsonPlace | undefined {
    const object = this.#object();
    return Object.hasOwn(object, key) ? this.#child(key, object[key]) : undefined;
  }

  /** The entries of an object, each read; at least one. */
  async map<T>(read: (node: JsonPlace, key: string) => T | Promise<T>): Promise<Record<string, T>> {
    const entries = Object.entries(this.#object());
    if (entries.length === 0) throw this.wrong("give at least one entry");
    const all: Record<string, T> = {};
    for (const [key, value] of entries) {
      all[key] = await read(this.#child(key, value), key);
    }
    return all;
  }

  list<T>(read: (node: JsonPlace) => T): T[] {
    if (!Array.isArray(this.value) || this.value.length === 0) {
      throw this.wrong("give a list with at least one entry");
    }
    return this.value.map((value, index) =>
      read(new JsonPlace(this.#file, `${this.#place}[${index}]`, value))
    );
  }

  /** One value, or a list of several. */
  values<T>(read: (node: JsonPlace) => T): T[] {
    return Array.isArray(this.value) ? this.list(read) : [read(this)];
  }

  text(): string {
    if (typeof this.value !== "string" || this.value === "") throw this.wrong("give a text");
    return this.value;
  }

  number(wanted: string, holds: (value: number) => boolean): number {
    if (typeof this.value !== "number" || !holds(this.value)) throw this.wrong(`give ${wanted}`);
    return this.value;
  }

  oneOf(allowed: readonly string[]): string {
    if (typeof this.value === "string" && allowed.includes(this.value)) return this.value;
    throw this.unknown("value", allowed);
  }

  /** An object of flags as they are typed on a command line, without dashes. */
  flags(flags: FlagSet): FlagValues {
    this.keys(Object.keys(flags));
    return Object.fromEntries(
      Object.keys(this.#object()).map((key) => [key, this.get(key).#flag(flags[key])]),
    );
  }

  #flag(flag: Flag): string | number | boolean | readonly string[] {
    const fits = (value: unknown) => typeof value === flag.type && value !== "" && !Number.isNaN(value);
    if (flag.repeatable) {
      return this.values((node) => fits(node.value) ? String(node.value) : node.#refuse(flag));
    }
    // Lists of a method's options are typed with commas.
    if (flag.type === "string" && Array.isArray(this.value)) {
      return this.list((node) => node.text()).join(",");
    }
    if (!fits(this.value)) return this.#refuse(flag);
    if (
      flag.least !== undefined && !(Number.isSafeInteger(this.value) && (this.value as number) >= flag.least)
    ) {
      return this.#refuse(flag);
    }
    return this.value as string | number | boolean;
  }

  #refuse({ type, least, help }: Flag): never {
    const wanted = type === "boolean"
      ? "true or false"
      : type === "string"
      ? "a text"
      : least === undefined
      ? "a number"
      : `a whole number from ${least}`;
    throw this.wrong(`give ${wanted}: ${help}`);
  }

  /** What comes of the value, where a refusal that says what is wrong in it also has to say where it stands. */
  checked<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw this.#error(error.what, error.fix);
    }
  }

  missing(key: string): UserError {
    return this.#error(`"${key}" is missing`, `add "${key}"`);
  }

  wrong(fix: string): UserError {
    return this.#error(`The value is ${abbreviate(this.value)}`, fix);
  }

  /** For a name that is none of those allowed. */
  unknown(kind: string, allowed: readonly string[], more?: string): UserError {
    return this.#error(
      `Unknown ${kind} ${abbreviate(this.value)}`,
      advice(String(this.value), allowed, more),
    );
  }

  /** For a key that has to be a name of the list, because it says nothing else. */
  misnamed(kind: string, allowed: readonly string[], key: string): UserError {
    return this.#error(
      `Unknown ${kind} "${key}"`,
      `${advice(key, allowed)}; an entry of another name says "${kind}": "<name>"`,
    );
  }

  #unknownKey(key: string, allowed: readonly string[]): UserError {
    return this.#child(key, undefined).#error(`Unknown key "${key}"`, advice(key, allowed));
  }

  #object(): Record<string, unknown> {
    if (typeof this.value === "object" && this.value !== null && !Array.isArray(this.value)) {
      return this.value as Record<string, unknown>;
    }
    throw this.wrong("give an object in braces");
  }

  #child(key: string, value: unknown): JsonPlace {
    const step = /^[\w-]+$/.test(key) ? `${this.#place === "" ? "" : "."}${key}` : `[${JSON.stringify(key)}]`;
    return new JsonPlace(this.#file, `${this.#place}${step}`, value);
  }

  #error(what: string, fix: string): UserError {
    const place = this.#place === "" ? "the whole file" : this.#place;
    return new UserError({ kind: "usage", what, where: `${this.#file}: ${place}`, fix });
  }
}

function advice(name: string, allowed: readonly string[], more?: string): string {
  const near = nearest(name, allowed);
  if (near !== undefined) return `did you mean "${near}"?`;
  const all = allowed.join(", ");
  return `use ${more ?? "one of"}${all === "" ? "" : `${more ? ": " : " "}${all}`}`;
}

function abbreviate(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
