/**
 * The mixtures of the research code: rows of all its question datasets that may be trained on, in a fixed order. What
 * it left to chance or got wrong is mended: see docs/datasets.md.
 */
import {
  createRng,
  type Dataset,
  type DatasetRequest,
  type Question,
  type Split,
  UserError,
} from "../../core/mod.ts";
import { specs } from "./hub/mod.ts";
import { checkHere, type DatasetSpec, questionDataset, seedDataset } from "./spec.ts";

/** Draws the rows of validation splits. */
const SEED = 137;

/** How a mixture is put together. */
export interface MixtureSpec {
  /** As users type it. */
  readonly name: string;
  /** One line for lists and help. */
  readonly description: string;
  /** Which of the datasets, in the order of their names: all, or one half of them. */
  readonly members: "all" | "first half" | "second half";
  /** Rows for training, at most. */
  readonly rows: number;
  /** The same number of rows of each dataset; else as many as its share of all rows. */
  readonly uniform?: boolean;
  /** Takes the rows that the mixture without it leaves. */
  readonly complement?: boolean;
  /** The split of the datasets that is trained on; `train` if absent. */
  readonly from?: Split;
  /** Rows for validation, at most, drawn from all there are; there is no such split if absent. */
  readonly validation?: number;
  /** Whether answers and labels are made up: right and wrong choices. */
  readonly synthetic?: boolean;
}

const MIXTURES: readonly MixtureSpec[] = [
  {
    name: "all_20k_uniform",
    description: "20,000 questions, as many of each dataset: what the research code trains on",
    members: "all",
    rows: 20_000,
    uniform: true,
    validation: 2000,
  },
  {
    name: "all_20k_uniform_h",
    description: "all_20k_uniform, answered with right and wrong choices instead of by a model",
    members: "all",
    rows: 20_000,
    uniform: true,
    validation: 2000,
    synthetic: true,
  },
  {
    name: "all_200k",
    description: "200,000 questions, of each dataset as its share of all",
    members: "all",
    rows: 200_000,
    validation: 200_000,
  },
  {
    name: "all_200k_c",
    description: "the training questions that all_200k leaves",
    members: "all",
    rows: 200_000,
    complement: true,
  },
  {
    name: "sub_200k",
    description: "200,000 questions of the first half of the datasets",
    members: "first half",
    rows: 200_000,
    validation: 2000,
  },
  {
    name: "cal_sub_200k",
    description: "up to 200,000 validation questions of the first half of the datasets, to train on",
    members: "first half",
    rows: 200_000,
    from: "validation",
  },
  {
    name: "sub_200k_c",
    description: "up to 800,000 questions of the second half of the datasets",
    members: "second half",
    rows: 800_000,
  },
  {
    name: "cal_sub_200k_c",
    description: "up to 800,000 validation questions of the second half of the datasets, to train on",
    members: "second half",
    rows: 800_000,
    from: "validation",
  },
];

/** Every mixture, and each again of the datasets as the research code renders them: `<name>@seed`. */
export const mixtures: readonly Dataset[] = [
  ...MIXTURES.map((spec) => mixtureOf(spec, specs)),
  ...MIXTURES.map((spec) => mixtureOf(spec, specs, true)),
];

/** A dataset that takes part. */
interface Member {
  readonly spec: DatasetSpec;
  readonly dataset: Dataset;
}

/**
 * The mixture of datasets that a page of data describes.
 *
 * @param all what it is mixed from
 * @param seed whether each is taken as the research code renders it
 */
export function mixtureOf(spec: MixtureSpec, all: readonly DatasetSpec[], seed = false): Dataset {
  const { description, from = "train", rows, uniform = false, complement = false } = spec;
  const name = seed ? `${spec.name}@seed` : spec.name;
  const members = (request: DatasetRequest) => chooseMembers(spec, all, seed, request);
  return {
    kind: "dataset",
    name,
    version: 1,
    description: seed ? `${spec.name}, of the datasets as the research code renders them` : description,
    defaults: {},
    tags: ["train", "eval"],
    splits: spec.validation === undefined ? ["train"] : ["train", "validation"],
    ownShots: seed,
    synthetic: spec.synthetic,
    async *read(split, request) {
      const source = split === "train" ? from : split;
      const having = members(request).filter(({ dataset }) => dataset.splits.includes(source));
      const taking = await present(having, request);
      yield* split === "train"
        ? take(taking, source, { rows, uniform, complement }, request)
        : draw(taking, source, spec.validation!, request);
    },
    async shotPool(request, home) {
      const member = all.find((one) => one.name === home);
      return await (member ? datasetOf(member, seed).shotPool!(request) : []);
    },
    async revision(request) {
      const parts: string[] = [];
      for (const { spec: { name }, dataset } of await present(members(request), request)) {
        parts.push(`${name}(${await dataset.revision!(request)})`);
      }
      return parts.join(" ");
    },
  };
}

const datasetOf = (spec: DatasetSpec, seed: boolean) => (seed ? seedDataset : questionDataset)(spec);

/** The datasets that take part, in the order of their names. */
function chooseMembers(
  { members }: MixtureSpec,
  all: readonly DatasetSpec[],
  seed: boolean,
  { promptStyle }: DatasetRequest,
): readonly Member[] {
  const eligible = all
    // The endings of HellaSwag are no answers that somebody would give.
    .filter(({ name, evalOnly }) => !evalOnly && !(name === "hellaswag" && promptStyle === "oe"))
    .toSorted((a, b) => a.name < b.name ? -1 : 1);
  const half = Math.floor(eligible.length / 2);
  const chosen = members === "all"
    ? eligible
    : members === "first half"
    ? eligible.slice(0, half)
    : eligible.slice(half);
  return chosen.map((spec) => ({ spec, dataset: datasetOf(spec, seed) }));
}

/** The members that can be had. Files that are given out on request may not be here: a mixture then goes without. */
async function present(members: readonly Member[], request: DatasetRequest): Promise<readonly Member[]> {
  const there: Member[] = [];
  for (const member of members) {
    try {
      await checkHere(member.spec, request);
      there.push(member);
    } catch (error) {
      if (!(error instanceof UserError) || error.kind !== "data") throw error;
      request.warn?.(`${member.spec.name} takes no part: ${error.what}; ${error.fix}`);
    }
  }
  return there;
}

/** The first rows of each member, or those that this leaves. */
async function* take(
  members: readonly Member[],
  split: Split,
  { rows, uniform, complement }: Required<Pick<MixtureSpec, "rows" | "uniform" | "complement">>,
  request: DatasetRequest,
): AsyncIterable<Question> {
  const counts = uniform ? [] : await countRows(members, split, request);
  const sum = counts.reduce((total, count) => total + count, 0);
  for (const [index, member] of members.entries()) {
    const share = uniform
      ? Math.floor(rows / members.length)
      : Math.floor(counts[index] * Math.min(rows, sum) / sum);
    for await (const question of questionsOf(member, split, request)) {
      if (question.home!.row < share !== complement) yield { ...question, split: "train" };
      else if (!complement) break;
    }
  }
}

/** Rows drawn from all members together, without replacement, in random order. */
async function* draw(
  members: readonly Member[],
  split: Split,
  rows: number,
  request: DatasetRequest,
): AsyncIterable<Question> {
  const counts = await countRows(members, split, request);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const order = createRng(SEED).permutation(total).slice(0, rows);
  const wanted = new Map(order.map((index, place) => [index, place]));
  const drawn: Question[] = [];
  let index = 0;
  for (const member of members) {
    for await (const question of questionsOf(member, split, request)) {
      const place = wanted.get(index++);
      if (place !== undefined) drawn[place] = question;
    }
  }
  yield* drawn;
}

async function countRows(
  members: readonly Member[],
  split: Split,
  request: DatasetRequest,
): Promise<readonly number[]> {
  const counts: number[] = [];
  for (const { dataset } of members) {
    let count = 0;
    for await (const _ of dataset.read!(split, request)) count++;
    counts.push(count);
  }
  return counts;
}

async function* questionsOf(
  { spec, dataset }: Member,
  split: Split,
  request: DatasetRequest,
): AsyncIterable<Question> {
  let row = 0;
  for await (const question of dataset.read!(split, request)) {
    yield { ...question as Question, home: { dataset: spec.name, row: row++ } };
  }
}
