import { assertEquals } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { redact } from "../../core/redact.ts";

const TOKEN = "hf_abcdefghijklmnopqrstuvwxyz01234567";

for (
  const { why, text, rest } of [
    { why: "a token of the Hub", text: `token ${TOKEN}, twice ${TOKEN}.`, rest: "token hf_…, twice hf_…." },
    { why: "a key of OpenAI", text: "sk-proj-abcdef_ghijklmnop-1234", rest: "sk-…" },
    { why: "a header", text: 'Invalid header value: "Bearer abc"', rest: 'Invalid header value: "Bearer …"' },
    { why: "a header that a line break cuts in two", text: '"Bearer abc\ndef"', rest: '"Bearer …"' },
    {
      why: "a header in a log",
      text: "authorization: Bearer abc next",
      rest: "authorization: Bearer … next",
    },
    {
      why: "the signature of a download",
      text: "error for url (https://cdn.hf.co/a/b?Expires=1&Signature=x): reset",
      rest: "error for url (https://cdn.hf.co/a/b?…): reset",
    },
    { why: "a password in a URL", text: "http://me:secret@host:80/x", rest: "http://…@host:80/x" },
  ]
) {
  Deno.test(`redact() hides ${why}`, () => assertEquals(redact(text), rest));
}

for (
  const text of [
    "hf:owner/name@main",
    "hf_short",
    "set HF_TOKEN to a token from https://huggingface.co/settings/tokens",
    "is this right? See https://huggingface.co/a/b, or ask",
    "a sk-eleton",
  ]
) {
  Deno.test(`redact() leaves ${JSON.stringify(text)} as it is`, () => assertEquals(redact(text), text));
}

Deno.test("UserError holds no secret in its message nor in any of its parts", () => {
  const { message, what, where, fix } = new UserError({
    kind: "data",
    what: TOKEN,
    where: TOKEN,
    fix: TOKEN,
  });
  assertEquals([message, what, where, fix].filter((text) => text.includes(TOKEN)), []);
});
