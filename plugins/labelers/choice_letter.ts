import type { Labeler } from "../../core/mod.ts";

/** 1 when the letter that the answer names is the target's; undecided where it names none, or several. */
export const choiceLetter: Labeler = {
  kind: "labeler",
  name: "choice-letter",
  version: 1,
  description: "1 when the answer names the letter of the right choice, as in b, (B) or The answer is b.",
  defaults: {},
  label({ target, answer }) {
    const wanted = letterOf(target), found = letterOf(answer);
    if (wanted === undefined || found === undefined) return null;
    return found === wanted ? 1 : 0;
  },
};

/** What must not follow a letter that is the answer: another one. */
const ALONE = String.raw`(?!\s*(?:or\b|and\b|[,/&]\s*[([]?[a-z][)\]]))`;

/** Ways to name a choice, from the surest to the least; a bare letter within a sentence may be an article. */
const WAYS: readonly RegExp[] = [
  String.raw`^[\s"'\x60*([]*([a-z])[\s"'\x60*)\].:,!]*$`,
  String.raw`^[\s"'\x60*]*(?:[([]([a-z])[)\]]|([a-z])\s*[).:](?=\s|$))${ALONE}`,
  String
    .raw`\b(?:answer|option|choice)\b(?:\s+is)?\s*:?\s*["'\x60*]*(?:[([]([a-z])[)\]]|([a-z])(?=["'\x60*]*\s*(?:$|[.,;:!?\n])))${ALONE}`,
  String.raw`[([]([a-z])[)\]]`,
].map((way) => new RegExp(way, "gi"));

function letterOf(text: string): string | undefined {
  for (const way of WAYS) {
    const letters = new Set([...text.matchAll(way)].map(([, one, other]) => (one ?? other).toLowerCase()));
    if (letters.size > 0) return letters.size === 1 ? [...letters][0] : undefined;
  }
  return undefined;
}
