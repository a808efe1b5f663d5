"""Each primitive, lane by lane: the emulation against plain arithmetic, and against a GPU if there is one."""

import ctypes
import subprocess

import pytest
import torch

from tests.cuda_emulator import emulated
from tests.cuda_emulator.build import HERE, cuda_build

OPERATIONS = {
    "shuffle and tf32 rounding": 0,
    "copies and matrix load": 1,
    "transposed matrix load": 2,
    "bf16 product": 3,
    "f16 product": 4,
    "tf32 product": 5,
}

CARVE_TOO_MUCH = 6


def lanes_of(operation: int) -> torch.Tensor:
    """Words [32,8] that encode small numbers in the input format of the operation."""
    draw = torch.Generator().manual_seed(operation)
    if operation in (3, 4):
        dtype = torch.bfloat16 if operation == 3 else torch.float16
        return torch.randn(32, 16, generator=draw).to(dtype).view(torch.int32)
    return torch.randn(32, 8, generator=draw).view(torch.int32)


def operands(lanes: torch.Tensor, dtype: torch.dtype, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A [16,depth] and B [depth,8], assembled lane by lane as in the figures of the PTX ISA."""
    held = lanes[:, :6].contiguous().view(dtype).float().reshape(32, 6, -1)
    width = held.shape[2]
    a, b = torch.zeros(16, depth), torch.zeros(depth, 8)
    for lane in range(32):
        group, within = divmod(lane, 4)
        for register in range(4):
            for half in range(width):
                column = width * within + half + depth // 2 * (register // 2)
                a[group + 8 * (register % 2), column] = held[lane, register, half]
        for register in range(2):
            for half in range(width):
                b[width * within + half + depth // 2 * register, group] = held[lane, 4 + register, half]
    return a, b


@pytest.mark.parametrize("operation", (3, 4, 5))
def test_products_follow_the_documented_layout(operation, backend):
    lanes = lanes_of(operation)
    dtype = {3: torch.bfloat16, 4: torch.float16, 5: torch.float32}[operation]
    if operation == 5:
        lanes = lanes & -8192  # the bits that tf32 keeps
    a, b = operands(lanes, dtype, 8 if operation == 5 else 16)
    actual = emulated.probe(operation, lanes).view(torch.float32)
    product = a.double() @ b.double()
    for lane in range(32):
        group, within = divmod(lane, 4)
        for q in range(4):
            exact = product[group + 8 * (q // 2), 2 * within + q % 2] + 0.5 + q
            assert abs(float(actual[lane, q]) - float(exact)) < 1e-4


@pytest.mark.parametrize("operation", (1, 2))
def test_matrix_loads_follow_the_documented_layout(operation, backend):
    lanes = lanes_of(operation)
    actual = emulated.probe(operation, lanes).view(torch.int16).reshape(32, 4, 2)
    halves = lanes.contiguous().view(torch.int16).clone()  # [32,16]
    halves[:, 15] = 0  # the last copy transfers 2 of its 4 bytes
    for lane in range(32):
        group, within = divmod(lane, 4)
        for q in range(4):
            for e in range(2):
                row, column = (group, 2 * within + e) if operation == 1 else (2 * within + e, group)
                assert actual[lane, q, e] == halves[8 * q + row, 8 + column]


def test_carving_more_than_the_launch_asked_for_is_an_error(backend):
    with pytest.raises(RuntimeError, match="more shared memory is carved than the launch asked for"):
        emulated.probe(CARVE_TOO_MUCH, lanes_of(CARVE_TOO_MUCH))


@pytest.fixture(scope="module")
def probe_library(tmp_path_factory):
    """Compiled per process: parallel tests might otherwise load a file while another one writes it."""
    library = tmp_path_factory.mktemp("probe") / "probe_gpu.so"
    flags = ["-O3", "-std=c++20", "-arch=native", "-Xcompiler=-fPIC", "-shared"]
    nvcc = cuda_build.find_home() / "bin" / "nvcc"
    subprocess.run([nvcc, *flags, HERE / "probe_gpu.cu", "-o", library], check=True)
    return ctypes.CDLL(library)


@pytest.mark.gpu
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_the_gpu_does_what_the_emulation_does(operation, backend, probe_library):
    probe = probe_library.probe
    probe.restype = ctypes.c_char_p
    lanes = lanes_of(operation)
    device_lanes, actual = lanes.cuda(), torch.empty(32, 4, dtype=torch.int32, device="cuda")
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (device_lanes, actual)]
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    assert probe(operation, *pointers, stream) is None
    expected = emulated.probe(operation, lanes)
    if operation < 3:
        assert torch.equal(actual.cpu(), expected)
    else:
        torch.testing.assert_close(actual.cpu().view(torch.float32), expected.view(torch.float32), rtol=1e-4, atol=1e-4)
