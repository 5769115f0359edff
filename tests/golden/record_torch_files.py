"""Records files as torch.save writes them, sound and unsound; README.md says what is in each."""

import io
import json
import os
import shutil
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).parent / "torch_files"

DTYPES = {
    "float32": [0.0, -0.0, 1.5, -3.25, 3.4028234663852886e38, 1e-45],
    "float16": [0.0, -2.5, 65504.0, 5.960464477539063e-08, 0.333251953125],
    "bfloat16": [0.0, -2.5, 3.3895313892515355e38, 0.333984375],
    "float64": [0.1, -1e300, 5e-324],
    "int64": [0, -1, 2**53 - 1, -(2**53 - 1)],
    "int32": [2**31 - 1, -(2**31)],
    "int16": [32767, -32768],
    "int8": [127, -128],
    "uint8": [0, 255],
    "bool": [True, False, True],
}


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class TemperatureScale(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor([value]))


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    torch.manual_seed(5)
    expected = {}
    for name, value in sound().items():
        torch.save(value, ROOT / name)
        expected[name] = value
    for name, protocol in (("protocol3.pt", 3), ("protocol4.pt", 4), ("protocol5.pt", 5)):
        torch.save(expected["nested.pt"], ROOT / name, pickle_protocol=protocol)
        expected[name] = expected["nested.pt"]
    buffer = io.BytesIO()
    torch.save(expected["views.pt"], buffer)
    (ROOT / "from_buffer.pt").write_bytes(buffer.getvalue())
    expected["from_buffer.pt"] = expected["views.pt"]
    write_big_endian(ROOT / "big_endian.pt", ROOT / "dtypes.pt")
    expected["big_endian.pt"] = expected["dtypes.pt"]
    for name, value in expected.items():
        # Its own safe reader does not know protocol 4.
        assert describe(torch.load(ROOT / name, weights_only=name not in ("protocol4.pt", "protocol5.pt"))) == describe(value), name
    write_unsound()
    record = {"torch": torch.__version__} | {name: describe(value) for name, value in expected.items()}
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
    (ROOT / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def sound():
    base = torch.arange(24, dtype=torch.float32)
    classifier = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(),
                               nn.Linear(3, 2))
    for parameter in classifier.parameters():
        # Of few digits, so that expected.json is short.
        parameter.data = (parameter.data * 64).round() / 64
    module = nn.Module()
    module.encoder = nn.Linear(2, 3, bias=False)
    module.norm = nn.BatchNorm1d(2)
    module.encoder.weight.data = torch.arange(6.0).reshape(3, 2)
    return {
        "dtypes.pt": {name: torch.tensor(values, dtype=getattr(torch, name)) for name, values in DTYPES.items()},
        "views.pt": {
            "base": base,
            "transposed": base.reshape(4, 6).T,
            "offset": base[5:11],
            "every_third": base[1::3].reshape(2, 4),
            "window": base.reshape(2, 3, 4)[1, :, 1:3],
            "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
            "overlapping": base.as_strided((3, 4), (2, 1), 3),
            "scalar": torch.tensor(7.5),
            "one": torch.tensor([7.5]),
            "empty": torch.zeros(0, 3),
        },
        "nested.pt": {
            "none": None,
            "flags": [True, False],
            "numbers": (1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**53 - 1, -(2**40), 0.1),
            "text": "grüße 🙂",
            "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
            "dictionaries": {"inner": OrderedDict(a=torch.tensor([1.0])), "empty": {}},
            "size": torch.Size([2, 3]),
            "parameter": nn.Parameter(torch.tensor([2.0, 3.0])),
            "again": ["grüße 🙂", "grüße 🙂"],
        },
        "module.pt": module.state_dict(),
        "classifier_model.bin": classifier.state_dict(),
        "scaled_classifier_model.bin": nn.Sequential(classifier, TemperatureScale(0.25)).state_dict(),
        "classifier_without_last_bias.bin": {k: v for k, v in classifier.state_dict().items() if k != "6.bias"},
        "temperature_model.pt": {"log_temperature": torch.tensor(0.4375)},
        "query_temperature_head.bin": TemperatureScale(-0.5).state_dict(),
        "temperature_head.bin": {"lm_head.1.log_temperature": torch.tensor([0.125], dtype=torch.bfloat16)},
    }


def describe(value):
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        wide = value.detach().double() if value.is_floating_point() else value.long()
        return {"tensor": dtype, "shape": list(value.shape), "values": wide.flatten().tolist()}
    if isinstance(value, dict):
        return {"dictionary": [[describe(k), describe(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    return value


def write_big_endian(path, source):
    """As a machine with the other byte order would write it."""
    widths = {str(i): torch.tensor([], dtype=getattr(torch, name)).element_size() for i, name in enumerate(DTYPES)}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            folder, key = os.path.split(entry.filename)
            if folder.endswith("/data"):
                width = widths[key]
                data = b"".join(data[i:i + width][::-1] for i in range(0, len(data), width))
            new.writestr(plain(entry.filename), b"big" if key == "byteorder" else data)


def plain(name):
    """An entry without the time at which it was written."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def write_unsound():
    state = {"weight": torch.tensor([1.0, 2.0])}
    torch.save(state, ROOT / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(state | {"z": Calls(os.system, "echo run > /tmp/a_pickle_ran")}, ROOT / "os_system.pt")
    torch.save(state | {"z": Calls(eval, "1")}, ROOT / "eval.pt")
    torch.save(state | {"z": Calls(getattr, OrderedDict, "fromkeys")}, ROOT / "getattr.pt")
    torch.save(nn.Linear(2, 1), ROOT / "whole_module.pt")
    torch.save({"weight": torch.eye(2).to_sparse()}, ROOT / "sparse.pt")
    torch.save({"weight": torch.tensor([1j])}, ROOT / "complex.pt")
    torch.save({"weight": torch.tensor([1.0]).to(torch.float8_e4m3fn)}, ROOT / "float8.pt")
    torch.save({"weight": torch.zeros(1).expand(1000)}, ROOT / "expanded.pt")
    torch.save({"weight": torch.tensor([2**53 + 2])}, ROOT / "beyond_double.pt")
    torch.save({"number": 2**80}, ROOT / "large_number.pt")
    torch.save({"a set": {1}}, ROOT / "set.pt")
    torch.save({"bytes": b"abc"}, ROOT / "bytes.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(1, 1)).save(ROOT / "torchscript.pt")
        repack("compressed.pt", compression=zipfile.ZIP_DEFLATED)
        repack("duplicate.pt", twice=True)
        repack("two_pickles.pt", extra=("other/data.pkl", b"N."))
        repack("strange_byteorder.pt", replace={"byteorder": b"middle"})
        repack("missing_storage.pt", replace={"0": None})
        repack("short_storage.pt", replace={"0": b"12"})
        repack("no_pickle.pt", replace={"data.pkl": None})
    torch.save([torch.tensor([1.0])], ROOT / "list.pt")
    torch.save({"weight": torch.tensor([1.0]), "epoch": 3}, ROOT / "with_number.pt")
    torch.save({"log_temperature": torch.tensor([1.0, 2.0])}, ROOT / "two_temperatures.pt")


def repack(name, compression=zipfile.ZIP_STORED, twice=False, extra=None, replace=None):
    with zipfile.ZipFile(ROOT / "temperature_model.pt") as old, zipfile.ZipFile(ROOT / name, "w", compression) as new:
        for entry in old.infolist():
            data = (replace or {}).get(os.path.basename(entry.filename), old.read(entry))
            for _ in range(0 if data is None else 2 if twice and entry.filename.endswith("data.pkl") else 1):
                new.writestr(plain(entry.filename), data, compression)
        if extra:
            new.writestr(plain(extra[0]), extra[1])


if __name__ == "__main__":
    main()
