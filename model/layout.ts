/** Which tensors a model has: one list, from which their check, their loading and their bytes all follow. */
import type { LinearName, TransformerDescription } from "../core/types.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { ExpertWeights } from "./experts.ts";
import type { Matrix } from "./matrix.ts";

/** Weights of one layer. `C` width, `H` query heads, `K` key/value heads, `D` head width, `F` feed-forward width. */
export interface LayerWeights {
  /** `[C]` f32 */
  readonly inputNorm: Tensor;
  /** `[H·D, C]`, in the checkpoint's type or quantised, as are all matrices of a block */
  readonly q: Matrix;
  /** `[K·D, C]` */
  readonly k: Matrix;
  /** `[K·D, C]` */
  readonly v: Matrix;
  /** `[C, H·D]` */
  readonly o: Matrix;
  /** `[C]` f32 */
  readonly postNorm: Tensor;
  /** `[F, C]`; these three are absent where there are experts */
  readonly gate?: Matrix;
  /** `[F, C]` */
  readonly up?: Matrix;
  /** `[C, F]` */
  readonly down?: Matrix;
  readonly experts?: ExpertWeights;
  /** `[outputs]` f32, of the linear layers that have one */
  readonly biases: Readonly<Partial<Record<LinearName, Tensor>>>;
}

/** All weights of a model, on the GPU in the checkpoint's precision. */
export interface Weights {
  /** `[V, C]` */
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  /** `[C]` f32 */
  readonly finalNorm: Tensor;
  /** `[V, C]`; the embedding itself where they are tied */
  readonly head: Matrix;
}

/** A tensor of a checkpoint, with the shape that it has to have. */
export type NamedShape = readonly [name: string, shape: readonly number[]];

/** A vector: a sliver of the weights, so it is kept in f32 and its kernels need no variants. */
export interface VectorLayout {
  readonly kind: "vector";
  readonly tensors: readonly [NamedShape];
}

/** A matrix. */
export interface MatrixLayout {
  readonly kind: "matrix";
  /**
   * The tensors that it is made of, one below the other: mostly a single one, but the experts of a block are used as
   * one matrix. A tensor of more than two axes is a matrix of its last.
   */
  readonly tensors: readonly NamedShape[];
  /** Whether it is of a linear layer of a block, which `--dtype=int8` and `int4` make smaller. */
  readonly quantisable: boolean;
}

/** A vector or a matrix. */
export type LayoutItem = VectorLayout | MatrixLayout;

/** For everything in a group of weights where it is found. */
export type LayoutOf<T> = {
  readonly [K in keyof T]: NonNullable<T[K]> extends Matrix ? MatrixLayout
    : NonNullable<T[K]> extends Tensor ? VectorLayout
    : LayoutOf<NonNullable<T[K]>>;
};

/** Where all weights of a model are found. */
export interface WeightLayout {
  readonly embedding: MatrixLayout;
  readonly layers: readonly LayoutOf<LayerWeights>[];
  readonly finalNorm: VectorLayout;
  /** Absent where it is the embedding. */
  readonly head?: MatrixLayout;
}

/** Names of the embedding, and of the output weights, which some checkpoints repeat although they are tied. */
export const EMBEDDING = "model.embed_tokens.weight", HEAD = "lm_head.weight";

/**
 * How a checkpoint holds experts: each matrix of each expert as a tensor, as on the Hub and as `save_pretrained` writes
 * them, or one tensor for each kind of matrix, as transformers 5 holds them and writes with `save_original_format=False`.
 */
export type ExpertForm = "apart" | "fused";

/** Which form a checkpoint has whose tensors are these. */
export function expertForm(tensors: { has(name: string): boolean }): ExpertForm {
  return tensors.has("model.layers.0.mlp.experts.gate_up_proj") ? "fused" : "apart";
}

/** Where the weights are found in a checkpoint of the Llama family, as transformers writes it. */
export function weightLayout(model: TransformerDescription, form: ExpertForm = "apart"): WeightLayout {
  const { layers, width, vocabulary, tiedEmbeddings } = model;
  return {
    embedding: matrix([EMBEDDING, [vocabulary, width]]),
    layers: Array.from({ length: layers }, (_, layer) => layerLayout(model, form, `model.layers.${layer}`)),
    finalNorm: vector("model.norm.weight", width),
    ...(!tiedEmbeddings && { head: matrix([HEAD, [vocabulary, width]]) }),
  };
}

function layerLayout(
  model: TransformerDescription,
  form: ExpertForm,
  layer: string,
): LayoutOf<LayerWeights> {
  const { width, heads, kvHeads, headDim, feedForward, biases = [] } = model;
  const linears: Readonly<Record<LinearName, NamedShape>> = {
    q_proj: [`${layer}.self_attn.q_proj`, [heads * headDim, width]],
    k_proj: [`${layer}.self_attn.k_proj`, [kvHeads * headDim, width]],
    v_proj: [`${layer}.self_attn.v_proj`, [kvHeads * headDim, width]],
    o_proj: [`${layer}.self_attn.o_proj`, [width, heads * headDim]],
    gate_proj: [`${layer}.mlp.gate_proj`, [feedForward, width]],
    up_proj: [`${layer}.mlp.up_proj`, [feedForward, width]],
    down_proj: [`${layer}.mlp.down_proj`, [width, feedForward]],
  };
  const weight = ([module, shape]: NamedShape) => linear([`${module}.weight`, shape]);
  const bias = ([module, [outputs]]: NamedShape) => vector(`${module}.bias`, outputs);
  return {
    inputNorm: vector(`${layer}.input_layernorm.weight`, width),
    q: weight(linears.q_proj),
    k: weight(linears.k_proj),
    v: weight(linears.v_proj),
    o: weight(linears.o_proj),
    postNorm: vector(`${layer}.post_attention_layernorm.weight`, width),
    ...(model.experts ? { experts: EXPERT_LAYOUTS[form](model, model.experts.count, layer) } : {
      gate: weight(linears.gate_proj),
      up: weight(linears.up_proj),
      down: weight(linears.down_proj),
    }),
    biases: Object.fromEntries(biases.map((name) => [name, bias(linears[name])])),
  };
}

/** A router and the experts' matrices; in either form their rows come in the same order. */
const EXPERT_LAYOUTS: Readonly<
  Record<
    ExpertForm,
    (model: TransformerDescription, count: number, layer: string) => LayoutOf<ExpertWeights>
  >
> = {
  apart: expertsApart,
  fused: ({ width, feedForward }, count, layer) => ({
    router: matrix([`${layer}.mlp.gate.weight`, [count, width]]),
    gateUp: linear([`${layer}.mlp.experts.gate_up_proj`, [count, 2 * feedForward, width]]),
    down: linear([`${layer}.mlp.experts.down_proj`, [count, width, feedForward]]),
  }),
};

function expertsApart(
  { width, feedForward }: TransformerDescription,
  count: number,
  layer: string,
): LayoutOf<ExpertWeights> {
  const block = `${layer}.block_sparse_moe`;
  const experts = Array.from({ length: count }, (_, expert) => `${block}.experts.${expert}`);
  return {
    router: matrix([`${block}.gate.weight`, [count, width]]),
    gateUp: linear(...experts.flatMap((expert): NamedShape[] => [
      [`${expert}.w1.weight`, [feedForward, width]],
      [`${expert}.w3.weight`, [feedForward, width]],
    ])),
    down: linear(...experts.map((expert): NamedShape => [`${expert}.w2.weight`, [width, feedForward]])),
  };
}

function vector(name: string, length: number): VectorLayout {
  return { kind: "vector", tensors: [[name, [length]]] };
}

/** A matrix that keeps the checkpoint's type whatever `--dtype` says. */
function matrix(...tensors: readonly NamedShape[]): MatrixLayout {
  return { kind: "matrix", tensors, quantisable: false };
}

function linear(...tensors: readonly NamedShape[]): MatrixLayout {
  return { kind: "matrix", tensors, quantisable: true };
}

/** Everything in a layout, in the order in which it is loaded. */
export function layoutItems(layout: WeightLayout): readonly LayoutItem[] {
  const { embedding, layers, finalNorm, head } = layout;
  return [embedding, ...layers.flatMap(itemsOf), finalNorm, ...(head ? [head] : [])];
}

/** The items of a group, also of the groups in it; what a model has not is left out. */
function itemsOf(group: object): LayoutItem[] {
  return Object.values(group).flatMap((part: LayoutItem | object | undefined) =>
    part === undefined ? [] : isLayoutItem(part) ? [part] : itemsOf(part)
  );
}

/** Whether a part of a layout is a vector or a matrix, not a group of them. */
export function isLayoutItem(part: object): part is LayoutItem {
  return "kind" in part;
}

/** Names and shapes of a checkpoint's tensors. */
export function tensorShapes(
  model: TransformerDescription,
  form: ExpertForm = "apart",
): Map<string, readonly number[]> {
  return new Map(layoutItems(weightLayout(model, form)).flatMap(({ tensors }) => tensors));
}

/** Rows and columns of a tensor as part of a matrix. */
export function asMatrix(shape: readonly number[]): readonly [rows: number, columns: number] {
  const columns = shape[shape.length - 1];
  return [shape.slice(0, -1).reduce((product, extent) => product * extent, 1), columns];
}
