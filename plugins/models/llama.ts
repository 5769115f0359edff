import { dataError, type ModelFamily } from "../../core/mod.ts";

/** Fields that change what is computed, with the values that are implemented. */
const MUST_BE: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ["silu"],
  attention_bias: [false],
  mlp_bias: [false],
  rope_scaling: [null],
  pretraining_tp: [1],
  attention_dropout: [0],
};

/** Llama 2 and its like. */
export const llama: ModelFamily = {
  kind: "model",
  name: "llama",
  version: 1,
  description: "The Llama family, and the embedded model `facts`",
  defaults: {},
  modelTypes: ["llama"],
  aliases: { facts: new URL("../../assets/facts/model/", import.meta.url) },
  describe(config) {
    const where = "config.json";
    for (const [key, values] of Object.entries(MUST_BE)) {
      const value = config[key];
      if (value !== undefined && value !== null && !values.includes(value)) {
        const fix = `only ${
          values.map((item) => JSON.stringify(item)).join(" or ")
        } is implemented; use another model`;
        throw dataError(`"${key}" is ${JSON.stringify(value)}`, where, fix);
      }
    }
    const count = (key: string, fallback?: number): number => {
      const value = config[key] ?? fallback;
      if (!Number.isInteger(value) || (value as number) < 1) {
        throw dataError(
          `"${key}" is ${JSON.stringify(config[key])}`,
          where,
          "it must be a whole number from 1",
        );
      }
      return value as number;
    };
    const positive = (key: string, value: unknown, fallback?: number): number => {
      const number = value ?? fallback;
      if (typeof number !== "number" || !(number > 0)) {
        throw dataError(`"${key}" is ${JSON.stringify(value)}`, where, "it must be a number above 0");
      }
      return number;
    };
    const width = count("hidden_size"), heads = count("num_attention_heads");
    const kvHeads = count("num_key_value_heads", heads),
      headDim = count("head_dim", Math.floor(width / heads));
    const feedForward = count("intermediate_size");
    for (
      const [name, value, multiple] of [
        ["hidden_size", width, 8],
        ["intermediate_size", feedForward, 8],
        ["head_dim * num_attention_heads", headDim * heads, 8],
        ["head_dim", headDim, 8],
      ] as const
    ) {
      if (value % multiple !== 0) {
        throw dataError(`${name} is ${value}`, where, `only multiples of ${multiple} are implemented`);
      }
    }
    if (heads % kvHeads !== 0) {
      const what = `${heads} attention heads cannot share ${kvHeads} key/value heads evenly`;
      throw dataError(what, where, "repair the config.json");
    }
    // transformers 5 keeps theta in rope_parameters, earlier versions at the top level.
    const rope = config.rope_parameters as { rope_theta?: unknown; rope_type?: unknown } | undefined;
    if (rope?.rope_type !== undefined && rope.rope_type !== "default") {
      throw dataError(
        `"rope_type" is ${JSON.stringify(rope.rope_type)}`,
        where,
        'only "default" is implemented',
      );
    }
    return {
      layers: count("num_hidden_layers"),
      width,
      heads,
      kvHeads,
      headDim,
      feedForward,
      vocabulary: count("vocab_size"),
      contextLength: count("max_position_embeddings"),
      normEpsilon: positive("rms_norm_eps", config.rms_norm_eps, 1e-6),
      ropeTheta: positive("rope_theta", rope?.rope_theta ?? config.rope_theta, 10000),
      tiedEmbeddings: config.tie_word_embeddings === true,
    };
  },
};
