"""`python -m benchmarks.gpu_report.smoke BACKEND`: every kernel of a backend once, against float64 on the CPU.

Hardly any other kernels run on the GPU, so that compute-sanitizer can check all of it; it needs
PYTORCH_NO_CUDA_MEMORY_CACHING=1, since memcheck cannot see overruns inside segments of the caching allocator. Exit status:
0 if all results are right, 1 if one is wrong, 2 if the GPU is no longer usable.
"""

import argparse
import math
import statistics
import sys
import time
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.gpu_report.commands import emit
from benchmarks.gpu_report.kernel_cache import listening
from benchmarks.shapes import SHAPES
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case

BFLOAT16, FLOAT16, FLOAT32 = torch.bfloat16, torch.float16, torch.float32
SCALE_SEEDS = (1, 2, 3)
TF32_TOLERANCE = 0.02  # operands have 11 bits, and a temperature of 0.2 amplifies the error of the cosines
NHWC = torch.channels_last


def _standard(name: str, values: int) -> Case:
    """A standard shape with fewer channels of X."""
    shape = SHAPES[name]
    return Case(
        batch=17,  # more samples than those whose positions Triton divides over programs
        regions=shape.regions,
        channels=shape.channels,
        embed=shape.embed,
        values=values,
        height=shape.height,
        width=shape.width,
    )


S1, S3, S4 = _standard("S1", values=96), _standard("S3", values=136), _standard("S4", values=72)
ODD = Case(regions=5, channels=7, embed=33, values=61, height=17, width=19)
SEVERAL_ROW_TILES = Case(regions=20, channels=2, embed=16, values=40, height=7, width=7)
ALL_ROWS = Case(merge="none", regions=12, channels=4, embed=64, values=96, height=7, width=7)
LARGE = Case(regions=24, channels=8, embed=16, values=32, height=7, width=7)  # more maps than fit into a block
BAG = Case(merge="none", batch=1, regions=1, channels=5, shared=True, embed=64, values=72, height=1, width=20_003)
LARGE_ALL_ROWS = Case(merge="none", regions=12, channels=8, embed=64, values=96, height=14, width=14)


class Smoke(NamedTuple):
    case: Case
    dtype: torch.dtype
    tf32: bool = False  # torch.backends.cuda.matmul.fp32_precision = "tf32"


FEW = (Smoke(S1, BFLOAT16), Smoke(S3, BFLOAT16), Smoke(S4, BFLOAT16))  # for compute-sanitizer, which is slow
SMOKES = (
    *FEW,
    *(
        Smoke(case, dtype, tf32)
        for dtype, tf32 in ((BFLOAT16, False), (FLOAT16, False), (FLOAT32, False), (FLOAT32, True))
        for case in (SEVERAL_ROW_TILES, ALL_ROWS, LARGE)
    ),
    *(Smoke(S1, dtype, tf32) for dtype, tf32 in ((FLOAT16, False), (FLOAT32, False), (FLOAT32, True))),
    *(Smoke(replace(case, layout=NHWC), BFLOAT16) for case in (S1, S3, LARGE_ALL_ROWS)),
    Smoke(replace(ODD, merge="mean", activation="sigmoid", shared=True, layout=NHWC), FLOAT32),
    Smoke(ODD, FLOAT16),
    *(Smoke(BAG, dtype) for dtype in (BFLOAT16, FLOAT16, FLOAT32)),  # one sample on the whole GPU
    Smoke(LARGE_ALL_ROWS, FLOAT16),
    Smoke(Case(), FLOAT32, tf32=True),
    *(Smoke(Case(function=name), FLOAT32) for name in cases.FUNCTIONS),
    *(Smoke(Case(function=name), BFLOAT16) for name in cases.FUNCTIONS),
)


def _in_float64(case: Case, dtype: torch.dtype, seed: int) -> dict[str, Tensor]:
    return cases.run(case, cases.in_float64(cases.inputs(case, dtype, seed)), "reference", seed=seed)


def _scales(case: Case, dtype: torch.dtype, exact: dict[str, Tensor]) -> dict[str, float]:
    """Denominators of relative errors: the 2-norm of the exact result, or 1 if that is zero. A scalar gradient may nearly
    vanish for one seed, so its scale is the root mean square over several."""
    scales = {name: float(error_rule.significant(truth).norm()) or 1.0 for name, truth in exact.items()}
    if any(truth.dim() == 0 for truth in exact.values()):
        draws = [exact, *(_in_float64(case, dtype, seed) for seed in SCALE_SEEDS)]
        for name, truth in exact.items():
            if truth.dim() == 0:
                scales[name] = math.sqrt(statistics.mean(float(draw[name]) ** 2 for draw in draws)) or 1.0
    return scales


def _errors(results: dict[str, Tensor], exact: dict[str, Tensor], scales: dict[str, float]) -> dict[str, float]:
    return {
        name: float((results[name].cpu().double() - error_rule.significant(truth)).norm()) / scales[name]
        for name, truth in exact.items()
    }


def wrong_results(smoke: Smoke, backend: str, device: torch.device) -> list[str]:
    """Outputs and gradients with more than twice the error that the tests allow over eight seeds: here one seed decides."""
    case, dtype = smoke.case, smoke.dtype
    tensors = cases.inputs(case, dtype)
    grads = cases.cotangents(cases.call(case, tensors, "reference"), 0)
    exact = cases.run(case, cases.in_float64(tensors), "reference", [grad.double() for grad in grads])
    scales = _scales(case, dtype, exact)
    on_device = {name: None if tensor is None else tensor.to(device) for name, tensor in tensors.items()}
    ours = _errors(cases.run(case, on_device, backend, [grad.to(device) for grad in grads]), exact, scales)
    yardstick = _errors(cases.run(case, tensors, "reference", grads), exact, scales)
    wrong = []
    for name, error in ours.items():
        gradient = name.startswith("d_")
        allowed = 2 * ((3 if gradient else 2) * yardstick[name] + error_rule.SLACK[dtype][gradient])
        allowed = max(allowed, TF32_TOLERANCE) if smoke.tf32 else allowed
        if not error <= allowed:
            wrong.append(f"{name}: error {error:.2g}, tolerance {allowed:.2g}")
    return wrong


def name_of(smoke: Smoke) -> str:
    return f"{str(smoke.dtype).removeprefix('torch.')}{' tf32' if smoke.tf32 else ''} {smoke.case}"


def set_precision(tf32: bool) -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32" if tf32 else "ieee"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_report.smoke",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("backend", choices=("cuda", "triton", "cpu"))
    parser.add_argument("--few", action="store_true", help="three cases that reach most kernels")
    args = parser.parse_args()
    device = torch.device("cpu" if args.backend == "cpu" else "cuda")
    kernels = listening() if args.backend == "triton" else None
    status = 0
    for smoke in FEW if args.few else SMOKES:
        started = time.monotonic()
        set_precision(smoke.tf32)
        try:
            wrong = wrong_results(smoke, args.backend, device)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"[:500]]
        status = max(status, bool(wrong))
        seconds = round(time.monotonic() - started, 1)
        if args.few:
            print(name_of(smoke), wrong or "right", flush=True)  # not for the report, which has those of the full run
        else:
            emit(smoke={"backend": args.backend, "case": name_of(smoke), "wrong": wrong, "seconds": seconds})
        if wrong and not _usable(device):
            sys.exit(2)
    if kernels:  # recompiled kernels mean that the kit was built with another Triton
        emit(environment={"Triton kernels of the smoke cases": str(kernels)})
    sys.exit(status)


def _usable(device: torch.device) -> bool:
    """False after an illegal access: every later call of this process fails."""
    try:
        torch.ones(1, device=device).sum().item()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    main()
