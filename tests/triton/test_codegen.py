"""What the compilers make of the kernels, ahead of time: the committed table holds, and what it says is good."""

import json
import os

import pytest

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the compiler needs a process without the interpreter", allow_module_level=True)

from sma_kernels.triton_kernels import codegen

TABLE = json.loads(codegen.TABLE.read_text())
NVIDIA, AMD = 99 * 1024, 64 * 1024  # shared memory of a block on 8.6, 8.9 and 12.0; of gfx942
QUICK = [("S1", target) for target in codegen.TARGETS] + [("S4", "sm_90"), ("S5", "sm_90")]


def test_every_launch_has_its_row():
    assert list(TABLE) == list(codegen.every_launch())


def test_nothing_spills():
    assert not [row for row, figures in TABLE.items() if figures["spilled"]]


def test_shared_memory_is_there_on_every_card():
    for row, figures in TABLE.items():
        assert figures["shared"] <= (AMD if "gfx" in row else NVIDIA), row


def test_sixteen_bit_products_use_matrix_instructions():
    """float32 too, through TF32 or AMD's own; the N x N algebra and the sum over samples have no products."""
    without = ("reduce", "softmax_rows", "staged_gram_backward", "staged_correlation")
    for row, figures in TABLE.items():
        if row.split()[5] not in without:
            assert figures["tensor"], row


def test_values_are_read_as_wide_as_a_row_allows():
    """Elements of 14x14 rows divide by 4, of 28x28 and channels_last rows by 8; 7x7 rows by none."""
    for row, figures in TABLE.items():
        shape, dtype, _, layout, _, kernel, target = row.split()
        if kernel == "pool" and dtype == "bfloat16" and target.startswith("sm_"):
            expected = 16 if layout == "channels_last" or shape == "S4" else 8
            assert figures["load_bytes"] >= expected, row


def same(row: str, launch, target: str) -> None:
    found = json.loads(json.dumps(codegen.measure(launch, target)))
    assert found["spilled"] == 0, row
    expected = TABLE[row]
    for name in ("tensor", "load_bytes", "warps"):
        assert found.get(name) == expected.get(name), f"{row}: {name}"
    assert found["shared"] <= expected["shared"], row


@pytest.mark.parametrize("shape, target", QUICK)
def test_table_is_what_compiles(shape, target):
    for row, launch in codegen.launches_of(shape, *codegen.VARIANTS[0], target).items():
        same(row, launch, target)


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE)
def test_whole_table_is_what_compiles(row):
    shape, dtype, merge, layout, _, _, target = row.split()
    same(row, codegen.launches_of(shape, dtype, merge, layout == "channels_last", target)[row], target)
