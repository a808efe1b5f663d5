"""The calls that the comparisons on a CPU time."""

from collections.abc import Collection
from itertools import product
from typing import NamedTuple

import torch

from benchmarks.baselines import Tensors
from benchmarks.module import MODULE, module_inputs
from benchmarks.shapes import CPU_SHAPES, LAYOUTS, SHAPES, inputs, on_cpu
from tests.helpers import cases

FUNCTIONS = ("sma_attention", MODULE, *cases.FUNCTIONS[1:])
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CPU = torch.device("cpu")
PART_SHAPES = ("S1", "S2", "S3", "S4")  # of the functions that compute a part of `sma_attention`, and of the module


class Job(NamedTuple):
    """One call of a function."""

    function: str
    shape: str
    dtype: str
    layout: str
    merge: str  # "" for functions without one

    @property
    def settings(self) -> dict[str, str]:
        return {"merge": self.merge} if self.merge else {}

    def tensors(self) -> Tensors:
        shape, dtype, layout = on_cpu(self.shape), DTYPES[self.dtype], LAYOUTS[self.layout]
        if self.function == MODULE:
            return module_inputs(shape, dtype, layout, CPU)
        return inputs(shape, dtype, layout, CPU, self.function)


def _merges(function: str, shape: str) -> tuple[str, ...]:
    return SHAPES[shape].merges if function == MODULE or "merge" in cases.SETTINGS[function] else ("",)


def jobs(
    functions: Collection[str] = FUNCTIONS,
    shapes: Collection[str] = CPU_SHAPES,
    dtypes: Collection[str] = tuple(DTYPES),
    layouts: Collection[str] = tuple(LAYOUTS),
) -> list[Job]:
    """All calls of these functions at these shapes, as far as they are timed: the module is trained in float32."""
    return [
        Job(function, shape, dtype, layout, merge)
        for function, shape, dtype, layout in product(functions, shapes, dtypes, layouts)
        if shape in (CPU_SHAPES if function == "sma_attention" else PART_SHAPES)
        if function != MODULE or dtype == "float32"
        for merge in _merges(function, shape)
    ]
