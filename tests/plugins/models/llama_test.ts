import { assertEquals, assertThrows } from "@std/assert";
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
    refusal({ attention_bias: true }, '"attention_bias" is true'),
    refusal({ mlp_bias: true }, '"mlp_bias" is true'),
    refusal({ rope_scaling: { rope_type: "llama3" } }, '"rope_scaling" is {"rope_type":"llama3"}'),
    refusal({ pretraining_tp: 2 }, '"pretraining_tp" is 2'),
    refusal({ attention_dropout: 0.1 }, '"attention_dropout" is 0.1'),
    refusal({ rope_parameters: { rope_type: "yarn" } }, '"rope_type" is "yarn"'),
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

Deno.test("llama's errors are about the data, and name the file", () => {
  const error = assertThrows(() => llama.describe({ ...LLAMA_2, hidden_act: "gelu" }), UserError);
  assertEquals([error.kind, error.where], ["data", "config.json"]);
});

for (const [alias, folder] of Object.entries(llama.aliases)) {
  Deno.test(`llama's alias "${alias}" is the folder of a checkpoint that llama describes`, async () => {
    const config = await readJson(new URL("config.json", folder)) as Record<string, unknown>;
    assertEquals(llama.modelTypes.includes(config.model_type as string), true);
    assertEquals(llama.describe(config).layers, config.num_hidden_layers);
    for (const name of ["model.safetensors", "tokenizer.json"]) {
      assertEquals(await exists(new URL(name, folder)), true, name);
    }
  });
}

Deno.test('llama has the embedded model under the alias "facts"', () => {
  assertEquals(Object.keys(llama.aliases).includes("facts"), true);
});
