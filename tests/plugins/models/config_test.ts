import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "@credence/credence";
import { ModelConfig } from "../../../plugins/models/config.ts";

Deno.test("ModelConfig refuses a field that nobody read, naming it and its value", () => {
  const config = new ModelConfig({ known: 1, strange: { deep: [1] } });
  config.count("known");
  const error = assertThrows(() => config.finish(), UserError);
  assertEquals([error.kind, error.what, error.where], ["data", '"strange" is {"deep":[1]}', "config.json"]);
});

Deno.test("ModelConfig lets a field pass that nobody read if it is unset, or changes nothing", () => {
  new ModelConfig({ a: null, b: false, c: "", d: [], e: {}, architectures: ["X"], transformers_version: "5" })
    .finish();
});

for (const value of [0, -1, 1.5, "3", true, NaN]) {
  Deno.test(`ModelConfig.count() refuses ${JSON.stringify(value)}, and takes null as absent`, () => {
    const config = new ModelConfig({ layers: value, other: null });
    assertThrows(() => config.count("layers", 7), UserError, '"layers" is');
    assertEquals(config.count("other", 7), 7);
  });
}

Deno.test("ModelConfig.has() tells a field that is null from one that is absent", () => {
  const config = new ModelConfig({ unset: null });
  assertEquals([config.has("unset"), config.has("absent"), config.has("toString")], [true, false, false]);
});

Deno.test("ModelConfig.mustBe() takes the values that are implemented, or none", () => {
  const config = new ModelConfig({ act: "silu", other: "gelu" });
  config.mustBe("act", "silu");
  config.mustBe("absent", "silu");
  assertThrows(() => config.mustBe("other", "silu", "swish"), UserError, '"other" is "gelu"');
});
