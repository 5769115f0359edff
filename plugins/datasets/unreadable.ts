/** Rows that cannot be read, where somebody wants to know all of them. */
import { type DatasetRequest, UserError } from "../../core/mod.ts";

/** What `read` makes of a row; `undefined` for one that cannot be read, where somebody is told of those. */
export function readOrTell<T>({ onUnreadable }: DatasetRequest, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError) || !onUnreadable) throw error;
    onUnreadable(error);
  }
}
