"""Alter files of weights in thousands of ways, and see what the readers make of them::

    python tests/scripts/fuzz_weights.py [SECONDS] [SEED]

Small files of all formats, made by their own libraries, are cut short, have bytes put in, taken out, moved or replaced.
A reader must either give tensors, or raise a ValueError of one line that names the file. Anything else is a fault, as
is a second of time. Faults are printed, and how many files were tried; the exit status is 1 if there was a fault.
"""

import io
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from npalexnet.formats.reader import read_tensor_file
from npalexnet.pretrained.identify import identify
from tests.formats.test_caffe_file import NETWORKS
from tests.formats.test_onnx_file import model
from tests.formats.test_torch_file import FORMS, saved

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def good_files() -> list[bytes]:
    """Return small files of all formats."""
    archives = []
    for write in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        write(file, a=A, b=A[0], text=np.array("text"))
        archives.append(file.getvalue())
    checkpoint = {"state_dict": {"a": torch.ones(2, 3), "b": torch.ones(3).half()}, "epoch": 1, "o": [1, 2.5, None]}
    half = helper.make_tensor("h", TensorProto.FLOAT16, [2], [1, 2])
    few_bits = [helper.make_tensor(kind, getattr(TensorProto, kind), [3], [1, 2, 3]) for kind in ("FLOAT4E2M1", "INT4")]
    tensors = [numpy_helper.from_array(A, "a"), numpy_helper.from_array(A[0], "b"), half, *few_bits]
    small = {"a": torch.ones(2, 4).to(torch.float8_e5m2), "b": torch.ones(2, 4).to(torch.float8_e4m3fn)}
    pairs = {"a": torch.arange(6, dtype=torch.uint8).reshape(2, 3).view(torch.float4_e2m1fn_x2)}
    return [
        saved(checkpoint), saved(checkpoint, FORMS["legacy"]), saved(checkpoint, pickle_protocol=4),
        saved({"u": torch.zeros(2, dtype=torch.uint16)}), *archives, save({"a": A, "b": A}, {"key": "text"}),
        safetensors.torch.save(small), saved({**small, **pairs}), saved({**small, **pairs}, FORMS["legacy"]),
        *NETWORKS.values(),
        model(tensors, [helper.make_node("Gemm", ["x", "a", "b"], ["y"])], k="v").SerializeToString(),
    ]  # fmt: skip


def altered(content: bytes, moments: random.Random) -> bytes:
    """Return a file altered in one of five ways."""
    altered = bytearray(content)
    place, other = moments.randrange(len(content)), moments.randrange(len(content))
    match moments.randrange(6):
        case 0:
            del altered[place:]
        case 1:
            altered[place:place] = moments.randbytes(moments.randint(1, 8))
        case 2:
            del altered[place : place + moments.randint(1, 8)]
        case 3:
            altered[place : place + 8] = altered[other : other + 8]
        case _:
            for _ in range(moments.randint(1, 4)):
                altered[moments.randrange(len(content))] = moments.choice((0, 1, 127, 128, 255, moments.randrange(256)))
    return bytes(altered)


def fault(path: Path) -> str | None:
    """Return what is wrong with how a file is taken, or None."""
    began = time.monotonic()
    try:
        identify(read_tensor_file(path))
    except ValueError as error:
        message = str(error)
        if not message.startswith(str(path)) or "\n" in message or len(message) > 1000:
            return f"its message is not one line that names the file: {message[:300]!r}"
    except BaseException:
        return traceback.format_exc()
    return None if time.monotonic() - began < 1 else "it took more than a second"


def main(seconds: float, seed: int) -> int:
    moments, good = random.Random(seed), good_files()
    tried = faults = 0
    ends = time.monotonic() + seconds
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        while time.monotonic() < ends:
            path.write_bytes(altered(moments.choice(good), moments))
            tried += 1
            if found := fault(path):
                faults += 1
                print(f"FAULT: file {tried} of seed {seed}: {found}", flush=True)
    print(f"{tried:,} files tried, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [60, 0][len(given) :])))
