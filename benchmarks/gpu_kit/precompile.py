"""`python -m benchmarks.gpu_kit.precompile CAPABILITY PART`: compiles Triton kernels of the report into
TRITON_CACHE_DIR."""

import argparse
from collections.abc import Callable, Sequence

import torch

from benchmarks.baselines import with_backend
from benchmarks.gpu_kit.stand_in import compile_only
from benchmarks.gpu_report.smoke import SMOKES, Smoke, set_precision
from benchmarks.gpu_report.steps import GPU, Cell
from benchmarks.passes import forward_backward
from benchmarks.shapes import LAYOUTS, SHAPES, inputs
from tests.helpers import cases


def compile_cell(cell: Cell) -> None:
    """A training step of `cell`, as timed by the report."""
    tensors = inputs(SHAPES[cell.shape], getattr(torch, cell.dtype), LAYOUTS[cell.layout], torch.device("cpu"))
    forward_backward(with_backend("sma_attention", "triton", merge=cell.merge), tensors)()


def compile_smoke(smoke: Smoke) -> None:
    set_precision(smoke.tf32)
    tensors = cases.inputs(smoke.case, smoke.dtype)
    cases.run(smoke.case, tensors, "triton", cases.cotangents(cases.call(smoke.case, tensors, "reference"), 0))


PARTS: dict[str, tuple[Callable, Sequence]] = {
    "shapes": (compile_cell, [cell for cell in GPU.cells if cell.implementation == "triton"]),
    "smoke": (compile_smoke, SMOKES),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kit.precompile", description=__doc__)
    parser.add_argument("capability", type=int, help="compute capability without its point, such as 90")
    parser.add_argument("part", choices=PARTS, help="kernels of the timed shapes, or of the smoke cases")
    args = parser.parse_args()
    kernels = compile_only(args.capability)
    compile_one, calls = PARTS[args.part]
    for number, call in enumerate(calls, 1):
        compile_one(call)
        print(f"{args.part}, {number} of {len(calls)}: {kernels}", flush=True)


if __name__ == "__main__":
    main()
