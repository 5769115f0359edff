"""What Python makes of the tables of datasets.ts, for comparison: rows as dictionaries, as our reader gives them.

    python bench/datasets.py write <jsonl> <parquet>     # the same rows as Parquet, zstd
    python bench/datasets.py <peer> <path>               # prints {"rows": …, "seconds": …, "peakBytes": …}
"""

import csv
import json
import resource
import sys
import time


def write(source, target):
    import pyarrow.json
    import pyarrow.parquet

    with pyarrow.json.open_json(source) as reader, pyarrow.parquet.ParquetWriter(
        target, reader.schema, compression="zstd"
    ) as writer:
        for batch in reader:
            writer.write_batch(batch)


def parquet(path):
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def arrow_csv(path):
    import pyarrow.csv

    for batch in pyarrow.csv.open_csv(path):
        yield from batch.to_pylist()


def plain_csv(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


def plain_json(path):
    with open(path) as file:
        yield from map(json.loads, file)


def peak_bytes():
    try:
        # What getrusage says may be that of the process that started this one.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


PEERS = {"pyarrow.parquet": parquet, "pyarrow.csv": arrow_csv, "csv": plain_csv, "json": plain_json}

command, *paths = sys.argv[1:]
if command == "write":
    write(*paths)
else:
    start = time.perf_counter()
    rows = sum(1 for _ in PEERS[command](*paths))
    seconds = time.perf_counter() - start
    print(json.dumps({"rows": rows, "seconds": seconds, "peakBytes": peak_bytes()}))
