/**
 * Python's pickle format, read without running anything.
 *
 * A pickle is a program for a small stack machine, and some of its instructions call any function by name. Here only
 * the instructions that `torch.save` writes are known, and only the functions that the caller lists: every other one
 * is refused by its name. Lists and tuples both become arrays, and dictionaries become maps.
 */

/** What a pickle holds; `T` stands for what the caller's functions make. */
export type PickleValue<T> =
  | null
  | boolean
  | number
  | string
  | readonly PickleValue<T>[]
  | ReadonlyMap<PickleValue<T>, PickleValue<T>>
  | PickleGlobal
  | T;

/** A function or class, by its name in Python; it is never called, only named. */
export class PickleGlobal {
  /** As in `torch._utils._rebuild_tensor_v2`. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a pickle may name, and what it then means. */
export interface PickleRules<T> {
  /** Names that may stand in it. */
  allows(name: string): boolean;
  /** The value of a call of an allowed name. */
  call(name: string, args: readonly PickleValue<T>[]): PickleValue<T>;
  /** The value that stands for something outside the pickle. */
  persistent(id: PickleValue<T>): PickleValue<T>;
  /** Makes the error for a pickle that breaks a rule. */
  refuse(what: string): Error;
}

/** Names of the instructions, as `pickletools` prints them: those that are read, and the others to refuse by name. */
const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  (
    "28 MARK 2e STOP 30 POP 31 POP_MARK 32 DUP 46 FLOAT 49 INT 4a BININT 4b BININT1 4c LONG 4d BININT2 4e NONE " +
    "50 PERSID 51 BINPERSID 52 REDUCE 53 STRING 54 BINSTRING 55 SHORT_BINSTRING 56 UNICODE 58 BINUNICODE " +
    "61 APPEND 62 BUILD 63 GLOBAL 64 DICT 7d EMPTY_DICT 65 APPENDS 67 GET 68 BINGET 69 INST 6a LONG_BINGET " +
    "6c LIST 5d EMPTY_LIST 6f OBJ 70 PUT 71 BINPUT 72 LONG_BINPUT 73 SETITEM 74 TUPLE 29 EMPTY_TUPLE 75 SETITEMS " +
    "47 BINFLOAT 42 BINBYTES 43 SHORT_BINBYTES 80 PROTO 81 NEWOBJ 82 EXT1 83 EXT2 84 EXT4 85 TUPLE1 86 TUPLE2 " +
    "87 TUPLE3 88 NEWTRUE 89 NEWFALSE 8a LONG1 8b LONG4 8c SHORT_BINUNICODE 8d BINUNICODE8 8e BINBYTES8 " +
    "8f EMPTY_SET 90 ADDITEMS 91 FROZENSET 92 NEWOBJ_EX 93 STACK_GLOBAL 94 MEMOIZE 95 FRAME 96 BYTEARRAY8 " +
    "97 NEXT_BUFFER 98 READONLY_BUFFER"
  ).split(" ").reduce<[number, string][]>((pairs, word, index, words) => {
    if (index % 2 === 0) pairs.push([parseInt(word, 16), words[index + 1]]);
    return pairs;
  }, []),
);

/** The protocols that `torch.save` can be told to write; 2 is its own choice. */
const PROTOCOLS: readonly number[] = [2, 3, 4, 5];

/** Reads a pickle. @throws what `rules.refuse` makes, for all that is not understood */
export function readPickle<T>(bytes: Uint8Array<ArrayBuffer>, rules: PickleRules<T>): PickleValue<T> {
  return new Machine(bytes, rules).run();
}

/** The stack machine; each instruction is a function of it. */
class Machine<T> {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #rules: PickleRules<T>;
  readonly #memo = new Map<number, PickleValue<T>>();
  /** Stacks that wait below marks. */
  readonly #below: PickleValue<T>[][] = [];
  #stack: PickleValue<T>[] = [];
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, rules: PickleRules<T>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#rules = rules;
  }

  run(): PickleValue<T> {
    for (;;) {
      const code = this.#view.getUint8(this.#take(1));
      const name = NAMES[code];
      if (name === "STOP") return this.#end();
      const step = name === undefined ? undefined : this.#steps[name];
      if (!step) throw this.#refuse(`it has the instruction ${name ?? `0x${code.toString(16)}`}`);
      step();
    }
  }

  #refuse(what: string): Error {
    return this.#rules.refuse(what);
  }

  #end(): PickleValue<T> {
    const value = this.#pop();
    if (this.#stack.length > 0 || this.#below.length > 0) {
      throw this.#refuse("it stops with values left over");
    }
    if (this.#at !== this.#bytes.length) throw this.#refuse("it has bytes behind its end");
    return value;
  }

  /** The place of the next bytes, which are passed over. */
  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw this.#refuse("it ends early");
    this.#at += count;
    return at;
  }

  #pop(): PickleValue<T> {
    const value = this.#stack.pop();
    if (value === undefined) throw this.#refuse("it takes from an empty stack");
    return value;
  }

  /** All above the last mark, which goes too. */
  #popMark(): PickleValue<T>[] {
    const items = this.#stack;
    const stack = this.#below.pop();
    if (!stack) throw this.#refuse("it looks for a mark that is not there");
    this.#stack = stack;
    return items;
  }

  /** The value that an instruction changes. */
  #top(): PickleValue<T> {
    const value = this.#stack.at(-1);
    if (value === undefined) throw this.#refuse("it takes from an empty stack");
    return value;
  }

  #list(): PickleValue<T>[] {
    const value = this.#top();
    if (!Array.isArray(value)) throw this.#refuse("it appends to what is no list");
    return value;
  }

  #dictionary(): Map<PickleValue<T>, PickleValue<T>> {
    const value = this.#top();
    if (!(value instanceof Map)) throw this.#refuse("it sets items of what is no dictionary");
    return value;
  }

  #setItems(items: readonly PickleValue<T>[]): void {
    const dictionary = this.#dictionary();
    if (items.length % 2 !== 0) throw this.#refuse("it sets a key without a value");
    for (let index = 0; index < items.length; index += 2) dictionary.set(items[index], items[index + 1]);
  }

  #text(length: number): string {
    const at = this.#take(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw this.#refuse("it has text that is not UTF-8");
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#refuse("it ends early");
    const line = this.#text(end - this.#at);
    this.#at++;
    return line;
  }

  #global(module: PickleValue<T>, name: PickleValue<T>): void {
    const full = `${String(module)}.${String(name)}`;
    if (typeof module !== "string" || typeof name !== "string" || !this.#rules.allows(full)) {
      throw this.#refuse(`it names ${full.slice(0, 200)}, which is not among what a state dictionary needs`);
    }
    this.#stack.push(new PickleGlobal(full));
  }

  #reduce(): void {
    const args = this.#pop(), callee = this.#pop();
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) {
      throw this.#refuse("it calls what is no function");
    }
    this.#stack.push(this.#rules.call(callee.name, args));
  }

  /** Attributes of a dictionary, such as a state dictionary's `_metadata`: nobody needs them. */
  #build(): void {
    const state = this.#pop();
    if (!(state instanceof Map && this.#top() instanceof Map)) {
      throw this.#refuse("it gives attributes to what is no dictionary");
    }
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#refuse(`it asks for value ${index}, which it has not kept`);
    this.#stack.push(value);
  }

  #tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.#pop());
    this.#stack.push(items.reverse());
  }

  /** A whole number of up to 8 bytes, the lowest first. */
  #long(): number {
    const length = this.#u8();
    if (length > 8) throw this.#refuse(`it has a number of ${length} bytes`);
    const at = this.#take(length);
    let value = 0n;
    for (let index = 0; index < length; index++) {
      value |= BigInt(this.#bytes[at + index]) << BigInt(8 * index);
    }
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw this.#refuse(`it has the number ${value}`);
    return number;
  }

  #u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  readonly #steps: Readonly<Record<string, () => void>> = {
    PROTO: () => {
      const protocol = this.#u8();
      if (!PROTOCOLS.includes(protocol)) throw this.#refuse(`it is of protocol ${protocol}`);
    },
    // How many bytes follow in one piece: of use to who reads from a stream.
    FRAME: () => void this.#take(8),
    MARK: () => {
      this.#below.push(this.#stack);
      this.#stack = [];
    },
    NONE: () => this.#stack.push(null),
    NEWTRUE: () => this.#stack.push(true),
    NEWFALSE: () => this.#stack.push(false),
    BININT: () => this.#stack.push(this.#view.getInt32(this.#take(4), true)),
    BININT1: () => this.#stack.push(this.#u8()),
    BININT2: () => this.#stack.push(this.#view.getUint16(this.#take(2), true)),
    LONG1: () => this.#stack.push(this.#long()),
    BINFLOAT: () => this.#stack.push(this.#view.getFloat64(this.#take(8), false)),
    BINUNICODE: () => this.#stack.push(this.#text(this.#u32())),
    SHORT_BINUNICODE: () => this.#stack.push(this.#text(this.#u8())),
    EMPTY_TUPLE: () => this.#stack.push([]),
    TUPLE1: () => this.#tuple(1),
    TUPLE2: () => this.#tuple(2),
    TUPLE3: () => this.#tuple(3),
    TUPLE: () => {
      const items = this.#popMark();
      this.#stack.push(items);
    },
    EMPTY_LIST: () => this.#stack.push([]),
    APPEND: () => {
      const value = this.#pop();
      this.#list().push(value);
    },
    APPENDS: () => {
      const items = this.#popMark();
      const list = this.#list();
      for (const item of items) list.push(item);
    },
    EMPTY_DICT: () => this.#stack.push(new Map()),
    SETITEM: () => {
      const value = this.#pop(), key = this.#pop();
      this.#setItems([key, value]);
    },
    SETITEMS: () => this.#setItems(this.#popMark()),
    BINPUT: () => this.#put(this.#u8()),
    LONG_BINPUT: () => this.#put(this.#u32()),
    MEMOIZE: () => this.#put(this.#memo.size),
    BINGET: () => this.#get(this.#u8()),
    LONG_BINGET: () => this.#get(this.#u32()),
    GLOBAL: () => {
      const module = this.#line();
      this.#global(module, this.#line());
    },
    STACK_GLOBAL: () => {
      const name = this.#pop(), module = this.#pop();
      this.#global(module, name);
    },
    BINPERSID: () => this.#stack.push(this.#rules.persistent(this.#pop())),
    REDUCE: () => this.#reduce(),
    BUILD: () => this.#build(),
  };
}
