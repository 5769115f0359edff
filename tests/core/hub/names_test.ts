import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { isModelFile } from "../../../core/hub/files.ts";
import { checkPath, isHubName, parseHubName } from "../../../core/hub/names.ts";

for (
  const [text, repo, revision] of [
    ["hf:meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf", "main"],
    ["hf:gpt2", "gpt2", "main"],
    ["hf:a/b.c_d-e@v1.0", "a/b.c_d-e", "v1.0"],
    ["hf:a/b@refs/convert/parquet", "a/b", "refs/convert/parquet"],
    ["hf:a/b@0123456789abcdef0123456789abcdef01234567", "a/b", "0123456789abcdef0123456789abcdef01234567"],
  ]
) {
  Deno.test(`parseHubName() of ${text} is ${repo} at ${revision}`, () => {
    assertEquals([isHubName(text), parseHubName(text)], [true, { repo, revision }]);
  });
}

for (
  const text of [
    "hf:",
    "hf:/b",
    "hf:a/",
    "hf:a/b/c",
    "hf:../b",
    "hf:a/..",
    "hf:a/b..c",
    "hf:a/.b",
    "hf:a/b.",
    "hf:a--b/c",
    "hf:a/b-",
    "hf:a/b.git",
    `hf:${"a".repeat(97)}/${"b".repeat(97)}`,
    "hf:a\\b",
    "hf:a/b@",
    "hf:a/b@../x",
    "hf:a/b@x/../y",
    "hf:a b/c",
    "hf:a/b@x y",
    "a/b",
  ]
) {
  Deno.test(`parseHubName() refuses ${JSON.stringify(text)}, and says how names are written`, () => {
    const error = assertThrows(() => parseHubName(text), UserError);
    assertEquals([error.kind, error.fix.includes("hf:owner/name")], ["usage", true]);
  });
}

for (const path of ["config.json", "a/b.json", "..a", "a..b/c"]) {
  Deno.test(`checkPath() takes ${path}`, () => checkPath(path, "a/b"));
}

for (
  const path of ["", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a\\..\\b", "C:x", "a\0b", "a/"]
) {
  Deno.test(`checkPath() refuses ${JSON.stringify(path)}, naming it and the repository`, () => {
    const error = assertThrows(() => checkPath(path, "owner/name"), UserError);
    assertEquals([error.kind, error.where], ["data", "repository owner/name"]);
    assertEquals(error.what.includes(JSON.stringify(path)), true);
  });
}

Deno.test("isModelFile() takes what a model is opened from, and neither pickled weights nor a second copy", () => {
  const wanted = [
    "config.json",
    "tokenizer.model",
    "added_tokens.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "temperature_model.pt",
    "temperature_model.safetensors",
    "classifier_config.json",
    "classifier_model.bin",
    "classifier_model.safetensors",
  ];
  const others = [
    "pytorch_model.bin",
    "consolidated.safetensors",
    "onnx/model.onnx",
    "sub/config.json",
    "README.md",
  ];
  const all = [...wanted, ...others];
  assertEquals(all.filter((path) => isModelFile(path, all)), wanted);
});

Deno.test("isModelFile() takes the shards where there is an index, and else the one file", () => {
  const index = "model.safetensors.index.json", shard = "model-00001-of-00002.safetensors";
  const whole = "model.safetensors";
  const chosen = (all: readonly string[]) => all.filter((path) => isModelFile(path, all));
  assertEquals(chosen([whole, index, shard]), [index, shard]);
  assertEquals(chosen([whole, shard]), [whole]);
});
