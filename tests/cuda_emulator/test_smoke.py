"""The smoke cases of the GPU report launch every CUDA kernel, on a GPU with little shared memory and on one with much."""

import json

import pytest

from benchmarks.gpu_report.smoke import SMOKES, Smoke
from tests.cuda_emulator import build, emulated, machine_code


def kernels_of(smoke: Smoke, shared_limit: int) -> set[str]:
    """The kernels launched by the training step of a smoke case. The small functions launch a subset of these."""
    case = smoke.case
    sizes = {"batch": case.batch, "R": case.regions, "K": case.channels, "G": case.groups, "D": case.embed}
    sizes |= {"C": case.values, "L": case.height * case.width}
    saved = vars(emulated.gpu).copy()
    emulated.gpu.shared_limit, emulated.gpu.processors, emulated.gpu.tf32 = shared_limit, 132, smoke.tf32
    try:
        return set(emulated.count(sizes, smoke.dtype, case.merge)["kernels"])
    finally:
        vars(emulated.gpu).update(saved)


@pytest.mark.parametrize("shared_limit", (99 * 1024, 227 * 1024), ids=("99 KB", "227 KB"))
def test_every_kernel_is_launched(shared_limit):
    if build.why_not():
        pytest.skip(build.why_not())
    smokes = [smoke for smoke in SMOKES if smoke.case.function == "sma_attention"]
    launched = set().union(*(kernels_of(smoke, shared_limit) for smoke in smokes))
    assert launched == set(json.loads(machine_code.TABLE.read_text())["90"])
