"""Writes tests/golden/tables/: one table as Parquet in every compression, form of pages and encoding, and as JSON.

    pip install pyarrow==26.0.1
    python tests/golden/record_tables.py
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent / "tables"
ROWS = 60


def row(i):
    return {
        "question": f"Question {i}, «é»\u2028" + "x" * (i % 9),
        "number": None if i % 7 == 0 else i * 10**9,
        "share": i / 8,
        "sure": i % 3 == 0,
        "kind": ["easy", "hard", None][i % 3],
        "choices": None if i % 11 == 10 else [f"choice {j}" for j in range(i % 5)],
        "answers": None
        if i % 13 == 12
        else {"text": [f"text {j}" for j in range(i % 4)], "label": ["A", "B", "C"][: i % 4], "of": {"row": i}},
        "deep": [[j, i] for j in range(i % 3)],
    }


SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("number", pa.int64()),
        ("share", pa.float64()),
        ("sure", pa.bool_()),
        ("kind", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answers", pa.struct([("text", pa.list_(pa.string())), ("label", pa.list_(pa.string())), ("of", pa.struct([("row", pa.int32())]))])),
        ("deep", pa.list_(pa.list_(pa.int16()))),
    ]
)

FOLDER.mkdir(exist_ok=True)
rows = [row(i) for i in range(ROWS)]
table = pa.Table.from_pylist(rows, SCHEMA)
small = {"data_page_size": 64, "write_batch_size": 8, "row_group_size": 40}


def write(name, **options):
    pq.write_table(table, FOLDER / f"{name}.parquet", **options)


for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
    write(codec, compression=codec)
write("pages", compression="snappy", use_dictionary=False, **small)
write("pages2", compression="zstd", data_page_version="2.0", **small)
write("checksums", compression="gzip", write_page_checksum=True)
write(
    "encodings",
    compression="none",
    use_dictionary=False,
    data_page_version="2.0",
    column_encoding={
        "question": "DELTA_BYTE_ARRAY",
        "number": "DELTA_BINARY_PACKED",
        "share": "BYTE_STREAM_SPLIT",
        "sure": "RLE",
        "kind": "DELTA_LENGTH_BYTE_ARRAY",
        "choices.list.element": "DELTA_LENGTH_BYTE_ARRAY",
        "answers.of.row": "DELTA_BINARY_PACKED",
    },
)
large = pa.table({"question": ["small", "large"], "number": pa.array([1, 2**60], pa.int64())})
pq.write_table(large, FOLDER / "large_number.parquet")
# A few hundred bytes that stand for a million rows.
many = pa.table({"question": pa.nulls((1 << 20) + 1000, pa.bool_())})
pages = {"row_group_size": 1 << 21, "data_page_size": 1 << 30, "write_batch_size": 1 << 21, "max_rows_per_page": 1 << 30}
pq.write_table(many, FOLDER / "many_rows.parquet", compression="zstd", **pages)
(FOLDER / "rows.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n")
