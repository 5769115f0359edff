import { assertEquals } from "@std/assert";
import { write } from "../../tasks/_io.ts";

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
