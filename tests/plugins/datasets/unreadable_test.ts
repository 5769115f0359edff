import { assertEquals, assertThrows } from "@std/assert";
import { dataError, type DatasetRequest, type UserError } from "@credence/credence";
import { readOrTell } from "../../../plugins/datasets/unreadable.ts";

const REQUEST: DatasetRequest = { argument: "", options: {} };
const unsound = (): never => {
  throw dataError("The label is 7", "rows.csv, row 2", "correct it");
};

Deno.test("readOrTell() gives what is read, and tells of what cannot be where somebody listens", () => {
  const told: UserError[] = [];
  const request = { ...REQUEST, onUnreadable: (error: UserError) => told.push(error) };
  assertEquals([readOrTell(request, () => 3), readOrTell(request, unsound)], [3, undefined]);
  assertEquals(told.map(({ where }) => where), ["rows.csv, row 2"]);
});

Deno.test("readOrTell() throws where nobody listens, and always what is no fault of the row", () => {
  assertThrows(() => readOrTell(REQUEST, unsound), Error, "The label is 7");
  const broken = () => {
    throw new TypeError("a bug");
  };
  assertThrows(() => readOrTell({ ...REQUEST, onUnreadable() {} }, broken), TypeError, "a bug");
});
