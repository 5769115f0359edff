/** A small plugin package as a stranger would write it: one plugin of each kind, through the public door only. */
import type { Plugin } from "@credence/credence";
import { colours } from "./colours.ts";
import { exactMatch } from "./exact_match.ts";
import { firstWord } from "./first_word.ts";
import { quiz } from "./quiz.ts";
import { renamedLlama } from "./renamed_llama.ts";
import { sharpness } from "./sharpness.ts";

const plugins: readonly Plugin[] = [colours, quiz, exactMatch, firstWord, sharpness, renamedLlama];

export default plugins;
