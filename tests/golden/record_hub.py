"""Records the cache that Python's huggingface_hub leaves, and checks that each of the two finds what the other downloaded.

    pip install huggingface_hub==2.4.0
    python tests/golden/record_hub.py            # from the project's root; deno has to be on the PATH, or DENO name it

Both ask the fake Hub of the tests, which `serve_hub.ts` serves. Writes hub/cache.json: every file and link, by path.
"""

import base64
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = os.environ.get("CREDENCE_CONFIG", "deno.npm.json")
DENO = shlex.split(os.environ.get("DENO", "deno"))
REPOSITORIES = [("model", "owner/name", "main"), ("model", "owner/name", "v1"), ("dataset", "owner/data", "main")]

# Run in a process of its own, because huggingface_hub reads the environment when it is imported.
DOWNLOAD = """
import json, sys
from huggingface_hub import snapshot_download
kind, repo, revision = sys.argv[1:]
print(snapshot_download(repo, repo_type=kind, revision=revision))
"""


def python(cache, endpoint, repository, **env):
    env = os.environ | {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", **env}
    run = subprocess.run([sys.executable, "-c", DOWNLOAD, *repository], env=env, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return Path(run.stdout.strip())


def record(cache):
    found = {}
    for path in sorted(cache.rglob("*")):
        name = path.relative_to(cache).as_posix()
        if path.is_symlink():
            found[name] = {"link": os.readlink(path)}
        elif path.is_file():
            content = path.read_bytes()
            try:
                found[name] = {"text": content.decode()}
            except UnicodeDecodeError:
                found[name] = {"base64": base64.b64encode(content).decode()}
    return found


def main():
    import huggingface_hub

    args = [*DENO, "run", "--quiet", "-A", "--config", CONFIG, "tests/golden/serve_hub.ts"]
    server = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    endpoint = server.stdout.readline().strip()

    def ours(cache, repository, offline):
        kind, repo, revision = repository
        request = {"cache": str(cache), "offline": offline, "type": kind, "repo": repo, "revision": revision}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    with tempfile.TemporaryDirectory() as theirs, tempfile.TemporaryDirectory() as mine:
        theirs, mine = Path(theirs), Path(mine)
        for repository in REPOSITORIES:
            python(theirs, endpoint, repository)
        found = {"recorded_with": {"huggingface_hub": huggingface_hub.__version__}, "cache": record(theirs)}
        for repository in REPOSITORIES:
            offline = ours(theirs, repository, True)
            online = ours(theirs, repository, False)
            assert offline["right"] and online["right"] and online["downloads"] == 0, (repository, offline, online)
            print("downloaded by Python, found by us:", *repository)
            ours(mine, repository, False)
        for repository in REPOSITORIES:
            folder = python(mine, endpoint, repository, HF_HUB_OFFLINE="1")
            files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            assert folder.is_relative_to(mine) and files, folder
            print("downloaded by us, found by Python offline:", *repository, files)
        strip = lambda cache: {name: entry for name, entry in cache.items() if not name.startswith((".locks", "CACHEDIR"))}
        differ = {name for name in strip(found["cache"]) | strip(record(mine))
                  if strip(found["cache"]).get(name) != strip(record(mine)).get(name)}
        print("files and links that differ, locks aside:", sorted(differ) or "none")
    server.stdin.close()
    server.wait()
    path = ROOT / "tests" / "golden" / "hub" / "cache.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


main()
