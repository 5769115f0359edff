/** The repositories of which `tests/golden/record_hub.py` records what Python makes. */
import type { FakeRepository } from "./_fake_hub.ts";

export const RECORDED: Readonly<Record<string, FakeRepository>> = {
  "owner/name": {
    files: {
      "config.json": '{"model_type":"llama"}',
      "model.safetensors": Uint8Array.from({ length: 1000 }, (_, index) => index * 7 & 255),
      "sub/deep/notes.txt": "notes",
    },
    large: ["model.safetensors"],
  },
  "owner/data": { type: "dataset", files: { "data/test.jsonl": '{"question":1}\n' } },
};
