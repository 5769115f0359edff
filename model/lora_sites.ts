/** Which linear layers an adapter adapts, with which rank and scale: the rules of PEFT, by its names of the layers. */
import { dataError } from "../core/files.ts";
import type { LinearName, LoraOptions, TransformerDescription } from "../core/types.ts";
import { MAX_STEPS, PythonRegex } from "./python_regex.ts";

/** The linear layers of a transformer block, in the order of the forward pass. */
export const LINEAR_NAMES: readonly LinearName[] = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
];

/** What PEFT takes for all linear layers but the output layer. */
const ALL_LINEAR = "all-linear";

/** Layers outside the blocks, which PEFT can adapt and this engine cannot. */
const NOT_ADAPTED = ["lm_head", "model.embed_tokens"];

/** A linear layer that is to be adapted. */
export interface PlannedSite {
  readonly layer: number;
  readonly name: LinearName;
  readonly inputs: number;
  readonly outputs: number;
  readonly rank: number;
  /** Factor of the product: alpha / rank, or alpha / √rank with `useRslora`. */
  readonly scale: number;
}

/** Name of a linear layer in the model, as Hugging Face has it: `model.layers.0.self_attn.q_proj`. */
export function moduleName(layer: number, name: LinearName): string {
  const block = name === "gate_proj" || name === "up_proj" || name === "down_proj" ? "mlp" : "self_attn";
  return `model.layers.${layer}.${block}.${name}`;
}

/** Inputs and outputs of a linear layer. */
export function linearShape(
  model: TransformerDescription,
  name: LinearName,
): { inputs: number; outputs: number } {
  const { width, heads, kvHeads, headDim, feedForward } = model;
  switch (name) {
    case "q_proj":
      return { inputs: width, outputs: heads * headDim };
    case "k_proj":
    case "v_proj":
      return { inputs: width, outputs: kvHeads * headDim };
    case "o_proj":
      return { inputs: heads * headDim, outputs: width };
    case "gate_proj":
    case "up_proj":
      return { inputs: width, outputs: feedForward };
    case "down_proj":
      return { inputs: feedForward, outputs: width };
  }
}

/** Linear layers of each block: of experts, whose weights lie in one tensor for all, PEFT adapts none. */
function linearNames(model: TransformerDescription): readonly LinearName[] {
  return model.experts ? LINEAR_NAMES.slice(0, 4) : LINEAR_NAMES;
}

/**
 * The sites of an adapter, by layer and then in the order of the forward pass.
 *
 * @param where the options come from, for errors
 * @throws {UserError} of kind `data` if they reach no layer, or one outside the blocks
 */
export function planSites(
  model: TransformerDescription,
  options: LoraOptions,
  where: string,
): readonly PlannedSite[] {
  const refuse = (what: string, fix: string) => dataError(what, where, fix);
  const budget = { left: MAX_STEPS };
  const compile: Compile = (pattern, about) =>
    new PythonRegex(pattern, (what) => refuse(`${about}: ${what}`, REGEX_FIX), budget);
  const chosen = chooser(options, compile, refuse);
  const wrong = NOT_ADAPTED.find(chosen);
  if (wrong !== undefined) {
    throw refuse(
      `"target_modules" reaches "${wrong}"`,
      `adapt layers of the blocks only: ${linearNames(model).join(", ")}`,
    );
  }
  const rankOf = patternValue("rank_pattern", options.rankPattern, options.rank, compile);
  const alphaOf = patternValue("alpha_pattern", options.alphaPattern, options.alpha, compile);
  const sites: PlannedSite[] = [];
  for (let layer = 0; layer < model.layers; layer++) {
    for (const name of linearNames(model)) {
      const module = moduleName(layer, name);
      if (!chosen(module)) continue;
      const rank = rankOf(module);
      const scale = alphaOf(module) / (options.useRslora ? Math.sqrt(rank) : rank);
      sites.push({ layer, name, ...linearShape(model, name), rank, scale });
    }
  }
  if (sites.length === 0) {
    throw refuse(
      `"target_modules" ${JSON.stringify(options.targetModules)} names no layer of the model`,
      `name some of ${linearNames(model).join(", ")}`,
    );
  }
  return sites;
}

/**
 * Refuses names in a list of target modules that no linear layer ends with. PEFT passes over them, as the files of
 * others may name layers of several families; but who makes an adapter has most likely mistyped.
 */
export function checkTargets(model: TransformerDescription, { targetModules }: LoraOptions): void {
  if (typeof targetModules === "string") return;
  const modules = Array.from({ length: model.layers }, (_, layer) => layer)
    .flatMap((layer) => linearNames(model).map((name) => moduleName(layer, name)));
  const unknown = targetModules.find((target) => !modules.some((module) => isOf(module, target)));
  if (unknown === undefined) return;
  throw dataError(
    `No linear layer is called "${unknown}"`,
    "target modules of the adapter",
    `name some of ${linearNames(model).join(", ")}`,
  );
}

type Refuse = (what: string, fix: string) => Error;

/** Reads a regular expression, which errors call `about`. */
type Compile = (pattern: string, about: string) => PythonRegex;

const REGEX_FIX = "write it as Python's re.fullmatch takes it, without references to groups";

/** Whether a module has a name, or ends with it behind a dot. */
const isOf = (module: string, name: string) => module === name || module.endsWith(`.${name}`);

/** PEFT's `check_target_module_exists`. */
function chooser(
  { targetModules: targets, excludeModules, layersToTransform, layersPattern }: LoraOptions,
  compile: Compile,
  refuse: Refuse,
): (module: string) => boolean {
  const matcher = (key: string, pattern: string) => {
    const regex = compile(pattern, `"${key}" is ${shortened(pattern)}`);
    return (module: string) => regex.matches(module);
  };
  const excluded = excludeModules === undefined
    ? () => false
    : typeof excludeModules === "string"
    ? matcher("exclude_modules", excludeModules)
    : (module: string) => excludeModules.some((name) => isOf(module, name));
  if (typeof targets === "string") {
    if (layersToTransform) {
      throw refuse(
        '"layers_to_transform" goes with a list of "target_modules" only',
        "name the layers in one of them",
      );
    }
    // A layer outside the blocks is not among all linear ones: one is the output layer, the other an embedding.
    const targeted = targets.toLowerCase() === ALL_LINEAR
      ? (module: string) => !NOT_ADAPTED.includes(module)
      : matcher("target_modules", targets);
    return (module) => !excluded(module) && targeted(module);
  }
  const inLayer = layerFilter(layersToTransform, layersPattern);
  return (module) =>
    !excluded(module) &&
    // A full name is taken whatever layers are named beside it.
    (targets.includes(module) || targets.some((name) => isOf(module, name)) && inLayer(module));
}

/** Whether a module lies in one of the layers, under a list of blocks of one of the names, if there are any. */
function layerFilter(
  layers: readonly number[] | undefined,
  lists: readonly string[] | undefined,
): (module: string) => boolean {
  if (!layers) return () => true;
  return (module) => {
    const [, list, layer] = /^(.*?)\.(\d+)\./.exec(module) ?? [];
    return list !== undefined && layers.includes(Number(layer)) &&
      (!lists || lists.some((name) => isOf(list, name)));
  };
}

/** The value of the first key that matches the end of a module's name, as PEFT's `get_pattern_key` does it. */
function patternValue(
  setting: string,
  patterns: Readonly<Record<string, number>> | undefined,
  otherwise: number,
  compile: Compile,
): (module: string) => number {
  const entries = Object.entries(patterns ?? {}).map(([key, value]) => {
    // Adapters with a rank for each layer spell out hundreds of names: those need no engine.
    if (PLAIN_KEY.test(key)) return { matches: plainMatcher(key), value };
    const regex = compile(`(.*\\.)?(${key})$`, `"${setting}" has the key ${shortened(key)}`);
    return { matches: (module: string) => regex.matchesStart(module), value };
  });
  return (module) => entries.find(({ matches }) => matches(module))?.value ?? otherwise;
}

/** A name, its dots perhaps escaped, which may have to be the whole name. */
const PLAIN_KEY = /^\^?(?:\w|\\?\.)+$/;

/** Whether a module's name ends with a plain key behind a dot, or is it; a dot stands for any character. */
function plainMatcher(key: string): (module: string) => boolean {
  const whole = key.startsWith("^");
  // A character that has to stand there, or nothing where any will do.
  const wanted = key.slice(whole ? 1 : 0).match(/\\?./g)!.map((piece) => piece === "." ? "" : piece.at(-1)!);
  return (module) => {
    const first = module.length - wanted.length;
    if (first < 0 || first > 0 && (whole || module[first - 1] !== ".")) return false;
    return wanted.every((character, at) => character === "" || character === module[first + at]);
  };
}

function shortened(pattern: string): string {
  return JSON.stringify(pattern.length > 80 ? `${pattern.slice(0, 79)}…` : pattern);
}
