import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { exists, llama, readJson, type TransformerDescription, UserError } from "@credence/credence";
import { testModelFamily } from "@credence/credence/testing";

/** Llama 2 7B's config.json, as transformers 4 wrote it. */
const LLAMA_2 = {
  model_type: "llama",
  attention_bias: false,
  hidden_act: "silu",
  hidden_size: 4096,
  intermediate_size: 11008,
  max_position_embeddings: 4096,
  mlp_bias: false,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10000,
  tie_word_embeddings: false,
  torch_dtype: "float16",
  vocab_size: 32000,
};

const DESCRIBED: TransformerDescription = {
  layers: 32,
  width: 4096,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  feedForward: 11008,
  vocabulary: 32000,
  contextLength: 4096,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: false,
};

const without = (...keys: readonly string[]) =>
  Object.fromEntries(Object.entries(LLAMA_2).filter(([key]) => !keys.includes(key)));

const refusal = (change: Record<string, unknown>, message: string) => ({
  config: { ...LLAMA_2, ...change },
  message,
});

testModelFamily(llama, {
  describes: [{ config: LLAMA_2, expected: DESCRIBED }],
  refuses: [
    refusal({ hidden_act: "gelu" }, '"hidden_act" is "gelu"'),
    refusal({ attention_bias: "yes" }, '"attention_bias" is "yes"'),
    refusal({ mlp_bias: 1 }, '"mlp_bias" is 1'),
    refusal({ rope_interleaved: true }, '"rope_interleaved" is true'),
    refusal(
      { rope_scaling: { rope_type: "longrope", factor: 4 } },
      '"rope_scaling" is {"rope_type":"longrope"',
    ),
    refusal(
      { rope_scaling: { type: "linear", factor: 0 } },
      '"rope_scaling" is {"type":"linear","factor":0}',
    ),
    refusal({ rope_scaling: { type: "linear", factor: 2, partial_rotary_factor: 0.5 } }, '"rope_scaling" is'),
    refusal({ rope_scaling: "linear" }, '"rope_scaling" is "linear"'),
    refusal({ quantization_config: { bits: 4 } }, '"quantization_config" is {"bits":4}'),
    refusal({ sliding_window: 4096 }, '"sliding_window" is 4096'),
    refusal({ a_new_field: 1 }, '"a_new_field" is 1'),
    refusal({ rope_scaling: { rope_type: "llama3" } }, '"rope_scaling" is {"rope_type":"llama3"}'),
    refusal(
      { rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
      '"rope_scaling" is {"rope_type":"llama3"',
    ),
    refusal(
      {
        rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 10000 },
        rope_scaling: { type: "linear", factor: 4 },
      },
      '"rope_scaling" is {"type":"linear","factor":4}',
    ),
    refusal(
      {
        rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 5e5 },
        rope_scaling: { type: "linear", factor: 2 },
      },
      '"rope_scaling" is {"type":"linear","factor":2}',
    ),
    refusal({ attention_dropout: 0.1 }, '"attention_dropout" is 0.1'),
    refusal({ rope_parameters: { rope_type: "yarn", truncate: 1 } }, '"rope_parameters" is'),
    refusal({ num_hidden_layers: 0 }, '"num_hidden_layers" is 0'),
    refusal({ num_hidden_layers: 1.5 }, '"num_hidden_layers" is 1.5'),
    refusal({ vocab_size: "32000" }, '"vocab_size" is "32000"'),
    refusal({ hidden_size: undefined }, '"hidden_size" is undefined'),
    refusal({ rms_norm_eps: 0 }, '"rms_norm_eps" is 0'),
    refusal({ rope_theta: "10000" }, '"rope_theta" is "10000"'),
    refusal({ hidden_size: 4100, head_dim: 128 }, "hidden_size is 4100"),
    refusal({ intermediate_size: 11004 }, "intermediate_size is 11004"),
    refusal({ head_dim: 4 }, "head_dim is 4"),
    refusal({ num_key_value_heads: 5 }, "32 attention heads cannot share 5 key/value heads evenly"),
  ],
});

Deno.test("llama reads what is not written as transformers does", () => {
  const config = without(
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "hidden_act",
    "pretraining_tp",
  );
  assertEquals(llama.describe(config), { ...DESCRIBED, normEpsilon: 1e-6 });
});

Deno.test("llama reads grouped heads, a head width of its own, tied embeddings and a null as unset", () => {
  const config = {
    ...LLAMA_2,
    num_key_value_heads: 8,
    head_dim: 64,
    tie_word_embeddings: true,
    rms_norm_eps: null,
  };
  assertEquals(llama.describe(config), {
    ...DESCRIBED,
    kvHeads: 8,
    headDim: 64,
    tiedEmbeddings: true,
    normEpsilon: 1e-6,
  });
});

Deno.test("llama reads rope_theta where transformers 5 keeps it, before where transformers 4 did", () => {
  const inside = { ...LLAMA_2, rope_parameters: { rope_type: "default", rope_theta: 500000 } };
  assertEquals(llama.describe(inside).ropeTheta, 500000);
  assertEquals(llama.describe({ ...LLAMA_2, rope_theta: 20000 }).ropeTheta, 20000);
});

Deno.test("llama reads a scaling that stands in both forms, if they say the same", () => {
  const scaling = { rope_type: "linear", factor: 2 };
  const { ropeTheta, ropeScaling } = llama.describe({
    ...LLAMA_2,
    rope_theta: 500000,
    rope_scaling: { type: "linear", factor: 2 },
    rope_parameters: { ...scaling, rope_theta: 500000 },
  });
  assertEquals([ropeTheta, ropeScaling], [500000, { type: "linear", factor: 2 }]);
  const empty = llama.describe({ ...LLAMA_2, rope_scaling: scaling, rope_parameters: {} });
  assertEquals(empty.ropeScaling, { type: "linear", factor: 2 });
});

Deno.test("llama's errors are about the data, and name the file", () => {
  const error = assertThrows(() => llama.describe({ ...LLAMA_2, hidden_act: "gelu" }), UserError);
  assertEquals([error.kind, error.where], ["data", "config.json"]);
});

Deno.test("llama ignores fields that change nothing, and those that are unset", () => {
  const more = {
    pretraining_tp: 2,
    _name_or_path: "x",
    use_cache: true,
    a_new_field: null,
    another: [],
    more: false,
  };
  assertEquals(llama.describe({ ...LLAMA_2, ...more }), DESCRIBED);
});

Deno.test("llama reads the biases of attention and of the feed-forward layer", () => {
  assertEquals(llama.describe({ ...LLAMA_2, attention_bias: true }).biases, [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
  ]);
  assertEquals(llama.describe({ ...LLAMA_2, mlp_bias: true }).biases, ["gate_proj", "up_proj", "down_proj"]);
});

Deno.test("llama reads Llama 3.2's scaling, and its context as it stands", () => {
  const { contextLength, ropeTheta, ropeScaling } = llama.describe({
    ...LLAMA_2,
    max_position_embeddings: 131072,
    rope_theta: 500000,
    rope_scaling: {
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
  });
  assertEquals([contextLength, ropeTheta], [131072, 500000]);
  assertEquals(ropeScaling, {
    type: "llama3",
    factor: 32,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 8192,
  });
});

for (
  const [scaling, context] of [
    [{ type: "linear", factor: 2 }, 8192],
    [{ rope_type: "dynamic", factor: 2.5 }, 10240],
    [{ rope_type: "yarn", factor: 4, original_max_position_embeddings: 4096 }, 16384],
    [{ rope_type: "yarn", factor: 2, original_max_position_embeddings: 1024 }, 4096],
    [{ rope_type: "default" }, 4096],
  ] as const
) {
  Deno.test(`llama's context with ${JSON.stringify(scaling)} is ${context} tokens`, () => {
    assertEquals(llama.describe({ ...LLAMA_2, rope_scaling: scaling }).contextLength, context);
  });
}

Deno.test("llama reads SmolLM2's config.json as it is on the Hub", () => {
  const description = llama.describe({
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 0,
    eos_token_id: 0,
    hidden_act: "silu",
    hidden_size: 576,
    initializer_range: 0.041666666666666664,
    intermediate_size: 1536,
    is_llama_config: true,
    max_position_embeddings: 8192,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: 9,
    num_hidden_layers: 30,
    num_key_value_heads: 3,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_interleaved: false,
    rope_scaling: null,
    rope_theta: 100000,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    transformers_version: "4.40.1",
    use_cache: true,
    vocab_size: 49152,
  });
  assertEquals([description.heads, description.kvHeads, description.headDim], [9, 3, 64]);
});

Deno.test('llama has the embedded model under the alias "facts", and Hub names under the others', async () => {
  const { facts, ...others } = llama.aliases;
  const config = await readJson(new URL("config.json", facts)) as Record<string, unknown>;
  assertEquals(llama.describe(config).layers, config.num_hidden_layers);
  for (const name of ["model.safetensors", "tokenizer.json"]) {
    assertEquals(await exists(new URL(name, facts)), true, name);
  }
  for (const [alias, name] of Object.entries(others)) {
    assertMatch(alias, /^(llama2|llama3|llama3\.2|smollm2):[a-z0-9.]+(-chat|-instruct)?$/);
    assertMatch(name as string, /^hf:(meta-llama|HuggingFaceTB)\/[\w.-]+$/);
  }
});
