"""Runs that stop or crash and resume, and comparisons of two runs."""

import contextlib
import csv
import random

import torch
from torch.testing import assert_close

from sma_models.cli.lightning import run
from tests.helpers.face_sets import EXPRESSIONS, expression_csv, write_csv
from tests.helpers.stop_callbacks import Seen

NETWORK = """
    network: {backbone: test_resnet, stage: 2, image_size: 32, channels: 2, embed_dim: 8}
    optimizer: {lr: 0.02}
"""
SETTINGS = """
  callbacks: [{class_path: tests.helpers.stop_callbacks.Seen}]
last: {every_n_steps: 1}
"""


def noisy_csv(folder):
    """Expressions of which more than half are random, so that scores rise and fall."""
    path, draw = expression_csv(folder), random.Random(1)
    with path.open(newline="") as file:
        rows = [
            row | {"expression": draw.choice(EXPRESSIONS)} if draw.random() < 0.6 else row
            for row in csv.DictReader(file)
        ]
    return write_csv(path, rows)


def fit(config, out, *options, version="run"):
    """The batches of one training, which may crash."""
    Seen.batches = []
    where = [f"--trainer.logger.save_dir={out}", *([f"--trainer.logger.version={version}"] if version else [])]
    with contextlib.suppress(InterruptedError):
        run(["fit", "--config", config, *where, *options])
    return Seen.batches


def stop(name, step):
    """Options that end a run after some steps. With StopAt, only the stop saves a checkpoint."""
    seldom = ["--last.every_n_steps=0"] if name == "StopAt" else []
    return [f"--trainer.callbacks+=tests.helpers.stop_callbacks.{name}", f"--trainer.callbacks.step={step}", *seldom]


def weights(folder, name):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def same_results(one, two):
    """Compares all visible results of two runs, and the last weights."""
    for name in ("best", "last"):
        first, second = weights(one, name), weights(two, name)
        assert (first["epoch"], first["global_step"]) == (second["epoch"], second["global_step"]), name
        assert_close(first["state_dict"], second["state_dict"], rtol=0, atol=0)
    for name in ("metrics.csv", "scores_test.json"):
        assert (one / name).read_text() == (two / name).read_text(), name
