/**
 * Serves the fake Hub to `record_hub.py` until its input ends: its address on the first line. A line of JSON, a
 * request of `downloadSnapshot` with a cache, is answered by a line with what it gave.
 */
import { downloadSnapshot } from "../../core/hub/snapshot.ts";
import { COMMIT, FakeHub } from "../core/hub/_fake_hub.ts";
import { RECORDED } from "../core/hub/_recorded.ts";

const say = (text: string) => Deno.stdout.write(new TextEncoder().encode(`${text}\n`));

await using hub = new FakeHub();
Object.assign(hub.repositories, RECORDED);
await say(hub.endpoint);
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const line of lines) {
  const { cache, offline, type, repo, revision } = JSON.parse(line);
  const settings = { endpoint: hub.endpoint, offline, cache };
  const request = { type, repo, revision, wanted: () => true };
  const before = hub.requestsFor("model.safetensors").length;
  const { commit } = await downloadSnapshot(request, { settings });
  const downloads = hub.requestsFor("model.safetensors").length - before;
  await say(JSON.stringify({ commit, right: commit === COMMIT, downloads }));
}
