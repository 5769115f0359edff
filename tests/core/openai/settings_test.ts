import { assertEquals, assertThrows } from "@std/assert";
import { OPENAI_URL, openAiSettings, UserError } from "../../../core/mod.ts";

const settings = (env: Record<string, string>) => openAiSettings((name) => env[name]);

Deno.test("openAiSettings() reads the variables that OpenAI's own libraries read", () => {
  assertEquals(settings({ OPENAI_API_KEY: " key " }), { baseUrl: OPENAI_URL, key: "key" });
  assertEquals(settings({ OPENAI_BASE_URL: "http://localhost:8080/v1/" }), {
    baseUrl: "http://localhost:8080/v1",
  });
  assertEquals(settings({ OPENAI_BASE_URL: "", OPENAI_API_KEY: "key" }).baseUrl, OPENAI_URL);
});

for (
  const address of ["localhost:8080", "ftp://x", "http://user:secret@x/v1", "http://x/v1?key=secret", "/v1"]
) {
  Deno.test(`openAiSettings() refuses the address ${address}, and quotes no secret`, () => {
    const error = assertThrows(() => settings({ OPENAI_BASE_URL: address }), UserError);
    assertEquals([error.kind, error.message.includes("secret")], ["usage", false]);
  });
}

for (const key of ["two words", "line\nbreak", "schlüssel"]) {
  Deno.test(`openAiSettings() refuses the key ${JSON.stringify(key)} without quoting it`, () => {
    const error = assertThrows(() => settings({ OPENAI_API_KEY: key }), UserError);
    assertEquals([error.kind, error.message.includes(key)], ["usage", false]);
  });
}
