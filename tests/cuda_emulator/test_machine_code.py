"""The machine code of the compiled kernels matches the committed table."""

import json

import pytest

from tests.cuda_emulator import machine_code
from tools.cuda import sass


@pytest.fixture(scope="module")
def measured():
    if sass.why_not():
        pytest.skip(sass.why_not())
    return machine_code.measure_once()


@pytest.fixture(scope="module")
def committed():
    return json.loads(machine_code.TABLE.read_text())


def test_every_kernel_is_in_the_table(measured, committed):
    for architecture in machine_code.ARCHITECTURES:
        assert measured[architecture].keys() == committed[architecture].keys()


# Bytes. Operands in several parts and the sums over blocks leave no register for some addresses.
SPILLED = {
    ("80", "head_backward f16 2 parts shared"): 8,
    ("80", "head_backward f32 2 parts shared"): 16,
    ("80", "head_backward f32 3 parts shared"): 8,
    ("90", "head_backward f32 2 parts workspace"): 8,
}
# Of the barriers of a cooperative launch: one for the statistics of the softmax, and two for each sum over a cluster.
ATOMICS = {"head_forward": 5, "head_backward": 7}


def test_no_spill_no_local_array_no_atomic_on_data(measured):
    for architecture, kernels in measured.items():
        for name, facts in kernels.items():
            spilled = SPILLED.get((architecture, name), 0)
            assert facts["stack"] <= spilled, (architecture, name, facts)
            assert facts["atomics"] == ATOMICS.get(name.split()[0], 0), (architecture, name, facts)
            assert spilled or not facts["local"], (architecture, name, facts)


def test_registers_leave_the_designed_occupancy(measured, committed):
    """Blocks per SM: one of 512 threads for the head kernels, three or four of 128 for the streaming kernels."""
    for architecture, kernels in measured.items():
        for name, facts in kernels.items():
            most = 168 if name.startswith("pool") else 128
            assert facts["registers"] <= most, (architecture, name, facts)
            assert facts["registers"] <= committed[architecture][name]["registers"] + 16, (architecture, name, facts)


def test_tensor_cores_and_wide_copies(measured):
    for architecture, kernels in measured.items():
        for name, facts in kernels.items():
            if name.startswith("reduce"):
                continue
            assert facts["async_copies_128"] >= 2, (architecture, name, facts)
            assert bool(facts["tensor"]) == ("ieee" not in name), (architecture, name, facts)
            assert bool(facts["matrix_loads"]) == ("16-bit" in name or "parts" in name), (architecture, name, facts)
            assert bool(facts["stores_128"]) == ("backward" in name or "grad" in name), (architecture, name, facts)
