"""Ahead-of-time compilation of the kernels: the committed tables are correct, and their figures acceptable."""

import json
import os
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the compiler needs a process without the interpreter", allow_module_level=True)

from benchmarks.shapes import SHAPES
from sma_kernels.triton_kernels import call
from sma_kernels.triton_kernels.kernel_args import Layout, Scalar
from tools.triton import codegen_report
from tools.triton.recorder import attention_head, backward_launches, forward_launches

TABLES = codegen_report.tables()
COMPILED = TABLES.get(codegen_report.VERSION, {})  # by the installed Triton
NVIDIA, AMD = 99 * 1024, 64 * 1024  # shared memory of a block on 8.6, 8.9 and 12.0; of gfx942
QUICK = [
    *(("S1", "bfloat16", target) for target in codegen_report.TARGETS),
    *(("S4", "bfloat16", "sm_90"), ("S5", "bfloat16", "sm_90"), ("S3", "float16", "sm_80")),
]

# By version of Triton: stack bytes of rows whose tiles were not timed; the most that timed tiles (bfloat16) may spill on any
# target; rows that need as much shared memory as only an A100 has.
KNOWN_SPILLS = {
    "3.6": {
        "S1 float32 max nchw forward forward sm_80": 72,
        "S1 float16 max nchw forward forward sm_80": 32,
        "S1 float16 max nchw backward value_gradients sm_80": 8,
        "S2 float16 max nchw forward forward sm_80": 32,
        "S1 float16 max nchw forward forward sm_90": 24,
        "S1 float16 max nchw backward value_gradients sm_90": 16,
        "S2 float16 max nchw forward forward sm_90": 24,
    }
}
MOST_SPILLED = {"3.6": 528, "3.8": 224}
A100_ONLY = {
    "3.6": {
        "S5 bfloat16 max nchw forward forward sm_80",
        "S5 bfloat16 none nchw forward forward sm_80",
        "S5 bfloat16 max channels_last forward forward sm_80",
    }
}

every_table = pytest.mark.parametrize("version", TABLES)


@pytest.mark.skipif(not COMPILED, reason=f"no table of Triton {codegen_report.VERSION}")
@every_table
def test_every_launch_has_its_row(version):
    assert list(TABLES[version]) == list(codegen_report.every_launch())


@every_table
def test_nothing_spills_but_what_is_known(version):
    spills = {row: figures["spilled"] for row, figures in TABLES[version].items() if figures["spilled"]}
    timed = {row for row in spills if " bfloat16 " in row and "gfx" not in row}
    assert {row: spills[row] for row in spills.keys() - timed} == KNOWN_SPILLS.get(version, {})
    assert max(spills[row] for row in timed) == MOST_SPILLED[version]


def test_records_of_equal_numbers_keep_their_types():
    for record in (Layout(1, 2), Scalar(1, 2)):
        assert type(call.constants(record)) is type(record)


@every_table
def test_shared_memory_is_there_on_every_gpu(version):
    large = {row for row, figures in TABLES[version].items() if figures["shared"] > (AMD if "gfx" in row else NVIDIA)}
    assert large == A100_ONLY.get(version, set())


@pytest.mark.parametrize(
    "version, capability, rows",
    (((3, 6), (8, 6), 64), ((3, 6), (8, 9), 64), ((3, 6), (8, 0), 128), ((3, 6), (9, 0), 128), ((3, 8), (8, 9), 128)),
)
def test_what_only_an_a100_holds_is_blocked_on_smaller_gpus(version, capability, rows, monkeypatch):
    monkeypatch.setattr(call, "TRITON_VERSION", version)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert call.max_forward_rows(torch.device("cuda"), False) == rows
    monkeypatch.setattr(call, "max_forward_rows", lambda device, amd: rows)
    head = attention_head(SHAPES["S5"], torch.bfloat16, "max", False)
    kernels = [recorded.kernel.__name__ for recorded in forward_launches(head)]
    assert ("forward_kernel" in kernels) == (rows == 128)


@every_table
def test_sixteen_bit_products_use_matrix_instructions(version):
    """float32, too, through TF32 or AMD's own instructions; the N x N algebra and the sum over samples have no products."""
    without = ("reduce", "softmax_rows", "blocked_gram_backward", "blocked_correlation")
    for row, figures in TABLES[version].items():
        if row.split()[5] not in without:
            assert figures["tensor"], row


@every_table
def test_values_are_read_as_wide_as_a_row_allows(version):
    """The lengths of 14x14 rows divide by 4, of 28x28 and channels_last rows by 8, of 7x7 rows by neither."""
    for row, figures in TABLES[version].items():
        shape, dtype, _, layout, _, kernel, target = row.split()
        if kernel == "pool" and dtype in ("bfloat16", "float16") and target.startswith("sm_"):
            expected = 16 if layout == "channels_last" or shape == "S4" else 8
            assert figures["load_bytes"] >= expected, row


def same(row: str, recorded, target: str) -> None:
    figures = json.loads(json.dumps(codegen_report.measure(recorded, target)))
    expected = COMPILED[row]
    for name in ("spilled", "tensor", "load_bytes", "warps"):
        assert figures.get(name) == expected.get(name), f"{row}: {name}"
    assert figures["shared"] <= expected["shared"], row


@pytest.mark.skipif(not COMPILED, reason=f"no table of Triton {codegen_report.VERSION}")
@pytest.mark.parametrize("shape, dtype, target", QUICK)
def test_table_is_what_compiles(shape, dtype, target):
    for row, recorded in codegen_report.launches_of(shape, dtype, "max", False, target).items():
        same(row, recorded, target)


def wide_loads(recorded) -> int:
    return sum(size == 16 for size in codegen_report.load_bytes(codegen_report.compiled(recorded, "sm_90").asm["ptx"]))


def test_a_mask_makes_no_load_narrower():
    """It applies to loaded tiles, since a load that it masks is narrower where positions are adjacent."""
    shape = SHAPES["S4"]
    head = attention_head(shape, torch.bfloat16, "max", False)
    masked = replace(head, mask=torch.empty(shape.batch, shape.height, shape.width, dtype=torch.bool, device="meta"))
    for launches in (forward_launches, backward_launches):
        for without, with_mask in zip(launches(head), launches(masked), strict=True):
            assert wide_loads(with_mask) >= wide_loads(without), without.kernel


@pytest.mark.slow
@pytest.mark.parametrize("row", COMPILED)
def test_whole_table_is_what_compiles(row):
    shape, dtype, merge, layout, _, _, target = row.split()
    same(row, codegen_report.launches_of(shape, dtype, merge, layout == "channels_last", target)[row], target)
