"""`python -m benchmarks.gpu_report.smoke BACKEND`: every kernel of a backend once, against float64 on the CPU.

Hardly any kernel but ours runs on the GPU, so that compute-sanitizer can watch all of it; it needs
PYTORCH_NO_CUDA_MEMORY_CACHING=1, since inside the caching allocator's segments memcheck sees no overrun. Exit status: 0 if
all is right, 1 if a result is wrong, 2 if the GPU can no longer be used.
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
from tests import cases
from tests.cases import Case

BFLOAT16, FLOAT16, FLOAT32 = torch.bfloat16, torch.float16, torch.float32
SCALE_SEEDS = (1, 2, 3)
TF32_TOLERANCE = 0.02  # operands of 11 bits, and a temperature of 0.2 that multiplies what the cosines lose
NHWC = torch.channels_last
S1 = Case(regions=12, channels=4, embed=64, values=96, height=7, width=7)
S3 = Case(regions=12, channels=4, embed=64, values=136, height=14, width=14)
S4 = Case(regions=8, channels=4, embed=64, values=72, height=28, width=28)
ODD = Case(regions=5, channels=7, embed=33, values=61, height=17, width=19)
SEVERAL_ROW_TILES = Case(regions=20, channels=2, embed=16, values=40, height=7, width=7)
ALL_ROWS = Case(merge="none", regions=12, channels=4, embed=64, values=96, height=7, width=7)
LARGE = Case(regions=24, channels=8, embed=16, values=32, height=7, width=7)  # more maps than a block can hold
LARGE_ALL_ROWS = Case(merge="none", regions=12, channels=8, embed=64, values=96, height=14, width=14)


class Smoke(NamedTuple):
    case: Case
    dtype: torch.dtype
    tf32: bool = False  # float32 products as torch.backends.cuda.matmul.fp32_precision = "tf32" asks for them


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
    Smoke(Case(), FLOAT32, tf32=True),
    *(Smoke(Case(function=name), FLOAT32) for name in cases.FUNCTIONS),
    *(Smoke(Case(function=name), BFLOAT16) for name in cases.FUNCTIONS),
)


def _in_float64(case: Case, dtype: torch.dtype, seed: int) -> dict[str, Tensor]:
    return cases.run(case, cases.in_float64(cases.inputs(case, dtype, seed)), "reference", seed=seed)


def _scales(case: Case, dtype: torch.dtype, exact: dict[str, Tensor]) -> dict[str, float]:
    """What errors are divided by: the 2-norm of the exact result, or 1 where that is zero. A gradient that is one number
    may nearly vanish in one draw, so its scale is the root mean square of several."""
    scales = {name: float(cases.significant(truth).norm()) or 1.0 for name, truth in exact.items()}
    if any(truth.dim() == 0 for truth in exact.values()):
        draws = [exact, *(_in_float64(case, dtype, seed) for seed in SCALE_SEEDS)]
        for name, truth in exact.items():
            if truth.dim() == 0:
                scales[name] = math.sqrt(statistics.mean(float(draw[name]) ** 2 for draw in draws)) or 1.0
    return scales


def _errors(results: dict[str, Tensor], exact: dict[str, Tensor], scales: dict[str, float]) -> dict[str, float]:
    return {
        name: float((results[name].cpu().double() - cases.significant(truth)).norm()) / scales[name]
        for name, truth in exact.items()
    }


def wrong_results(smoke: Smoke, backend: str, device: torch.device) -> list[str]:
    """Outputs and gradients that are further from float64 than twice what the tests' error rule allows over eight seeds:
    here one seed decides."""
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
        allowed = 2 * ((3 if gradient else 2) * yardstick[name] + cases.SLACK[dtype][gradient])
        allowed = max(allowed, TF32_TOLERANCE) if smoke.tf32 else allowed
        if not error <= allowed:
            wrong.append(f"{name}: error {error:.2g}, {allowed:.2g} is allowed")
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
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.backend == "cpu" else "cuda")
    kernels = listening() if arguments.backend == "triton" else None
    status = 0
    for smoke in FEW if arguments.few else SMOKES:
        started = time.monotonic()
        set_precision(smoke.tf32)
        try:
            wrong = wrong_results(smoke, arguments.backend, device)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"[:500]]
        status = max(status, bool(wrong))
        seconds = round(time.monotonic() - started, 1)
        if arguments.few:
            print(name_of(smoke), wrong or "right", flush=True)  # not a result: the report has those of the whole run
        else:
            emit(smoke={"backend": arguments.backend, "case": name_of(smoke), "wrong": wrong, "seconds": seconds})
        if wrong and not _usable(device):
            sys.exit(2)
    if kernels:  # a kit whose kernels are compiled again is of another Triton
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
