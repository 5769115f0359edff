/** PEFT's `adapter_config.json`: what of it is understood, what changes nothing, and what is refused. */
import { dataError, writeJsonAtomic } from "../core/files.ts";
import { ROMAN_CHOICE } from "../core/query.ts";
import type { AdapterQuery, LoraOptions } from "../core/types.ts";
import { readConfigFile } from "./config_file.ts";

/** An adapter's settings. */
export interface AdapterConfig extends AdapterQuery {
  readonly options: LoraOptions;
  /** The model it was trained on, as its author named it. */
  readonly baseModel?: string;
  /** Whether its settings say that its logits are divided by a fitted temperature. */
  readonly usesTemperature: boolean;
}

/** Plain LoRA, and the type that the research code's released adapters have: the same, with the two settings below. */
const TYPES: readonly unknown[] = ["LORA", "CALIBRATED_LORA"];

/** Settings that are understood. */
const READ: ReadonlySet<string> = new Set([
  "alora_invocation_tokens",
  "alpha_pattern",
  "base_model_name_or_path",
  "exclude_modules",
  "layers_pattern",
  "layers_to_transform",
  "lora_alpha",
  "lora_bias",
  "lora_dropout",
  "peft_type",
  "query_chat",
  "query_format",
  "r",
  "rank_pattern",
  "target_modules",
  "use_rslora",
  "use_temperature",
]);

/** Settings of PEFT that change nothing about what a trained adapter computes. */
const HARMLESS: ReadonlySet<string> = new Set([
  "auto_mapping",
  "corda_config",
  "ensure_weight_tying",
  "eva_config",
  "inference_mode",
  "loftq_config",
  "lora_ga_config",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
  "task_type",
]);

/**
 * Values of the settings that PEFT sets even where it does not use them. `init_lora_weights` is among them because
 * some ways to start, such as PiSSA, change the base weights too.
 */
const MUST_BE: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  init_lora_weights: [true, "gaussian", "orthogonal", "eva"],
};

/** Writes an adapter's settings so that PEFT reads them; what few adapters need stands there only if it is set. */
export async function writeAdapterConfig(
  path: string,
  options: LoraOptions,
  baseModel: string,
  { queryFormat, queryChat }: AdapterQuery = {},
): Promise<void> {
  const { excludeModules, layersToTransform, layersPattern, useRslora, loraBias, rankPattern, alphaPattern } =
    options;
  const { invocationTokens } = options;
  await writeJsonAtomic(path, {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r: options.rank,
    lora_alpha: options.alpha,
    lora_dropout: options.dropout,
    target_modules: options.targetModules,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    ...(excludeModules ? { exclude_modules: excludeModules } : {}),
    ...(layersToTransform ? { layers_to_transform: layersToTransform } : {}),
    ...(layersPattern ? { layers_pattern: layersPattern } : {}),
    ...(useRslora ? { use_rslora: true } : {}),
    ...(loraBias ? { lora_bias: true } : {}),
    ...(rankPattern ? { rank_pattern: rankPattern } : {}),
    ...(alphaPattern ? { alpha_pattern: alphaPattern } : {}),
    ...(invocationTokens ? { alora_invocation_tokens: invocationTokens } : {}),
    // As the research code's adapters say it. What is usual is left out: PEFT before 0.14 refuses what it does not know,
    // later ones warn.
    ...(queryFormat && queryFormat !== ROMAN_CHOICE.name ? { query_format: queryFormat } : {}),
    ...(queryChat ? { query_chat: true } : {}),
  });
}

/** Reads an adapter's settings. @throws {UserError} of kind `data` for one that is not implemented, naming it */
export async function readAdapterConfig(path: string): Promise<AdapterConfig> {
  const config = await readConfigFile(path);
  const refuse: Refuse = (key, wanted) =>
    dataError(
      `adapter_config.json has "${key}": ${JSON.stringify(config[key])}`,
      path,
      `only ${wanted} is implemented`,
    );
  if (!TYPES.includes(config.peft_type)) throw refuse("peft_type", `${quoted(TYPES)}`);
  for (const [key, value] of Object.entries(config)) {
    if (READ.has(key) || HARMLESS.has(key) || isUnset(value)) continue;
    const allowed = Object.hasOwn(MUST_BE, key) ? MUST_BE[key] : [];
    if (allowed.includes(value)) continue;
    throw refuse(key, quoted(allowed) || "an adapter without it");
  }
  const fields = new Fields(config, refuse);
  return {
    options: readOptions(fields),
    ...present("baseModel", fields.optional("base_model_name_or_path", "a name", isText)),
    ...present("queryFormat", fields.optional("query_format", "a name", isText)),
    ...(fields.flag("query_chat") ? { queryChat: true } : {}),
    usesTemperature: fields.flag("use_temperature"),
  };
}

function readOptions(fields: Fields): LoraOptions {
  const targetModules = fields.modules("target_modules");
  if (targetModules === undefined) {
    throw fields.refuse("target_modules", "a list of names or a regular expression");
  }
  const layers = fields.optional("layers_to_transform", "a list of whole numbers from 0", isLayers);
  const lists = fields.optional("layers_pattern", "a list of plain names", isPlainNames);
  if (lists && !layers) throw fields.refuse("layers_pattern", '"layers_pattern" with "layers_to_transform"');
  return {
    rank: fields.required("r", "a whole number from 1", isRank),
    alpha: fields.required("lora_alpha", "a number above 0", isAlpha),
    dropout: fields.optional("lora_dropout", "a number in [0, 1)", isDropout) ?? 0,
    targetModules,
    ...present("excludeModules", fields.modules("exclude_modules")),
    ...present("layersToTransform", layers === undefined ? undefined : [layers].flat()),
    ...present("layersPattern", lists === undefined ? undefined : [lists].flat()),
    ...(fields.flag("use_rslora") ? { useRslora: true } : {}),
    ...(fields.flag("lora_bias") ? { loraBias: true } : {}),
    ...present(
      "rankPattern",
      fields.optional("rank_pattern", "whole numbers from 1, by layer", recordOf(isRank)),
    ),
    ...present(
      "alphaPattern",
      fields.optional("alpha_pattern", "numbers above 0, by layer", recordOf(isAlpha)),
    ),
    ...present(
      "invocationTokens",
      fields.optional("alora_invocation_tokens", "a list of token ids", isTokens),
    ),
  };
}

type Refuse = (key: string, wanted: string) => Error;

/** The fields of a configuration, each checked as it is read. */
class Fields {
  readonly refuse: Refuse;
  readonly #config: Readonly<Record<string, unknown>>;

  constructor(config: Readonly<Record<string, unknown>>, refuse: Refuse) {
    this.#config = config;
    this.refuse = refuse;
  }

  required<T>(key: string, wanted: string, fits: (value: unknown) => value is T): T {
    const value = this.#config[key];
    if (!fits(value)) throw this.refuse(key, wanted);
    return value;
  }

  /** A field that may be off in any of the ways PEFT writes that. */
  optional<T>(key: string, wanted: string, fits: (value: unknown) => value is T): T | undefined {
    const value = this.#config[key];
    if (value === undefined || value === "" || isUnset(value)) return undefined;
    return this.required(key, wanted, fits);
  }

  flag(key: string): boolean {
    return this.optional(key, "true or false", (value): value is true => value === true) ?? false;
  }

  /** Names of modules, or a regular expression for them. */
  modules(key: string): readonly string[] | string | undefined {
    return this.optional(key, "a list of names or a regular expression", isTextOrTexts);
  }
}

const isText = (value: unknown): value is string => typeof value === "string";
const isTextOrTexts = (value: unknown): value is string | string[] =>
  isText(value) || Array.isArray(value) && value.every(isText);
const isPlainNames = (value: unknown): value is string | string[] =>
  isTextOrTexts(value) && [value].flat().every((name) => /^[\w.]+$/.test(name));
const isLayer = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isLayers = (value: unknown): value is number | number[] =>
  isLayer(value) || Array.isArray(value) && value.every(isLayer);
const isTokens = (value: unknown): value is number[] => Array.isArray(value) && value.every(isLayer);
const isRank = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 1;
const isAlpha = (value: unknown): value is number => typeof value === "number" && value > 0;
const isDropout = (value: unknown): value is number => typeof value === "number" && value >= 0 && value < 1;
const recordOf =
  (fits: (value: unknown) => value is number) => (value: unknown): value is Record<string, number> =>
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(fits);

/** Whether a setting is off, as PEFT writes that. */
function isUnset(value: unknown): boolean {
  return value === null || value === false || typeof value === "object" && Object.keys(value).length === 0;
}

function quoted(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join(" or ");
}

/** An object with one field, or with none if there is no value for it. */
function present<K extends string, T>(key: K, value: T | undefined): { readonly [key in K]?: T } {
  return value === undefined ? {} : { [key]: value } as { readonly [key in K]: T };
}
