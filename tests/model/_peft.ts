import { createRng } from "../../core/rng.ts";
import type { LoraOptions, TrainingExample } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { LoraAdapter } from "../../model/adapter.ts";
import { moduleName } from "../../model/lora_sites.ts";
import { saveAdapter } from "../../model/peft.ts";
import { readDescription } from "./_golden.ts";

/** What PEFT computes with an adapter: see tests/golden/README.md. */
export interface GoldenAdapter {
  /** The recorded model it is for. */
  readonly model: string;
  /** Factor of each layer that PEFT adapted, by the layer's name. */
  readonly scales: Readonly<Record<string, number>>;
  readonly sequences: readonly { readonly tokens: number[]; readonly logits: number[] }[];
  readonly training?: {
    readonly examples: readonly TrainingExample[];
    readonly loss: { readonly choice: number; readonly divergence: number };
  };
}

/** Adapters that PEFT wrote, by what is special about them. */
export const PEFT_KINDS = [
  "rslora",
  "full-names",
  "regex",
  "all-linear-saved",
  "all-linear",
  "exclude-list",
  "exclude-regex",
  "layers",
  "one-layer",
  "patterns",
  "patterns-rslora",
  "lora-bias",
  "default-names",
  "f16",
  "bf16",
  "calibrated",
] as const;

/** Adapters that we write, with the seed of their values. */
export const OUR_KINDS: Readonly<Record<string, { model: string; seed: number; options: LoraOptions }>> = {
  "ours-plain": {
    model: "gqa2-bf16",
    seed: 1,
    options: { rank: 3, alpha: 12, dropout: 0.1, targetModules: ["q_proj", "v_proj"] },
  },
  "ours-patterns": {
    model: "mha-f32",
    seed: 2,
    options: {
      rank: 2,
      alpha: 5,
      dropout: 0,
      targetModules: String.raw`model\.layers\.\d+\.(self_attn|mlp)\.(?:[qo]|down|gate)_proj`,
      excludeModules: ["0.mlp.down_proj"],
      useRslora: true,
      rankPattern: { "0.self_attn.[qo]_proj": 5, gate_proj: 1 },
      alphaPattern: { "^model.layers.1.*": 7 },
    },
  },
  "ours-layers": {
    model: "gqa2-bf16",
    seed: 3,
    options: {
      rank: 4,
      alpha: 8,
      dropout: 0.05,
      targetModules: ["k_proj", "model.layers.0.mlp.gate_proj", "o_proj"],
      layersToTransform: [0, 2],
      layersPattern: ["layers"],
    },
  },
  "ours-bias": {
    model: "gqa4-f16",
    seed: 4,
    options: { rank: 2, alpha: 6, dropout: 0, targetModules: "all-linear", loraBias: true },
  },
};

/** Path of a file of a recorded adapter. */
export function peftPath(...parts: string[]): string {
  return [new URL("../golden/peft", import.meta.url).pathname, ...parts].join("/");
}

/** What PEFT computed with an adapter. */
export async function readGoldenAdapter(kind: string): Promise<GoldenAdapter> {
  return JSON.parse(await Deno.readTextFile(peftPath(kind, "expected.json")));
}

/** Writes an adapter of ours into a folder. */
export async function writeOurs(gpu: Gpu, kind: string, folder: string): Promise<void> {
  const { model, seed, options } = OUR_KINDS[kind];
  const adapter = new LoraAdapter(gpu, await readDescription(model), options);
  const rng = createRng(seed);
  const values = new Float32Array(adapter.values.shape[0]);
  const draw = (first: number, rows: number, columns: number, stride: number, scale: number) => {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        values[first + row * stride + column] = scale * (2 * rng.random() - 1);
      }
    }
  };
  for (const { rank, paddedRank, inputs, outputs, aFirst, bFirst, biasFirst } of adapter.sites) {
    draw(aFirst, rank, inputs, inputs, 1 / Math.sqrt(inputs));
    draw(bFirst, outputs, rank, paddedRank, 0.2);
    if (biasFirst !== undefined) draw(biasFirst, 1, outputs, outputs, 0.2);
  }
  gpu.write(adapter.values, values);
  await saveAdapter(adapter, folder, model);
  adapter.free();
}

/** The parts of a flat vector, by PEFT's names, without the padding of the rank. */
export function byName(adapter: LoraAdapter, values: Float32Array): Map<string, Float32Array> {
  return new Map(
    adapter.sites.flatMap(({ layer, name, rank, paddedRank, inputs, outputs, aFirst, bFirst }) => {
      const prefix = `base_model.model.${moduleName(layer, name)}`;
      const b = Float32Array.from(
        { length: outputs * rank },
        (_, index) => values[bFirst + Math.floor(index / rank) * paddedRank + index % rank],
      );
      return [
        [`${prefix}.lora_A.weight`, values.slice(aFirst, aFirst + rank * inputs)] as const,
        [`${prefix}.lora_B.weight`, b] as const,
      ];
    }),
  );
}
