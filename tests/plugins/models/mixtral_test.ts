import { assertEquals } from "@std/assert";
import { mixtral } from "@credence/credence";
import { testModelFamily } from "@credence/credence/testing";

/** Mixtral 8x22B's config.json, as it is on the Hub. */
const MIXTRAL = {
  architectures: ["MixtralForCausalLM"],
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 6144,
  initializer_range: 0.02,
  intermediate_size: 16384,
  max_position_embeddings: 65536,
  model_type: "mixtral",
  num_attention_heads: 48,
  num_experts_per_tok: 2,
  num_hidden_layers: 56,
  num_key_value_heads: 8,
  num_local_experts: 8,
  output_router_logits: false,
  rms_norm_eps: 1e-5,
  rope_theta: 1000000,
  router_aux_loss_coef: 0.001,
  router_jitter_noise: 0,
  sliding_window: null,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.38.0",
  use_cache: true,
  vocab_size: 32000,
};

const refusal = (change: Record<string, unknown>, message: string) => ({
  config: { ...MIXTRAL, ...change },
  message,
});

testModelFamily(mixtral, {
  describes: [{
    config: MIXTRAL,
    expected: {
      layers: 56,
      width: 6144,
      heads: 48,
      kvHeads: 8,
      headDim: 128,
      feedForward: 16384,
      vocabulary: 32000,
      contextLength: 65536,
      normEpsilon: 1e-5,
      ropeTheta: 1000000,
      tiedEmbeddings: false,
      experts: { count: 8, perToken: 2 },
    },
  }],
  refuses: [
    refusal({ num_local_experts: 0 }, '"num_local_experts" is 0'),
    refusal({ num_local_experts: undefined }, '"num_local_experts" is undefined'),
    refusal({ num_experts_per_tok: 9 }, '"num_experts_per_tok" is 9'),
    refusal({ router_jitter_noise: 0.1 }, '"router_jitter_noise" is 0.1'),
    refusal({ norm_topk_prob: true }, '"norm_topk_prob" is true'),
  ],
});

Deno.test("mixtral takes for absent fields what transformers does, which is not what Llama takes", () => {
  const { rms_norm_eps: _, rope_theta: __, num_key_value_heads: ___, sliding_window: ____, ...rest } =
    MIXTRAL;
  const { normEpsilon, ropeTheta, kvHeads, windows } = mixtral.describe(rest);
  assertEquals([normEpsilon, ropeTheta, kvHeads, windows], [1e-5, 1e6, 8, undefined]);
});

Deno.test("mixtral reads a sliding window", () => {
  assertEquals(mixtral.describe({ ...MIXTRAL, sliding_window: 4096 }).windows, Array(56).fill(4096));
});

Deno.test("mixtral's aliases are those of the research code", () => {
  assertEquals(mixtral.aliases, {
    "mixtral:8x22b": "hf:mistralai/Mixtral-8x22B-v0.1",
    "mixtral:8x22b-instruct": "hf:mistralai/Mixtral-8x22B-Instruct-v0.1",
  });
});
