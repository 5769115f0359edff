"""Records the bytes that TensorBoard's own writer makes of some events; README.md says what is in the file."""

import io
import json
from pathlib import Path

import tensorboard
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

# As tasks/_event_file.ts takes them.
EVENTS = [
    {"fileVersion": "brain.Event:2"},
    {"start": True, "step": 1},
    {"start": True, "step": 0},
    {"step": 1, "values": {"train/loss": 0.6931471805599453}},
    {"step": 127, "values": {"train/loss": -0.0, "train/gradient_norm": 1e-30, "eval/q_loss": 3.5e38}},
    {"step": 128, "values": {"a": 1}},
    {"step": 123456789012, "values": {"long/" + "n" * 300: 2.5}},
    {"step": 5, "values": {}},
    {"step": 6, "values": {"train/tokens_per_second": 40961.25, "überschrift": 1 / 3}},
]


class Kept(io.BytesIO):
    def close(self):
        pass


def main():
    records = []
    for index, event in enumerate(EVENTS):
        seconds = 1_700_000_000 + index / 3
        file = Kept()
        RecordWriter(file).write(message(event, seconds).SerializeToString())
        records.append({"event": event, "seconds": seconds, "bytes": file.getvalue().hex()})
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    text = f'{{"recorded_with": {json.dumps({"tensorboard": tensorboard.__version__})}, "records": [\n{lines}\n]}}\n'
    (Path(__file__).parent / "events.json").write_text(text)


def message(event, seconds):
    if "fileVersion" in event:
        return Event(wall_time=seconds, file_version=event["fileVersion"])
    if "start" in event:
        return Event(wall_time=seconds, step=event["step"], session_log=SessionLog(status=SessionLog.START))
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in event["values"].items()]
    return Event(wall_time=seconds, step=event["step"], summary=Summary(value=values))


if __name__ == "__main__":
    main()
