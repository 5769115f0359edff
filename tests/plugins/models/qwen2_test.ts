import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { qwen2, UserError } from "@credence/credence";
import { testModelFamily } from "@credence/credence/testing";

/** Qwen2.5 0.5B's config.json, as it is on the Hub. */
const QWEN = {
  architectures: ["Qwen2ForCausalLM"],
  attention_dropout: 0,
  bos_token_id: 151643,
  eos_token_id: 151643,
  hidden_act: "silu",
  hidden_size: 896,
  initializer_range: 0.02,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 24,
  model_type: "qwen2",
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.40.1",
  use_cache: true,
  use_mrope: false,
  use_sliding_window: false,
  vocab_size: 151936,
};

const DESCRIBED = {
  layers: 24,
  width: 896,
  heads: 14,
  kvHeads: 2,
  headDim: 64,
  feedForward: 4864,
  vocabulary: 151936,
  contextLength: 32768,
  normEpsilon: 1e-6,
  ropeTheta: 1000000,
  tiedEmbeddings: true,
  biases: ["q_proj", "k_proj", "v_proj"] as const,
};

const refusal = (change: Record<string, unknown>, message: string) => ({
  config: { ...QWEN, ...change },
  message,
});

testModelFamily(qwen2, {
  describes: [{ config: QWEN, expected: DESCRIBED }],
  refuses: [
    refusal({ use_mrope: true }, '"use_mrope" is true'),
    refusal({ max_window_layers: -1 }, '"max_window_layers" is -1'),
    refusal({ layer_types: ["full_attention"] }, '"layer_types" is ["full_attention"]'),
    refusal({ layer_types: Array(24).fill("linear_attention") }, '"layer_types" is ["linear_attention"'),
    refusal({ use_sliding_window: 1 }, '"use_sliding_window" is 1'),
    refusal({ layer_types: Array(24).fill("sliding_attention") }, '"layer_types" is ["sliding_attention"'),
  ],
});

Deno.test("qwen2 has windows in the layers from max_window_layers on, where they are used", () => {
  const windowed = { ...QWEN, use_sliding_window: true, sliding_window: 64 };
  assertEquals(qwen2.describe({ ...windowed, max_window_layers: 22 }).windows, [
    ...Array(22).fill(0),
    64,
    64,
  ]);
});

Deno.test("qwen2 has windows in the layers that layer_types names, as transformers 5 writes them", () => {
  const layer_types = ["sliding_attention", ...Array(23).fill("full_attention")];
  const { windows } = qwen2.describe({ ...QWEN, use_sliding_window: true, sliding_window: 64, layer_types });
  assertEquals(windows, [64, ...Array(23).fill(0)]);
});

Deno.test("qwen2 takes for absent fields what transformers does: a window of 4096 from layer 28 on", () => {
  const { sliding_window: _, max_window_layers: __, ...rest } = QWEN;
  const { windows } = qwen2.describe({ ...rest, num_hidden_layers: 30, use_sliding_window: true });
  assertEquals(windows, [...Array(28).fill(0), 4096, 4096]);
});

Deno.test("qwen2 has 32 key/value heads where their number is absent, as in transformers", () => {
  const { num_key_value_heads: _, ...rest } = QWEN;
  assertEquals(qwen2.describe({ ...rest, num_attention_heads: 32, head_dim: 64 }).kvHeads, 32);
  const error = assertThrows(() => qwen2.describe(rest), UserError);
  assertEquals(error.what, "14 attention heads cannot share 32 key/value heads evenly");
});

Deno.test("qwen2 has no window where it is null, whatever use_sliding_window says", () => {
  const off = { use_sliding_window: true, sliding_window: null, max_window_layers: 0 };
  assertEquals(qwen2.describe({ ...QWEN, ...off }).windows, undefined);
});

Deno.test("qwen2's aliases are Qwen's models", () => {
  for (const [alias, name] of Object.entries(qwen2.aliases)) {
    assertMatch(alias, /^qwen2(\.5)?:[0-9.]+b(-instruct)?$/);
    assertMatch(name as string, /^hf:Qwen\/Qwen2(\.5)?-[0-9.]+B(-Instruct)?$/);
    assertEquals(alias.endsWith("-instruct"), (name as string).endsWith("-Instruct"));
  }
});
