"""Memory of `sma-net predict` and `sma-net align` does not grow with the length of a video: peaks of separate processes."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from sma_models.faces.parallel import ordered_map
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_images import drawn, write_video

# A run on the short video imports and allocates everything once; then the code prints by how many kilobytes the peak of a run
# on the long video exceeds that state. Writing 5 to clear_refs resets the peak.
CODE = """
import sys
from sma_models.cli import main

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

short, long = (sys.argv[1:].index(word) for word in ("short", "long"))
main(sys.argv[1:][short + 1 : long])
open("/proc/self/clear_refs", "w").write("5")
before = kilobytes("VmRSS")
main(sys.argv[1:][long + 1 :])
print(kilobytes("VmHWM") - before)
"""


def frames(count):
    """Small images, one in a hundred with a face."""
    face = np.pad(drawn(0)[0][::4, ::4], ((0, 0), (16, 16), (0, 0)), constant_values=128)
    empty = np.full_like(face, 128)
    return (face if number % 100 == 0 else empty for number in range(count))


def test_no_more_than_four_items_a_thread_are_held():
    taken = []
    results = ordered_map(lambda item: item, (taken.append(item) or item for item in range(100)), workers=2)
    assert next(results) == 0 and len(taken) == 8
    assert list(results) == list(range(1, 100))


@pytest.mark.parametrize("command", ["predict", "align"])
@pytest.mark.parametrize("count", [2000, pytest.param(24000, marks=pytest.mark.slow)])
def test_memory_does_not_follow_the_length(tmp_path, command, count):
    """All 2,000 frames would take 36 MB, and 24,000 rows as Python objects about 48 MB. Measured were 20 and 2 MB for 2,000
    frames, and 19 and 9 MB for 24,000: a second network, and memory kept by allocators."""
    write_checkpoint(tmp_path / "model.ckpt")
    arguments = []
    for name, length in (("short", count // 4), ("long", count)):
        write_video(tmp_path / f"{name}.avi", frames(length))
        arguments += [name, command]
        if command == "predict":
            arguments += [tmp_path / "model.ckpt", tmp_path / f"{name}.avi", "--out", tmp_path / f"{name}.csv"]
        else:
            arguments += [tmp_path / f"{name}.avi", tmp_path / name]
        arguments += ["--workers", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = [sys.executable, "-c", CODE, *map(str, arguments)]
    done = subprocess.run(ran, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / ("long.csv" if command == "predict" else "long/alignment.csv")).open() as file:
        assert sum(1 for _ in csv.DictReader(file)) == count
    assert int(done.stdout.split()[-1]) < 25_000
