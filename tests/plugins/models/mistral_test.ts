import { assertEquals } from "@std/assert";
import { mistral } from "@credence/credence";
import { testModelFamily } from "@credence/credence/testing";

/** Mistral 7B's config.json, as it is on the Hub. */
const MISTRAL = {
  architectures: ["MistralForCausalLM"],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: "mistral",
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  sliding_window: 4096,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.34.0.dev0",
  use_cache: true,
  vocab_size: 32000,
};

const DESCRIBED = {
  layers: 32,
  width: 4096,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  feedForward: 14336,
  vocabulary: 32000,
  contextLength: 32768,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: false,
  windows: Array(32).fill(4096),
};

const refusal = (change: Record<string, unknown>, message: string) => ({
  config: { ...MISTRAL, ...change },
  message,
});

testModelFamily(mistral, {
  describes: [{ config: MISTRAL, expected: DESCRIBED }],
  refuses: [
    refusal({ sliding_window: 0 }, '"sliding_window" is 0'),
    refusal({ sliding_window: "4096" }, '"sliding_window" is "4096"'),
    refusal({ attention_bias: true }, '"attention_bias" is true'),
    refusal({ layer_types: ["sliding_attention"] }, '"layer_types" is'),
  ],
});

Deno.test("mistral has no window where it is null, as in Mistral 7B Instruct v0.2", () => {
  const { windows, ropeTheta } = mistral.describe({ ...MISTRAL, sliding_window: null, rope_theta: 1e6 });
  assertEquals([windows, ropeTheta], [undefined, 1e6]);
});

Deno.test("mistral takes for absent fields what transformers does: a window of 4096, and 8 key/value heads", () => {
  const { sliding_window: _, num_key_value_heads: __, ...rest } = MISTRAL;
  const { windows, kvHeads } = mistral.describe({ ...rest, num_attention_heads: 16 });
  assertEquals([windows, kvHeads], [Array(32).fill(4096), 8]);
});

Deno.test("mistral has as many key/value heads as query heads where their number is null", () => {
  assertEquals(mistral.describe({ ...MISTRAL, num_key_value_heads: null }).kvHeads, 32);
});

Deno.test("mistral's aliases are those of the research code", () => {
  assertEquals(mistral.aliases, {
    "mistral:7b": "hf:mistralai/Mistral-7B-v0.1",
    "mistral:7b-instruct": "hf:mistralai/Mistral-7B-Instruct-v0.2",
  });
});
