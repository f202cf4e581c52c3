"""A batch that doesn't fit into memory: an error, after which the next call computes what it always did."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, signal, sys
import numpy as np, npalexnet as na

def forward_and_backward(images):
    y = layer(images)
    layer.backward(y)
    return y

na.set_num_threads(3)
layer = na.Conv2d(3, 16, 3, padding=1, seed=0)
few = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("float32")
expected = forward_and_backward(few)
# Its output is 300 MB. A shard's is 8: what is left when one doesn't fit is enough for Python itself, which may crash.
many = np.zeros((288, 3, 128, 128), "float32")
for _ in range(3):  # all threads get the buffers of BLAS, without which OpenBLAS ends the process
    forward_and_backward(many[:48])

pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(sys.argv[1]) * 2**20,) * 2)
signal.alarm(40)  # a call that hangs is killed
for _ in range(3):
    try:
        forward_and_backward(many)
    except MemoryError:
        pass
    else:
        sys.exit("there was enough memory")
    assert np.array_equal(forward_and_backward(few), expected)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
@pytest.mark.parametrize("megabytes", [5, 100])
def test_after_a_batch_that_does_not_fit_the_next_call_computes_the_same(megabytes):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(megabytes)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
