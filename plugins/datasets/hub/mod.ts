/** The question datasets of the research code, in its order. */
import type { DatasetSpec } from "../spec.ts";
import { anli } from "./anli.ts";
import { arc } from "./arc.ts";
import { boolq } from "./boolq.ts";
import { cb } from "./cb.ts";
import { commonsenseQa } from "./commonsense_qa.ts";
import { copa } from "./copa.ts";
import { cosmosQa } from "./cosmos_qa.ts";
import { gsm8k } from "./gsm8k.ts";
import { hellaswag } from "./hellaswag.ts";
import { mathQa } from "./math_qa.ts";
import { multirc } from "./multirc.ts";
import { obqa } from "./obqa.ts";
import { piqa } from "./piqa.ts";
import { sciq } from "./sciq.ts";
import { siqa } from "./siqa.ts";
import { snli } from "./snli.ts";
import { storyCloze } from "./story_cloze.ts";
import { trec } from "./trec.ts";
import { truthfulQa } from "./truthful_qa.ts";
import { winogrande } from "./winogrande.ts";
import { wsc } from "./wsc.ts";

/** Every question dataset that is a page of data. */
export const specs: readonly DatasetSpec[] = [
  ...anli,
  ...arc,
  boolq,
  cb,
  commonsenseQa,
  copa,
  cosmosQa,
  gsm8k,
  hellaswag,
  mathQa,
  multirc,
  obqa,
  piqa,
  sciq,
  siqa,
  snli,
  storyCloze,
  trec,
  truthfulQa,
  winogrande,
  wsc,
];
