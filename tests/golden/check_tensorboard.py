"""Compares what TensorBoard reads of a run with its metrics.jsonl: check_tensorboard.py <run folder>

Ends with status 1 if a step is missing, stands twice, or has another value; prints the number of steps of each tag.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray


def main():
    folder = Path(sys.argv[1])
    expected = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        step = values.pop("step")
        for name, value in values.items():
            tag = name.replace("eval_", "eval/", 1) if name.startswith("eval_") else f"train/{name}"
            expected.setdefault(tag, []).append((step, float(np.float32(value))))
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    found = {tag: [(e.step, float(np.float32(e.value))) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    found |= {tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in read.Tensors(tag)]
              for tag in read.Tags()["tensors"]}
    for tag in sorted(expected.keys() | found.keys()):
        if expected.get(tag) != found.get(tag):
            sys.exit(f"{tag} differs: metrics.jsonl has {expected.get(tag)}, TensorBoard {found.get(tag)}")
        print(f"{tag}: {len(found[tag])} steps, {found[tag][0][0]} to {found[tag][-1][0]}")
    print(f"{len(list(folder.glob('events.out.tfevents.*')))} event files")


if __name__ == "__main__":
    main()
