import { llama, type ModelFamily } from "@credence/credence";

/** A Llama whose `config.json` calls itself, and its layers, by other names. */
export const renamedLlama: ModelFamily = {
  kind: "model",
  name: "acme/llama",
  version: 1,
  description: "Acme's Llama, which counts its layers as n_layers",
  defaults: {},
  modelTypes: ["acme-llama"],
  aliases: { "acme:tiny": new URL("./tiny/", import.meta.url) },
  describe: ({ n_layers, ...config }) => llama.describe({ ...config, num_hidden_layers: n_layers }),
};
