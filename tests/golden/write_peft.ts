/** Writes the adapters of ours that record_peft.py loads into PEFT: deno run -A tests/golden/write_peft.ts */
import { Gpu } from "../../kernels/gpu.ts";
import { OUR_KINDS, peftPath, writeOurs } from "../model/_peft.ts";

const gpu = await Gpu.open();
for (const kind of Object.keys(OUR_KINDS)) await writeOurs(gpu, kind, peftPath(kind));
gpu.destroy();
