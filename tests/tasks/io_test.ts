import { assertEquals } from "@std/assert";
import { harmless, write } from "../../tasks/_io.ts";

Deno.test("write() writes all of a text to a stream that takes three bytes at once", () => {
  let text = "";
  const stream = {
    writeSync(bytes: Uint8Array) {
      text += new TextDecoder().decode(bytes.subarray(0, 3));
      return Math.min(3, bytes.length);
    },
  };
  write(stream, "abcdefgh");
  assertEquals(text, "abcdefgh");
});

Deno.test("write() writes nothing of an empty text", () => {
  write({
    writeSync: () => {
      throw new Error("was called");
    },
  }, "");
});

Deno.test("harmless() leaves text as it is, and of control characters only the end of a line and the tabulator", () => {
  assertEquals(harmless("größe\n\t日本 👩‍🔬 é"), "größe\n\t日本 👩‍🔬 é");
  assertEquals(harmless("\x1b[2Ja\rb\x07\x7f\x9b0m"), "\\u001b[2Ja\\u000db\\u0007\\u007f\\u009b0m");
});
