"""Implementations that fail in all the ways that a measurement must survive: "tests.benchmarks.faulty:NAME"."""

import os
import signal
import subprocess
import sys
import time

import torch

from benchmarks.baselines import with_backend

eager = with_backend("sma_attention", "reference")
_calls = {"count": 0}


def hangs(tensors):
    time.sleep(90)


def prints_and_hangs(tensors):
    print("the last words of this implementation", flush=True)
    # A child process, like the workers of a compiler: it must not outlive the measurement.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])
    print(f"started {child.pid}", flush=True)
    time.sleep(90)


def dies(tensors):
    os.kill(os.getpid(), signal.SIGSEGV)


def raises(tensors):
    raise RuntimeError("this implementation is out of order")


def computes_something_else(tensors):
    pooled, diversity = eager(tensors)
    return 1.1 * pooled, diversity


class _WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pooled):
        return pooled.clone()

    @staticmethod
    def backward(ctx, grad):
        return 1.1 * grad


def has_a_wrong_gradient(tensors):
    pooled, diversity = eager(tensors)
    return _WrongGradient.apply(pooled), diversity


class _FailsInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pooled):
        return pooled.clone()

    @staticmethod
    def backward(ctx, grad):
        _calls["count"] += 1
        if _calls["count"] > 1:  # the comparison with eager PyTorch is the first
            raise RuntimeError("no gradient today")
        return grad.clone()


def fails_in_a_later_backward(tensors):
    pooled, diversity = eager(tensors)
    return _FailsInBackward.apply(pooled), diversity


def healthy(tensors):
    return eager(tensors)
