/** The shape of a decoder-only transformer of the Llama family. */
export interface TransformerDescription {
  /** Blocks of attention and feed-forward. */
  readonly layers: number;
  /** Values of a hidden state, `C`. */
  readonly width: number;
  /** Query heads, `H`. */
  readonly heads: number;
  /** Key/value heads, `K`; divides `heads`. */
  readonly kvHeads: number;
  /** Values of a head, `D`; `heads` × `headDim` may differ from `width`. */
  readonly headDim: number;
  /** Width of the gated feed-forward layer. */
  readonly feedForward: number;
  /** Rows of the embedding, `V`; at least as many as the tokenizer has tokens. */
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly contextLength: number;
  /** Added to the mean square in RMSNorm. */
  readonly normEpsilon: number;
  /** Base wavelength of the rotary embedding, unitless. */
  readonly ropeTheta: number;
  /** How angles are changed so that a model reads further than it was first trained to; absent if they are not. */
  readonly ropeScaling?: RopeScaling;
  /** Whether the output layer is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** Linear layers whose output has a bias added; none if absent. */
  readonly biases?: readonly LinearName[];
  /** Keys that a query of each layer sees at most, its own included; 0 for all, as in every layer if absent. */
  readonly windows?: readonly number[];
  /** Several feed-forward layers of which each token takes a few; one for all tokens if absent. */
  readonly experts?: ExpertDescription;
}

/** A linear layer of a transformer block, by its Hugging Face name. */
export type LinearName = "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate_proj" | "up_proj" | "down_proj";

/** Experts with top-k routing: softmax over the router's logits, the `perToken` largest kept and made to sum to 1. */
export interface ExpertDescription {
  /** Feed-forward layers of a block. */
  readonly count: number;
  /** How many of them a token passes through. */
  readonly perToken: number;
}

/**
 * Scalings of rotary positions, by their `rope_type` in `config.json` and with its constants. Lengths are in tokens,
 * factors unitless. Source: `transformers/modeling_rope_utils.py`.
 */
export type RopeScaling =
  /** All angles are divided by the factor. */
  | { readonly type: "linear"; readonly factor: number }
  /** The base grows with a sequence that is longer than the original context (NTK-aware). */
  | { readonly type: "dynamic"; readonly factor: number; readonly originalContext: number }
  /** Low frequencies are divided by the factor, high ones kept, those between blended (Llama 3.1). */
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalContext: number;
  }
  /** As in YaRN, arXiv 2309.00071; cosines and sines are multiplied by `attentionFactor`. */
  | {
    readonly type: "yarn";
    readonly factor: number;
    readonly originalContext: number;
    readonly betaFast: number;
    readonly betaSlow: number;
    readonly attentionFactor: number;
    /** Whether the bounds of the blend are rounded to whole dimensions. */
    readonly truncate: boolean;
  };
