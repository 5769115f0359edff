"""Writes tests/golden/mmlu_parquet/: rows as `cais/mmlu` on the Hugging Face hub has them, and some that are not sound.

The rows are the made-up ones of tests/golden/prompts/mmlu__anatomy.json.

    pip install pyarrow==26.0.1
    python tests/golden/record_mmlu_parquet.py
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GOLDEN = Path(__file__).parent
FOLDER = GOLDEN / "mmlu_parquet"
TYPES = {
    "question": pa.string(),
    "subject": pa.string(),
    "choices": pa.list_(pa.string()),
    "answer": pa.int64(),
}


def write(name, rows, columns=tuple(TYPES)):
    schema = pa.schema([(column, TYPES[column]) for column in columns])
    table = pa.Table.from_pylist([{column: row[column] for column in columns} for row in rows], schema)
    pq.write_table(table, FOLDER / f"{name}.parquet", compression="snappy")


FOLDER.mkdir(exist_ok=True)
rows = json.loads((GOLDEN / "prompts" / "mmlu__anatomy.json").read_text())["rows"]
for split in ("dev", "validation", "test"):
    write(split, rows[split])
write("no_answer_column", rows["dev"], ("question", "subject", "choices"))
write("no_answer", [{**rows["dev"][0], "answer": None}])
