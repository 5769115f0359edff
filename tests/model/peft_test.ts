import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import type { LoraOptions } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { LoraAdapter } from "../../model/adapter.ts";
import { loadAdapter, saveAdapter } from "../../model/peft.ts";
import { saveTemperature } from "../../model/temperature_file.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { loraPrompt } from "../../plugins/methods/lora_prompt.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { editJson, editTensors, type RawTensor, readRaw, withFolder } from "./_files.ts";
import { peftPath } from "./_peft.ts";
import { GOLDEN_CASES, goldenPath, readDescription } from "./_golden.ts";

/** Ranks of the adapters that PEFT wrote: 8, 3 and 4. */
const GOLDEN = "gqa2-bf16";

const FIRST_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

/** Runs with a copy of an adapter that PEFT wrote. */
async function withAdapterFolder(work: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
      await Deno.copyFile(goldenPath(GOLDEN, "adapter", name), `${folder}/${name}`);
    }
    await work(folder);
  });
}

/** Checks that an adapter whose tensors were changed is refused, with nothing left on the GPU. */
async function assertTensorsRefused(
  gpu: Gpu,
  edit: (tensors: Map<string, RawTensor>) => void,
  what: string,
): Promise<void> {
  await withAdapterFolder(async (folder) => {
    const path = `${folder}/adapter_model.safetensors`;
    await editTensors(path, edit);
    const model = await readDescription(GOLDEN);
    const error = await assertRejects(() => loadAdapter(gpu, model, folder), UserError);
    assertEquals([error.kind, error.what, error.where], ["data", what, path]);
  });
}

for (const name of GOLDEN_CASES) {
  gpuTest(
    `saveAdapter() of ${name} writes the tensors that loadAdapter() read from PEFT, byte for byte`,
    async (gpu) => {
      await withFolder(async (folder) => {
        const adapter = await loadAdapter(gpu, await readDescription(name), goldenPath(name, "adapter"));
        await saveAdapter(adapter, folder, name);
        const saved = await readRaw(`${folder}/adapter_model.safetensors`);
        assertEquals(saved, await readRaw(goldenPath(name, "adapter", "adapter_model.safetensors")));
        const again = await loadAdapter(gpu, await readDescription(name), folder);
        assertEquals(again.options, adapter.options);
        assertEquals(await gpu.readF32(again.values), await gpu.readF32(adapter.values));
        [adapter, again].forEach((item) => item.free());
      });
    },
  );

  gpuTest(`saveAdapter() of ${name} writes the settings that PEFT wrote`, async (gpu) => {
    await withFolder(async (folder) => {
      const adapter = await loadAdapter(gpu, await readDescription(name), goldenPath(name, "adapter"));
      await saveAdapter(adapter, folder, name);
      adapter.free();
      const read = async (path: string) => JSON.parse(await Deno.readTextFile(`${path}/adapter_config.json`));
      const written = await read(folder), peft = await read(goldenPath(name, "adapter"));
      assertEquals(written, Object.fromEntries(Object.keys(written).map((key) => [key, peft[key]])));
    });
  });
}

gpuTest(
  "saveAdapter() writes PEFT's names and the research code's defaults for a fresh adapter",
  async (gpu) => {
    const { loraRank: rank, loraAlpha: alpha, loraDropout: dropout, targetModules } = loraPrompt.defaults;
    await withFolder(async (folder) => {
      const adapter = new LoraAdapter(gpu, await readDescription("gqa4-f16"), {
        rank,
        alpha,
        dropout,
        targetModules,
      });
      adapter.initialise(createRng(1));
      await saveAdapter(adapter, folder, "some/model");
      adapter.free();
      const config = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
      const { peft_type, task_type, base_model_name_or_path, r, lora_alpha, lora_dropout, target_modules } =
        config;
      assertEquals([peft_type, task_type, base_model_name_or_path], ["LORA", "CAUSAL_LM", "some/model"]);
      assertEquals([r, lora_alpha, lora_dropout, target_modules], [8, 32, 0.1, ["q_proj", "v_proj"]]);
      using file = await SafetensorsFile.open(`${folder}/adapter_model.safetensors`);
      assertEquals(file.metadata, { format: "pt" });
      // q_proj is [64, 64], v_proj [16, 64].
      assertEquals([...file.tensors.values()].map(({ name, shape }) => [name, shape]), [
        ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", [8, 64]],
        ["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", [64, 8]],
        ["base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", [8, 64]],
        ["base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", [16, 8]],
      ]);
    });
  },
);

gpuTest("loadAdapter() reads tensors in f16 too", async (gpu) => {
  await withAdapterFolder(async (folder) => {
    let half = new Float16Array();
    await editTensors(`${folder}/adapter_model.safetensors`, (tensors) => {
      const { shape, bytes } = tensors.get(FIRST_A)!;
      half = new Float16Array(new Float32Array(bytes.buffer));
      tensors.set(FIRST_A, { dtype: "F16", shape, bytes: new Uint8Array(half.buffer as ArrayBuffer) });
    });
    const adapter = await loadAdapter(gpu, await readDescription(GOLDEN), folder);
    const { aFirst } = adapter.sites[0];
    const values = (await gpu.readF32(adapter.values)).slice(aFirst, aFirst + half.length);
    assertEquals(values, Float32Array.from(half));
    adapter.free();
  });
});

gpuTest("loadAdapter() refuses an adapter of another model, naming a tensor and both shapes", async (gpu) => {
  const model = await readDescription(GOLDEN);
  const error = await assertRejects(
    () => loadAdapter(gpu, { ...model, width: 48 }, goldenPath(GOLDEN, "adapter")),
    UserError,
  );
  assertEquals(
    error.what,
    `Tensor "${FIRST_A}" has shape [3, 40], but the model and adapter_config.json need [3, 48]`,
  );
  assertEquals(error.kind, "data");
});

gpuTest("loadAdapter() refuses an adapter of fewer layers than the model's, naming a tensor", async (gpu) => {
  const model = await readDescription(GOLDEN);
  await assertRejects(
    () => loadAdapter(gpu, { ...model, layers: 4 }, goldenPath(GOLDEN, "adapter")),
    UserError,
    `Tensor "${FIRST_A.replace("layers.0", "layers.3")}" is missing`,
  );
});

gpuTest("loadAdapter() refuses an adapter of more layers than the model's, naming a tensor", async (gpu) => {
  const model = await readDescription(GOLDEN);
  await assertRejects(
    () => loadAdapter(gpu, { ...model, layers: 2 }, goldenPath(GOLDEN, "adapter")),
    UserError,
    `Tensor "${FIRST_A.replace("layers.0", "layers.2")}" has no place in this adapter`,
  );
});

gpuTest("loadAdapter() names each tensor that is missing, and the file", async (gpu) => {
  for (const name of (await readRaw(goldenPath(GOLDEN, "adapter", "adapter_model.safetensors"))).keys()) {
    const shape = name.includes("lora_A") ? "[3, 40]" : name.includes("q_proj") ? "[96, 3]" : "[48, 3]";
    const what = `Tensor "${name}" is missing, but the model and adapter_config.json need ${shape}`;
    await assertTensorsRefused(gpu, (tensors) => tensors.delete(name), what);
  }
});

gpuTest("loadAdapter() names a tensor that has no place in it, and the file", async (gpu) => {
  for (
    const name of [
      "base_model.model.lm_head.weight",
      FIRST_A.replace("q_proj", "k_proj"),
      `${FIRST_A}.default`,
    ]
  ) {
    const edit = (tensors: Map<string, RawTensor>) => {
      tensors.set(name, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) });
    };
    await assertTensorsRefused(gpu, edit, `Tensor "${name}" has no place in this adapter`);
  }
});

gpuTest(
  "loadAdapter() refuses a tensor of a type it cannot decode, naming tensor, type and file",
  async (gpu) => {
    const edit = (tensors: Map<string, RawTensor>) => {
      tensors.set(FIRST_A, { dtype: "I8", shape: [3, 40], bytes: new Uint8Array(120) });
    };
    await assertTensorsRefused(gpu, edit, `Tensor "${FIRST_A}" is of type I8`);
  },
);

/** Settings with which an adapter would compute something else, or that are no settings. */
const REFUSED: readonly (readonly [key: string, value: unknown])[] = [
  ["peft_type", "IA3"],
  ["peft_type", undefined],
  ["use_dora", true],
  ["use_qalora", true],
  ["use_bdlora", { nblocks: 2 }],
  ["use_rslora", 1],
  ["lora_bias", "yes"],
  ["bias", "all"],
  ["bias", "lora_only"],
  ["fan_in_fan_out", true],
  ["init_lora_weights", "pissa"],
  ["init_lora_weights", "olora"],
  ["modules_to_save", ["lm_head"]],
  ["layer_replication", [[0, 1]]],
  ["trainable_token_indices", [1]],
  ["target_parameters", ["mlp.experts"]],
  ["megatron_config", { hidden_size: 8 }],
  ["alora_invocation_tokens", [1, "2"]],
  ["alora_invocation_tokens", [1, -2]],
  ["arrow_config", { top_k: 3 }],
  ["kasa_config", { beta: 1 }],
  ["velora_config", { num_groups: 8 }],
  ["monteclora_config", { num_samples: 4 }],
  ["a_setting_of_a_later_peft", 1],
  ["r", 0],
  ["r", 1.5],
  ["r", "8"],
  ["r", undefined],
  ["lora_alpha", 0],
  ["lora_alpha", undefined],
  ["lora_dropout", 1],
  ["lora_dropout", -0.1],
  ["target_modules", ["c_attn"]],
  ["target_modules", ["q_proj", "lm_head"]],
  ["target_modules", ["q_proj", "embed_tokens"]],
  ["target_modules", ["q_proj", 1]],
  ["target_modules", ".*(q_proj|lm_head)"],
  ["target_modules", "(q_proj"],
  ["target_modules", "q_proj"],
  ["target_modules", 1],
  ["target_modules", []],
  ["target_modules", ""],
  ["target_modules", undefined],
  ["exclude_modules", 1],
  ["exclude_modules", "["],
  ["layers_to_transform", [0.5]],
  ["layers_to_transform", -1],
  ["layers_to_transform", "0"],
  ["layers_pattern", "layers"],
  ["rank_pattern", { q_proj: 0 }],
  ["rank_pattern", ["q_proj"]],
  ["rank_pattern", { "(q_proj": 2 }],
  ["alpha_pattern", { q_proj: "8" }],
  ["query_format", 1],
  ["use_temperature", "yes"],
];

for (const [key, value] of REFUSED) {
  const setting = value === undefined ? "a missing" : `${JSON.stringify(value)} for`;
  Deno.test(`loadAdapter() refuses ${setting} ${key}, naming it, before it uses the GPU`, async () => {
    await withAdapterFolder(async (folder) => {
      await editJson(`${folder}/adapter_config.json`, (config) => config[key] = value);
      const model = await readDescription(GOLDEN);
      const error = await assertRejects(() => loadAdapter({} as Gpu, model, folder), UserError, `"${key}"`);
      assertEquals([error.kind, error.where], ["data", `${folder}/adapter_config.json`]);
    });
  });
}

for (
  const [key, value] of [
    ["lora_dropout", 0],
    ["lora_dropout", 0.99],
    ["init_lora_weights", "gaussian"],
    ["init_lora_weights", false],
    ["rank_pattern", {}],
    ["rank_pattern", null],
    ["exclude_modules", ""],
    ["exclude_modules", ["k_proj"]],
    ["layers_to_transform", []],
    ["modules_to_save", []],
    ["use_dora", null],
    ["use_temperature", false],
    ["megatron_core", "megatron.core"],
    ["target_modules", ["q_proj", "v_proj", "query_key_value"]],
    ["target_modules", "ALL-LINEAR-BUT.*|.*[qv]_proj"],
    ["a_setting_of_a_later_peft", false],
    ["base_model_name_or_path", "another/name"],
    ["base_model_name_or_path", null],
    ["peft_version", "0.5.0"],
  ] as const
) {
  gpuTest(`loadAdapter() accepts ${JSON.stringify(value)} for ${key}`, async (gpu) => {
    await withAdapterFolder(async (folder) => {
      await editJson(`${folder}/adapter_config.json`, (config) => config[key] = value);
      (await loadAdapter(gpu, await readDescription(GOLDEN), folder)).free();
    });
  });
}

gpuTest(
  "loadAdapter() tells which model an adapter was trained on, and no more if no more is said",
  async (gpu) => {
    await withAdapterFolder(async (folder) => {
      await editJson(
        `${folder}/adapter_config.json`,
        (config) => config.base_model_name_or_path = "another/name",
      );
      const adapter = await loadAdapter(gpu, await readDescription(GOLDEN), folder);
      assertEquals(adapter.info, { baseModel: "another/name", temperature: false });
      adapter.free();
    });
  },
);

gpuTest(
  "loadAdapter() tells how a released adapter is asked, and that a temperature belongs to it",
  async (gpu) => {
    const adapter = await loadAdapter(gpu, await readDescription(GOLDEN), peftPath("calibrated"));
    assertEquals(adapter.info, { baseModel: GOLDEN, queryFormat: "roman_choice", temperature: true });
    adapter.free();
  },
);

gpuTest(
  "loadAdapter() tells that a temperature belongs to an adapter whose folder holds one",
  async (gpu) => {
    await withAdapterFolder(async (folder) => {
      await saveTemperature(folder, 2);
      const adapter = await loadAdapter(gpu, await readDescription(GOLDEN), folder);
      assertEquals(adapter.info?.temperature, true);
      adapter.free();
    });
  },
);

gpuTest("loadAdapter() refuses a tensor that is there with and without the adapter's name", async (gpu) => {
  const named = FIRST_A.replace(".weight", ".default.weight");
  const edit = (tensors: Map<string, RawTensor>) => void tensors.set(named, tensors.get(FIRST_A)!);
  await assertTensorsRefused(gpu, edit, `Tensor "${named}" has no place in this adapter`);
});

gpuTest("loadAdapter() refuses an adapter whose settings promise a bias that its file lacks", async (gpu) => {
  await withAdapterFolder(async (folder) => {
    await editJson(`${folder}/adapter_config.json`, (config) => config.lora_bias = true);
    const model = await readDescription(GOLDEN);
    const name = FIRST_A.replace("lora_A.weight", "lora_B.bias");
    await assertRejects(() => loadAdapter(gpu, model, folder), UserError, `Tensor "${name}" is missing`);
  });
});

for (
  const [title, change] of [
    ["a regular expression", { target_modules: ".*_proj", layers_to_transform: [0] }],
    ["all linear layers", { target_modules: "all-linear", layers_to_transform: 0 }],
  ] as const
) {
  Deno.test(`loadAdapter() refuses numbers of layers beside ${title}, as PEFT does`, async () => {
    await withAdapterFolder(async (folder) => {
      await editJson(`${folder}/adapter_config.json`, (config) => Object.assign(config, change));
      const model = await readDescription(GOLDEN);
      await assertRejects(() => loadAdapter({} as Gpu, model, folder), UserError, '"layers_to_transform"');
    });
  });
}

Deno.test("loadAdapter() refuses a name of a list of layers that is a regular expression", async () => {
  await withAdapterFolder(async (folder) => {
    const change = { layers_to_transform: [0], layers_pattern: ["layers|h"] };
    await editJson(`${folder}/adapter_config.json`, (config) => Object.assign(config, change));
    const model = await readDescription(GOLDEN);
    await assertRejects(() => loadAdapter({} as Gpu, model, folder), UserError, '"layers_pattern"');
  });
});

Deno.test("loadAdapter() refuses layers that the model does not have", async () => {
  await withAdapterFolder(async (folder) => {
    await editJson(`${folder}/adapter_config.json`, (config) => config.layers_to_transform = [3]);
    const model = await readDescription(GOLDEN);
    await assertRejects(
      () => loadAdapter({} as Gpu, model, folder),
      UserError,
      "names no layer of the model",
    );
  });
});

Deno.test("loadAdapter() refuses a rank that its tensors do not have before it uses the GPU", async () => {
  await withAdapterFolder(async (folder) => {
    await editJson(`${folder}/adapter_config.json`, (config) => config.r = 2 ** 40);
    const model = await readDescription(GOLDEN);
    const what =
      `Tensor "${FIRST_A}" has shape [3, 40], but the model and adapter_config.json need [1099511627776, 40]`;
    await assertRejects(() => loadAdapter({} as Gpu, model, folder), UserError, what);
  });
});

gpuTest("loadAdapter() takes 0 for a dropout that the settings do not name", async (gpu) => {
  await withAdapterFolder(async (folder) => {
    await editJson(`${folder}/adapter_config.json`, (config) => delete config.lora_dropout);
    const adapter = await loadAdapter(gpu, await readDescription(GOLDEN), folder);
    const expected: LoraOptions = { rank: 3, alpha: 6, dropout: 0, targetModules: ["q_proj", "v_proj"] };
    assertEquals(adapter.options, expected);
    adapter.free();
  });
});

gpuTest("loadAdapter() names the file that is missing from a folder", async (gpu) => {
  for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
    await withAdapterFolder(async (folder) => {
      await Deno.remove(`${folder}/${name}`);
      const model = await readDescription(GOLDEN);
      const error = await assertRejects(() => loadAdapter(gpu, model, folder), UserError);
      assertEquals([error.kind, error.where], ["data", `${folder}/${name}`]);
    });
  }
});

gpuTest("loadAdapter() says which method reads a checkpoint that holds a classifier instead", async (gpu) => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/classifier_model.safetensors`, "");
    const model = await readDescription(GOLDEN);
    const error = await assertRejects(() => loadAdapter(gpu, model, folder), UserError);
    assertEquals([error.what, error.fix], [
      "The checkpoint holds a classifier, and no adapter that could be asked",
      "name the method that reads it, as in --method=probe",
    ]);
  });
});
