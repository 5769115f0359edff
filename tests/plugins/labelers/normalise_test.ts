import { assertEquals } from "@std/assert";
import { normalise, words } from "../../../plugins/labelers/normalise.ts";

for (
  const [text, expected] of [
    ["The Eiffel Tower!", "eiffel tower"],
    ["  an  Apple a\tday ", "apple day"],
    ["U.S.A.", "usa"],
    ["twenty-one", "twentyone"],
    ["Theatre and Athens", "theatre and athens"],
    ["ça a été", "ça été"],
    ["Zu\u0308rich", "zürich"],
    ["the", "the"],
    ["A", "a"],
    ["(a)", "(a)"],
    ["?!", "?!"],
    ["", ""],
    ["“quoted”", "“quoted”"],
  ] as const
) {
  Deno.test(`normalise() makes ${JSON.stringify(expected)} of ${JSON.stringify(text)}`, () => {
    assertEquals(normalise(text), expected);
  });
}

Deno.test("words() of nothing are none", () => assertEquals([words(" "), words("The cat.")], [[], ["cat"]]));
