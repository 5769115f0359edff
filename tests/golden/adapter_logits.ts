/**
 * Logits behind the last token of sequences, for check_peft.py: reads them as JSON from standard input, and writes
 * JSON to standard output.
 *
 *     deno run -A tests/golden/adapter_logits.ts <model folder> <adapter folder>
 */
import { builtins } from "@credence/credence";
import { isModelFamily } from "../../core/mod.ts";
import { Gpu } from "../../kernels/gpu.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { readConfigFile } from "../../model/config_file.ts";
import { Llama } from "../../model/llama.ts";
import { loadAdapter } from "../../model/peft.ts";
import { loadWeights } from "../../model/weights.ts";
import { activatedLogits, allLogits } from "../model/_logits.ts";

const [folder, adapterFolder] = Deno.args;
const sequences: number[][] = await new Response(Deno.stdin.readable).json();
const config = await readConfigFile(`${folder}/config.json`);
const families = builtins.filter(isModelFamily);
const description = families.find(({ modelTypes }) => modelTypes.includes(String(config.model_type)))!
  .describe(config);
const gpu = await Gpu.open();
using checkpoint = await Checkpoint.open(folder);
const model = new Llama(gpu, description, await loadWeights(gpu, checkpoint, description));
const adapter = await loadAdapter(gpu, description, adapterFolder);
const logits: number[][] = [];
for (const tokens of sequences) {
  const [last] = adapter.options.invocationTokens
    ? await activatedLogits(model, [tokens], adapter)
    : (await allLogits(model, tokens, adapter)).slice(-1);
  logits.push([...last]);
}
await new Response(JSON.stringify({ scales: adapter.sites.map(({ scale }) => scale), logits })).body!
  .pipeTo(Deno.stdout.writable);
gpu.destroy();
