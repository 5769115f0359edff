/**
 * The Llama family: forward and backward of a decoder-only transformer with RMSNorm, rotary positions, grouped-query
 * attention and a SwiGLU feed-forward layer. Shape letters are those of `model/README.md`.
 *
 * There is no autograd: `backward` is `forward` read from the end, each kernel replaced by its gradient. The base
 * weights are frozen, so gradients flow through them but are taken only for the adapter.
 */
import type { LinearName, TransformerDescription } from "../core/types.ts";
import { attention, NO_WINDOW } from "../kernels/attention.ts";
import { attentionBackwardKeyValue } from "../kernels/attention_backward_key_value.ts";
import { attentionBackwardQuery } from "../kernels/attention_backward_query.ts";
import { attentionDelta } from "../kernels/attention_delta.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { LoraSite } from "./adapter.ts";
import type { PackedBatch } from "./batch.ts";
import { type ExpertPass, expertsBackward, expertsForward, type Routing } from "./experts.ts";
import type { LayerWeights, Weights } from "./layout.ts";
import {
  type ActiveAdapter,
  type Gradient,
  linear,
  linearBackward,
  type LoraBackward,
  type Target,
} from "./linear.ts";
import type { Matrix } from "./matrix.ts";
import {
  addBiasTo,
  embed,
  gated,
  gatedBackward,
  gather,
  norm,
  normBackward,
  rotate,
  scatter,
  store,
  zeros,
} from "./ops.ts";
import type { Angles } from "./ops.ts";
import { RopeTables } from "./rope_tables.ts";

/** What a layer keeps for its backward pass. */
interface SavedLayer {
  /** `[T, C]` the layer's input */
  readonly x: Tensor;
  /** `[T, (H+2K)·D]` after the rotation */
  readonly qkv: Tensor;
  /** `[T, H·D]` */
  readonly attended: Tensor;
  /** `[T, H]` log-sum-exp of the attention scores */
  readonly lse: Tensor;
  /** `[T, C]`, in the last layer `[U, C]`: after attention */
  readonly middle: Tensor;
  /** `[T, 2F]`, in the last layer `[U, 2F]`; where there are experts, as many rows for each as it passes through */
  readonly gateUp: Tensor;
  /** Which experts those are. */
  readonly routing?: Routing;
  /** `drop(x) Aᵀ` of the adapted linear layers */
  readonly z: ReadonlyMap<LinearName, Tensor>;
}

/** What a forward pass gives. */
export interface Forward {
  /** `[U, C]` hidden states of the output rows, after the final norm */
  readonly hidden: Tensor;
  /** `[U, C]` before the final norm; kept for the backward pass only */
  readonly last?: Tensor;
  readonly saved: readonly SavedLayer[];
}

/** A transformer with its weights on the GPU. */
export class Llama {
  readonly gpu: Gpu;
  readonly description: TransformerDescription;
  readonly weights: Weights;
  /** Width of a row of q, k and v side by side. */
  readonly #qkvWidth: number;
  readonly #angles: RopeTables;

  constructor(gpu: Gpu, description: TransformerDescription, weights: Weights) {
    const { heads, kvHeads, headDim } = description;
    this.gpu = gpu;
    this.description = description;
    this.weights = weights;
    this.#qkvWidth = (heads + 2 * kvHeads) * headDim;
    this.#angles = new RopeTables(gpu, description);
  }

  /** Query heads that share a key/value head. */
  get headGroup(): number {
    return this.description.heads / this.description.kvHeads;
  }

  /**
   * Runs a batch.
   *
   * In the last layer only the output rows go beyond attention: nobody reads the others.
   *
   * @param keep whether to keep what {@linkcode Llama.backward} needs; it frees it
   */
  forward(batch: PackedBatch, active?: ActiveAdapter, keep = false): Forward {
    const { gpu, weights, description: { normEpsilon: eps } } = this;
    const saved: SavedLayer[] = [];
    const angles = this.#angles.of(batch);
    let x = embed(gpu, weights.embedding, batch.ids, batch.rows);
    weights.layers.forEach((layer, index) => {
      const last = index === weights.layers.length - 1;
      const { y, ...kept } = this.#block(layer, index, x, batch, angles, active, last);
      if (keep) saved.push(kept);
      else gpu.free(...tensorsOf(kept));
      x = y;
    });
    this.#angles.release(angles);
    const hidden = norm(gpu, x, weights.finalNorm, batch.outputRows, eps);
    if (keep) return { hidden, last: x, saved };
    gpu.free(x);
    return { hidden, saved };
  }

  /** Puts keys and values of a batch into its cache; what no key or value depends on is not computed. */
  fill(batch: PackedBatch): void {
    const { gpu, weights: { embedding, layers } } = this;
    const angles = this.#angles.of(batch);
    let x = embed(gpu, embedding, batch.ids, batch.rows);
    layers.slice(0, -1).forEach((layer, index) => {
      const { y, ...kept } = this.#block(layer, index, x, batch, angles, undefined, false);
      gpu.free(...tensorsOf(kept));
      x = y;
    });
    const { qkv } = this.#project(layers.at(-1)!, layers.length - 1, x, batch, angles, undefined);
    this.#angles.release(angles);
    gpu.free(x, qkv);
  }

  /**
   * Hidden states `[U, C]` of the output rows after some layers, in their order; goes no further than the highest.
   *
   * @param layers 0 the embedding, n what block n gives, that of the last block after the final norm
   */
  hiddenStates(batch: PackedBatch, layers: readonly number[], active?: ActiveAdapter): Tensor[] {
    const { gpu, weights, description: { normEpsilon: eps } } = this;
    const highest = Math.max(...layers);
    const states = new Map<number, Tensor>();
    const angles = this.#angles.of(batch);
    let x = embed(gpu, weights.embedding, batch.ids, batch.rows);
    for (let layer = 0;; layer++) {
      // What the highest block gives are the output rows alone.
      const pruned = layer > 0 && layer === highest;
      if (layers.includes(layer)) {
        const rows = pruned ? x : gather(gpu, x, batch.outputs, batch.outputRows);
        const last = layer === weights.layers.length;
        states.set(layer, last ? norm(gpu, rows, weights.finalNorm, batch.outputRows, eps) : rows);
      }
      if (layer === highest) break;
      const { y, ...kept } = this.#block(
        weights.layers[layer],
        layer,
        x,
        batch,
        angles,
        active,
        layer + 1 === highest,
      );
      gpu.free(...tensorsOf(kept));
      x = y;
    }
    if (![...states.values()].includes(x)) gpu.free(x);
    this.#angles.release(angles);
    return layers.map((layer) => states.get(layer)!);
  }

  /**
   * Gradients of the adapter for one forward pass, added to `gradient`. Frees what the forward pass kept.
   *
   * Only adapted rows are differentiated; they come first in every buffer.
   *
   * @param dHidden `[adapted outputs, C]`: gradient of the loss for `forward.hidden`
   */
  backward(
    batch: PackedBatch,
    forward: Forward,
    dHidden: Tensor,
    active: ActiveAdapter,
    gradient: Gradient,
  ): void {
    const { gpu, weights, description: { width, normEpsilon: eps } } = this;
    const { adaptedRows, adaptedOutputs } = batch;
    // dx is the gradient of the residual stream; each block adds its share to it, going backwards.
    let dx = zeros(gpu, "dx", adaptedOutputs, width);
    normBackward(gpu, forward.last!, weights.finalNorm, dHidden, dx, adaptedOutputs, eps);
    const angles = this.#angles.of(batch);
    for (let index = weights.layers.length - 1; index >= 0; index--) {
      const layer = weights.layers[index], kept = forward.saved[index];
      const last = index === weights.layers.length - 1;
      const rows = last ? adaptedOutputs : adaptedRows;
      const after = last ? outputsOf(batch, active)! : active;
      const context = { index, kept, active: after, gradient };

      this.#feedForwardBackward(layer, context, dx, rows);
      const mixed = last ? gather(gpu, kept.attended, batch.outputs, rows) : kept.attended;
      let dAttended = gpu.tensor("dattended", "f32", [rows, kept.attended.shape[1]]);
      this.#linearBackward(layer, context, "o_proj", mixed, rows, whole(dx), dAttended, false);
      if (last) {
        gpu.free(mixed);
        dx = this.#spread(dx, batch, width);
        dAttended = this.#spread(dAttended, batch, kept.attended.shape[1]);
      }
      this.#attendBackward(layer, { ...context, active }, batch, angles, dAttended, dx, index > 0);
      gpu.free(...tensorsOf(kept));
    }
    this.#angles.release(angles);
    gpu.free(dx, forward.last!);
  }

  /** Frees the weights' companions; the weights belong to the caller. */
  free(): void {
    this.#angles.free();
  }

  /** One layer; with `prune`, only the output rows go beyond attention. */
  #block(
    layer: LayerWeights,
    index: number,
    x: Tensor,
    batch: PackedBatch,
    angles: Angles,
    active: ActiveAdapter | undefined,
    prune: boolean,
  ): SavedLayer & { readonly y: Tensor } {
    const { gpu } = this;
    const { qkv, attended, lse, z } = this.#attend(layer, index, x, batch, angles, active);
    const rows = prune ? batch.outputRows : batch.rows;
    const residual = prune ? gather(gpu, x, batch.outputs, rows) : x;
    const mixed = prune ? gather(gpu, attended, batch.outputs, rows) : attended;
    const after = prune ? outputsOf(batch, active) : active;
    const middle = gpu.tensor("middle", "f32", [rows, this.description.width]);
    this.#linear(layer, index, "o_proj", mixed, rows, whole(middle, residual), after, z);
    const { y, ...fed } = this.#feedForward(layer, index, middle, rows, after, z);
    if (prune) gpu.free(residual, mixed);
    return { x, qkv, attended, lse, middle, ...fed, z, y };
  }

  /** Norm, q, k, v, rotation and attention of one layer. */
  #attend(
    layer: LayerWeights,
    index: number,
    x: Tensor,
    batch: PackedBatch,
    angles: Angles,
    active: ActiveAdapter | undefined,
  ) {
    const { gpu, description: { heads, headDim } } = this;
    const { rows, schedule: { tiles, rowTile } } = batch;
    const { qkv, z } = this.#project(layer, index, x, batch, angles, active);
    const attended = gpu.tensor("attended", "f32", [rows, heads * headDim]);
    const lse = gpu.tensor("lse", "f32", [rows, heads]);
    const { kv, keyFirst } = this.#keysOf(batch, index, qkv);
    gpu.run(attention, {
      params: {
        tile_count: tiles.shape[0],
        ...this.#attentionShape(index, rows, keyFirst),
        q_stride: this.#qkvWidth,
        kv_rows: kv.shape[0],
        kv_stride: kv.shape[1],
      },
      buffers: { q: qkv, kv, tiles, y: attended, lse },
      constants: { head_dim: headDim, row_tile: rowTile },
    });
    return { qkv, attended, lse, z };
  }

  /** Norm, q, k, v and rotation of one layer; keys and values also go into the cache, if there is one. */
  #project(
    layer: LayerWeights,
    index: number,
    x: Tensor,
    batch: PackedBatch,
    angles: Angles,
    active: ActiveAdapter | undefined,
  ) {
    const { gpu, description: { heads, kvHeads, headDim, normEpsilon } } = this;
    const { rows } = batch;
    const z = new Map<LinearName, Tensor>();
    const normed = norm(gpu, x, layer.inputNorm, rows, normEpsilon);
    const qkv = gpu.tensor("qkv", "f32", [rows, this.#qkvWidth]);
    const part = (first: number) => ({ y: qkv, stride: this.#qkvWidth, first });
    this.#linear(layer, index, "q_proj", normed, rows, part(0), active, z);
    this.#linear(layer, index, "k_proj", normed, rows, part(heads * headDim), active, z);
    this.#linear(layer, index, "v_proj", normed, rows, part((heads + kvHeads) * headDim), active, z);
    gpu.free(normed);
    rotate(gpu, angles, qkv, { rows, heads: heads + kvHeads, direction: 1 });
    if (batch.cache) store(gpu, qkv, batch.cache.slots, batch.cache.layers[index], rows, heads * headDim);
    return { qkv, z };
  }

  /** Norm and feed-forward block of one layer, added to its middle. */
  #feedForward(
    layer: LayerWeights,
    index: number,
    middle: Tensor,
    rows: number,
    active: ActiveAdapter | undefined,
    z: Map<LinearName, Tensor>,
  ): { readonly y: Tensor } & Pick<SavedLayer, "gateUp" | "routing"> {
    const { gpu, description: { width, feedForward, normEpsilon } } = this;
    const normed = norm(gpu, middle, layer.postNorm, rows, normEpsilon);
    if (layer.experts) {
      const pass = this.#expertPass(rows, active?.rows ?? 0);
      const fed = expertsForward(gpu, layer.experts, normed, middle, pass);
      gpu.free(normed);
      return fed;
    }
    const gateUp = gpu.tensor("gate_up", "f32", [rows, 2 * feedForward]);
    const half = { y: gateUp, stride: 2 * feedForward };
    this.#linear(layer, index, "gate_proj", normed, rows, { ...half, first: 0 }, active, z);
    this.#linear(layer, index, "up_proj", normed, rows, { ...half, first: feedForward }, active, z);
    gpu.free(normed);
    const activated = gated(gpu, gateUp, rows);
    const y = gpu.tensor("layer", "f32", [rows, width]);
    this.#linear(layer, index, "down_proj", activated, rows, whole(y, middle), active, z);
    gpu.free(activated);
    return { y, gateUp };
  }

  /** Adds to `dx` what reaches the layer's middle through the feed-forward block. */
  #feedForwardBackward(layer: LayerWeights, context: LayerContext, dx: Tensor, rows: number): void {
    const { gpu, description: { normEpsilon } } = this;
    const { kept: { middle, gateUp, routing } } = context;
    const dNormed = routing
      ? expertsBackward(gpu, layer.experts!, gateUp, routing, dx, this.#expertPass(middle.shape[0], rows))
      : this.#gatedBackward(layer, context, dx, rows);
    normBackward(gpu, middle, layer.postNorm, dNormed, dx, rows, normEpsilon);
    gpu.free(dNormed);
  }

  /** The gradient `[rows, C]` that a feed-forward block without experts hands to its norm. */
  #gatedBackward(layer: LayerWeights, context: LayerContext, dx: Tensor, rows: number): Tensor {
    const { gpu, description: { width, feedForward, normEpsilon } } = this;
    const { kept: { middle, gateUp } } = context;
    const activated = this.#adapts(context, "down_proj") ? gated(gpu, gateUp, rows) : undefined;
    const dActivated = gpu.tensor("dgated", "f32", [rows, feedForward]);
    this.#linearBackward(layer, context, "down_proj", activated, rows, whole(dx), dActivated, false);
    const dGateUp = gatedBackward(gpu, gateUp, dActivated, rows);
    gpu.free(dActivated, ...(activated ? [activated] : []));

    const needed = this.#adapts(context, "gate_proj") || this.#adapts(context, "up_proj");
    const normed = needed ? norm(gpu, middle, layer.postNorm, rows, normEpsilon) : undefined;
    const dNormed = gpu.tensor("dnormed", "f32", [rows, width]);
    const half = { y: dGateUp, stride: 2 * feedForward };
    this.#linearBackward(layer, context, "gate_proj", normed, rows, { ...half, first: 0 }, dNormed, false);
    this.#linearBackward(
      layer,
      context,
      "up_proj",
      normed,
      rows,
      { ...half, first: feedForward },
      dNormed,
      true,
    );
    gpu.free(dGateUp, ...(normed ? [normed] : []));
    return dNormed;
  }

  #expertPass(rows: number, adaptedRows: number): ExpertPass {
    return { ...this.description.experts!, rows, adaptedRows };
  }

  /** Adds to `dx` what reaches the layer's input through attention. Frees `dAttended`. */
  #attendBackward(
    layer: LayerWeights,
    context: LayerContext,
    batch: PackedBatch,
    angles: Angles,
    dAttended: Tensor,
    dx: Tensor,
    inputNeeded: boolean,
  ): void {
    const { gpu, description: { heads, kvHeads, headDim, width, normEpsilon } } = this;
    const { kept } = context;
    const rows = batch.adaptedRows;
    const { tiles, keyTiles } = batch.schedule.backward!;
    const delta = gpu.tensor("delta", "f32", [rows, heads]);
    gpu.run(attentionDelta, {
      params: { rows, heads, head_dim: headDim },
      buffers: { y: kept.attended, dy: dAttended, delta },
    });
    const dQkv = gpu.tensor("dqkv", "f32", [rows, this.#qkvWidth]);
    const read = { lse: kept.lse, delta, dy: dAttended };
    const constants = { head_dim: headDim, row_tile: batch.schedule.rowTile };
    const { kv, keyFirst } = this.#keysOf(batch, context.index, kept.qkv);
    gpu.run(attentionBackwardQuery, {
      params: {
        tile_count: tiles.shape[0],
        ...this.#attentionShape(context.index, rows, keyFirst),
        q_stride: this.#qkvWidth,
        kv_rows: kv.shape[0],
        kv_stride: kv.shape[1],
      },
      buffers: { ...read, q: kept.qkv, kv, dq: dQkv, tiles },
      constants,
    });
    // Of keys in a cache, only those of the batch's own rows are differentiated, and they stand among its rows too.
    gpu.run(attentionBackwardKeyValue, {
      params: {
        tile_count: keyTiles.shape[0],
        ...this.#attentionShape(context.index, rows, heads * headDim),
        stride: this.#qkvWidth,
      },
      buffers: { ...read, qkv: kept.qkv, dqkv: dQkv, key_tiles: keyTiles, positions: batch.positions },
      constants,
    });
    gpu.free(delta, dAttended);
    rotate(gpu, angles, dQkv, { rows, heads: heads + kvHeads, direction: -1 });

    const adapts = (["q_proj", "k_proj", "v_proj"] as const).some((name) => this.#adapts(context, name));
    const normed = adapts ? norm(gpu, kept.x, layer.inputNorm, rows, normEpsilon) : undefined;
    // Below the first layer there is only the frozen embedding.
    const dNormed = inputNeeded ? gpu.tensor("dnormed", "f32", [rows, width]) : undefined;
    const part = (first: number) => ({ y: dQkv, stride: this.#qkvWidth, first });
    this.#linearBackward(layer, context, "q_proj", normed, rows, part(0), dNormed, false);
    this.#linearBackward(layer, context, "k_proj", normed, rows, part(heads * headDim), dNormed, true);
    this.#linearBackward(
      layer,
      context,
      "v_proj",
      normed,
      rows,
      part((heads + kvHeads) * headDim),
      dNormed,
      true,
    );
    if (dNormed) {
      normBackward(gpu, kept.x, layer.inputNorm, dNormed, dx, rows, normEpsilon);
      gpu.free(dNormed);
    }
    gpu.free(dQkv, ...(normed ? [normed] : []));
  }

  /** One linear layer with its LoRA site, if it has one; what LoRA's backward pass needs goes into `z`. */
  #linear(
    layer: LayerWeights,
    index: number,
    name: LinearName,
    x: Tensor,
    rows: number,
    target: Target,
    active: ActiveAdapter | undefined,
    z: Map<LinearName, Tensor>,
  ): void {
    const down = linear(
      this.gpu,
      WEIGHT[name](layer),
      x,
      rows,
      target,
      active,
      active?.adapter.site(index, name),
    );
    if (down) z.set(name, down);
    const bias = layer.biases[name];
    if (bias) addBiasTo(this.gpu, bias, target, rows);
  }

  /** Gradients of {@linkcode Llama.#linear}; `x` is needed where the layer is adapted. */
  #linearBackward(
    layer: LayerWeights,
    { index, kept, active, gradient }: LayerContext,
    name: LinearName,
    x: Tensor | undefined,
    rows: number,
    output: Target,
    dx: Tensor | undefined,
    accumulate: boolean,
  ): void {
    const site: LoraSite | undefined = active.adapter.site(index, name);
    const lora: LoraBackward | undefined = site && { active, site, z: kept.z.get(name)!, x: x!, gradient };
    const dy = { dy: output.y, stride: output.stride, first: output.first };
    linearBackward(this.gpu, WEIGHT[name](layer), rows, dy, dx, accumulate, lora);
  }

  #adapts({ index, active }: LayerContext, name: LinearName): boolean {
    return active.adapter.site(index, name) !== undefined;
  }

  /** Rows of outputs back at their places among all adapted rows, zeros elsewhere. Frees `x`. */
  #spread(x: Tensor, { outputs, adaptedRows, adaptedOutputs }: PackedBatch, width: number): Tensor {
    const y = zeros(this.gpu, x.label, adaptedRows, width);
    scatter(this.gpu, x, outputs, y, adaptedOutputs);
    this.gpu.free(x);
    return y;
  }

  /** Where a layer's keys and values lie: in the cache, or beside the queries. */
  #keysOf({ cache }: PackedBatch, layer: number, qkv: Tensor): { kv: Tensor; keyFirst: number } {
    const { heads, headDim } = this.description;
    return cache ? { kv: cache.layers[layer], keyFirst: 0 } : { kv: qkv, keyFirst: heads * headDim };
  }

  /** Parameters of a layer's attention and its gradients; keys begin at column `keyFirst` of their rows. */
  #attentionShape(layer: number, rows: number, keyFirst: number) {
    const { kvHeads, headDim, windows } = this.description;
    return {
      kv_heads: kvHeads,
      group: this.headGroup,
      rows,
      k_first: keyFirst,
      v_first: keyFirst + kvHeads * headDim,
      window: windows?.[layer] || NO_WINDOW,
      scale: 1 / Math.sqrt(headDim),
    };
  }
}

/** What the parts of a layer's backward pass share. */
interface LayerContext {
  readonly index: number;
  readonly kept: SavedLayer;
  readonly active: ActiveAdapter;
  readonly gradient: Gradient;
}

const WEIGHT: Readonly<Record<LinearName, (layer: LayerWeights) => Matrix>> = {
  q_proj: ({ q }) => q,
  k_proj: ({ k }) => k,
  v_proj: ({ v }) => v,
  o_proj: ({ o }) => o,
  // An adapter has no site on experts.
  gate_proj: ({ gate }) => gate!,
  up_proj: ({ up }) => up!,
  down_proj: ({ down }) => down!,
};

/** All tensors that a layer keeps. */
function tensorsOf({ x, qkv, attended, lse, middle, gateUp, routing, z }: SavedLayer): Tensor[] {
  return [x, qkv, attended, lse, middle, gateUp, ...Object.values(routing ?? {}), ...z.values()];
}

/** All columns of `y`. */
function whole(y: Tensor, residual?: Tensor): Target {
  return { y, stride: y.shape[1], first: 0, residual };
}

/** The adapter as it acts on the output rows, beyond attention in the last layer. */
function outputsOf(batch: PackedBatch, active?: ActiveAdapter): ActiveAdapter | undefined {
  const dropout = active?.dropout && { ...active.dropout, counters: batch.outputCounters };
  return active && { ...active, rows: batch.adaptedOutputs, dropout };
}
