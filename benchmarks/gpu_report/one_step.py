"""`python -m benchmarks.gpu_report.one_step BACKEND SHAPE...`: a warm-up training step of each shape, then one between
cudaProfilerStart and cudaProfilerStop, for Nsight Compute."""

import argparse

import torch

from benchmarks.baselines import with_backend
from benchmarks.passes import forward_backward
from benchmarks.shapes import SHAPES, inputs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_report.one_step", description=__doc__)
    parser.add_argument("backend", choices=("cuda", "triton"))
    parser.add_argument("shapes", nargs="+", choices=SHAPES, metavar="SHAPE")
    args = parser.parse_args()
    for shape in args.shapes:
        tensors = inputs(SHAPES[shape], torch.bfloat16, torch.contiguous_format, torch.device("cuda"))
        step = forward_backward(with_backend("sma_attention", args.backend), tensors)
        step()
        torch.cuda.synchronize()
        torch.cuda.profiler.start()
        step()
        torch.cuda.synchronize()
        torch.cuda.profiler.stop()


if __name__ == "__main__":
    main()
