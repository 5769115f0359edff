import { dataError, readJson } from "../core/files.ts";

/** The fields of a checkpoint's JSON file. @throws {UserError} of kind `data` if it is not one JSON object */
export async function readConfigFile(path: string): Promise<Record<string, unknown>> {
  const value = await readJson(path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw dataError("It is not a JSON object", path, "download or save the file again");
  }
  return value as Record<string, unknown>;
}
