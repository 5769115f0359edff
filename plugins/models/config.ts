/**
 * Reads a checkpoint's `config.json`: every field that changes what is computed is understood or refused by name.
 */
import { dataError, type RopeScaling, type TransformerDescription } from "../../core/mod.ts";

const WHERE = "config.json";

/** Fields that change nothing about what a trained model computes. */
const HARMLESS: ReadonlySet<string> = new Set([
  "_attn_implementation_autoset",
  "_name_or_path",
  "architectures",
  "auto_map",
  "bos_token_id",
  "dtype",
  "eos_token_id",
  "id2label",
  "initializer_range",
  "is_llama_config",
  "label2id",
  "max_length",
  "model_type",
  "output_router_logits",
  "pad_token_id",
  "pretraining_tp",
  "return_dict",
  "router_aux_loss_coef",
  "tokenizer_class",
  "torch_dtype",
  "transformers.js_config",
  "transformers_version",
  "unk_token_id",
  "use_cache",
]);

/** Sizes whose rows the kernels read in packs, and of what each has to be a multiple. */
const MULTIPLE = 8;

type Json = Readonly<Record<string, unknown>>;

/** A `config.json` that knows which of its fields were read. */
export class ModelConfig {
  readonly #fields: Json;
  readonly #read = new Set<string>();

  constructor(fields: Json) {
    this.#fields = fields;
  }

  /** The value of a field; null, as transformers writes an unset one, is undefined. */
  value(key: string): unknown {
    this.#read.add(key);
    return this.#fields[key] ?? undefined;
  }

  /** Whether a field is there, be it null: what transformers takes for an absent one it does not take for null. */
  has(key: string): boolean {
    return Object.hasOwn(this.#fields, key);
  }

  /** A whole number from 1. */
  count(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (!Number.isInteger(value) || (value as number) < 1) {
      throw this.refuse(key, "it must be a whole number from 1");
    }
    return value as number;
  }

  /** A number above 0. */
  positive(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== "number" || !(value > 0)) throw this.refuse(key, "it must be a number above 0");
    return value;
  }

  /** True or false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== "boolean") throw this.refuse(key, "it must be true or false");
    return value;
  }

  /** Refuses every value of a field but the ones that are implemented. */
  mustBe(key: string, ...values: readonly unknown[]): void {
    const value = this.value(key);
    if (value === undefined || values.includes(value)) return;
    const known = values.map((item) => JSON.stringify(item)).join(" or ");
    throw this.refuse(key, `only ${known} is implemented; use another model`);
  }

  /** An error about a field. */
  refuse(key: string, fix: string): Error {
    return dataError(`"${key}" is ${JSON.stringify(this.#fields[key])}`, WHERE, fix);
  }

  /** Refuses a field that nobody has read and that is set to something. */
  finish(): void {
    for (const [key, value] of Object.entries(this.#fields)) {
      const unset = value === null || value === false || value === "" ||
        typeof value === "object" && Object.keys(value).length === 0;
      if (this.#read.has(key) || HARMLESS.has(key) || unset) continue;
      throw this.refuse(
        key,
        "this field is not implemented; use another model, or load a plugin for this one",
      );
    }
  }
}

/** What a family's class in transformers takes for fields that are absent, where Llama's takes something else. */
export interface AbsentFields {
  /** Llama takes the number of query heads, as all do where the field is null. */
  readonly kvHeads?: number;
  /** Llama takes 1e-6. */
  readonly normEpsilon?: number;
  /** Llama takes 10000. */
  readonly ropeTheta?: number;
}

/** What all models of the Llama kind share. */
export function describeTransformer(
  config: ModelConfig,
  { kvHeads: absentKvHeads, normEpsilon = 1e-6, ropeTheta = 10000 }: AbsentFields = {},
): TransformerDescription {
  config.mustBe("hidden_act", "silu");
  config.mustBe("attention_dropout", 0);
  const width = config.count("hidden_size"), heads = config.count("num_attention_heads");
  const kvHeads = config.count(
    "num_key_value_heads",
    config.has("num_key_value_heads") ? heads : absentKvHeads ?? heads,
  );
  const headDim = config.count("head_dim", Math.floor(width / heads));
  const feedForward = config.count("intermediate_size");
  for (
    const [name, value] of [
      ["hidden_size", width],
      ["intermediate_size", feedForward],
      ["head_dim", headDim],
    ] as const
  ) {
    if (value % MULTIPLE !== 0) {
      throw dataError(`${name} is ${value}`, WHERE, `only multiples of ${MULTIPLE} are implemented`);
    }
  }
  if (heads % kvHeads !== 0) {
    const what = `${heads} attention heads cannot share ${kvHeads} key/value heads evenly`;
    throw dataError(what, WHERE, "repair the config.json");
  }
  return {
    layers: config.count("num_hidden_layers"),
    width,
    heads,
    kvHeads,
    headDim,
    feedForward,
    vocabulary: config.count("vocab_size"),
    normEpsilon: config.positive("rms_norm_eps", normEpsilon),
    tiedEmbeddings: config.flag("tie_word_embeddings", false),
    ...describeRope(config, ropeTheta),
  };
}

/** Keys that a query sees at most, 0 for all: null is no window, an absent field the family's own. */
export function windowOf(config: ModelConfig, absent: number): number {
  if (!config.has("sliding_window")) return absent;
  return config.value("sliding_window") === undefined ? 0 : config.count("sliding_window");
}

/** Rotary positions, and the context length that their scaling gives. */
function describeRope(
  config: ModelConfig,
  absentTheta: number,
): Pick<TransformerDescription, "ropeTheta" | "ropeScaling" | "contextLength"> {
  const trained = config.count("max_position_embeddings");
  const theta = config.positive("rope_theta", absentTheta);
  const read = (key: string, fields: Json) => {
    const parameters = new RopeParameters(config, key, fields);
    const ropeTheta = parameters.number("rope_theta") ?? theta;
    const ropeScaling = parameters.scaling(trained);
    parameters.finish();
    return { ropeTheta, ...(ropeScaling && { ropeScaling }) };
  };
  // transformers 5 keeps everything in rope_parameters; earlier versions had rope_scaling, and theta at the top level.
  const [rope = read("rope_scaling", {}), other] = ["rope_parameters", "rope_scaling"].flatMap((key) => {
    const fields = config.value(key) ?? {};
    if (typeof fields !== "object" || Array.isArray(fields)) throw config.refuse(key, "it must be an object");
    return Object.keys(fields).length > 0 ? [read(key, fields as Json)] : [];
  });
  if (other && JSON.stringify(other) !== JSON.stringify(rope)) {
    throw config.refuse("rope_scaling", "rope_parameters says something else; leave one of them out");
  }
  return { ...rope, contextLength: contextOf(trained, rope.ropeScaling) };
}

function contextOf(trained: number, scaling: RopeScaling | undefined): number {
  switch (scaling?.type) {
    case "linear":
    case "dynamic":
      return Math.floor(trained * scaling.factor);
    case "yarn":
      return Math.max(trained, Math.floor(scaling.originalContext * scaling.factor));
    default:
      return trained;
  }
}

/** The object that describes rotary positions. */
class RopeParameters {
  readonly #config: ModelConfig;
  readonly #key: string;
  readonly #fields: Json;
  readonly #read = new Set(["rope_type", "type"]);

  constructor(config: ModelConfig, key: string, fields: Json) {
    this.#config = config;
    this.#key = key;
    this.#fields = fields;
  }

  number(name: string): number | undefined {
    this.#read.add(name);
    const value = this.#fields[name] ?? undefined;
    if (value !== undefined && (typeof value !== "number" || !(value > 0))) {
      throw this.#refuse(name, "must be a number above 0");
    }
    return value as number | undefined;
  }

  scaling(trained: number): RopeScaling | undefined {
    const type = (this.#fields.rope_type ?? this.#fields.type ?? "default") as string;
    const needed = (name: string): number => {
      const value = this.number(name);
      if (value === undefined) throw this.#refuse(name, `is needed for the type ${JSON.stringify(type)}`);
      return value;
    };
    const original = () => this.number("original_max_position_embeddings") ?? trained;
    switch (type) {
      case "default":
        this.number("original_max_position_embeddings");
        return undefined;
      case "linear":
        return { type, factor: needed("factor") };
      case "dynamic":
        this.number("original_max_position_embeddings");
        return { type, factor: needed("factor"), originalContext: trained };
      case "llama3":
        return this.#llama3(needed, original());
      case "yarn":
        return this.#yarn(original(), trained);
      default:
        throw this.#refuse("rope_type", "must be default, linear, dynamic, llama3 or yarn");
    }
  }

  finish(): void {
    const unknown = Object.keys(this.#fields).find((name) =>
      !this.#read.has(name) && this.#fields[name] !== null
    );
    if (unknown !== undefined) throw this.#refuse(unknown, "is not implemented");
  }

  #llama3(needed: (name: string) => number, originalContext: number): RopeScaling {
    const factor = needed("factor");
    const lowFrequencyFactor = needed("low_freq_factor"), highFrequencyFactor = needed("high_freq_factor");
    if (highFrequencyFactor <= lowFrequencyFactor) {
      throw this.#refuse("high_freq_factor", 'must be above its "low_freq_factor"');
    }
    return { type: "llama3", factor, lowFrequencyFactor, highFrequencyFactor, originalContext };
  }

  #yarn(originalContext: number, trained: number): RopeScaling {
    const factor = this.number("factor") ?? trained / originalContext;
    const mscale = this.number("mscale"), mscaleAll = this.number("mscale_all_dim");
    const grown = (scale: number) => factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
    const inferred = mscale && mscaleAll ? grown(mscale) / grown(mscaleAll) : grown(1);
    this.#read.add("truncate");
    const truncate = this.#fields.truncate ?? true;
    if (typeof truncate !== "boolean") throw this.#refuse("truncate", "must be true or false");
    return {
      type: "yarn",
      factor,
      originalContext,
      betaFast: this.number("beta_fast") ?? 32,
      betaSlow: this.number("beta_slow") ?? 1,
      attentionFactor: this.number("attention_factor") ?? inferred,
      truncate,
    };
  }

  #refuse(name: string, wanted: string): Error {
    return this.#config.refuse(this.#key, `its "${name}" ${wanted}`);
  }
}
