"""A killed and resumed run ends like an uninterrupted one: bit-identical weights, log, selected epoch and scores."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.resumed_runs import noisy_csv, same_results
from tests.training.test_training import YAML

pytestmark = pytest.mark.mode("killed and resumed training")
NETWORK = """
    network: {backbone: test_resnet, stage: 2, image_size: 32, channels: 2, embed_dim: 8}
    optimizer: {freeze_bn: true}
"""
KILL = ["--trainer.callbacks+=tests.helpers.stop_callbacks.Kill"]


def attempts(config, folder, plan):
    """[wait status, (epoch, batches) in the last checkpoint] of every child, and the folder of the run."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.killed_training", config, str(folder), json.dumps(plan)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ends = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return ends, folder / "sma_net" / "run"


def config_of(folder, epochs):
    """Six batches per epoch, saved after each step, with augmentation and noise from the global generator."""
    text = YAML % ("ExpressionTask", NETWORK, noisy_csv(folder))
    # Workers load their first batches before the epoch has started.
    text = text.replace("batch_size: 16, num_workers: 0", "batch_size: 9, num_workers: 2")
    text += "  callbacks: [{class_path: tests.helpers.stop_callbacks.Shaky}]\nlast: {every_n_steps: 1}\n"
    path = folder / "config.yaml"
    path.write_text(text.replace("max_epochs: 2", f"max_epochs: {epochs}"))
    return str(path)


def kill(step, moment):
    return [*KILL, f"--trainer.callbacks.step={step}", f"--trainer.callbacks.moment={moment}"]


def test_kills_in_an_epoch_between_epochs_and_while_writing_change_nothing(tmp_path):
    config = config_of(tmp_path, epochs=3)
    _, whole = attempts(config, tmp_path / "whole", [])
    plan = [kill(2, "step"), kill(4, "write"), kill(6, "epoch"), kill(9, "step")]
    ends, resumed = attempts(config, tmp_path / "killed", plan)
    assert [status for status, _ in ends] == [signal.SIGKILL] * 4 + [0]
    assert [reached for _, reached in ends] == [[0, 1], [0, 3], [1, 0], [1, 2], [3, 0]]
    same_results(resumed, whole)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(tmp_path):
    config = config_of(tmp_path, epochs=12)
    _, whole = attempts(config, tmp_path / "whole", [])
    ends, resumed = attempts(config, tmp_path / "killed", [2.5] * 20)
    assert sum(status == signal.SIGKILL for status, _ in ends) >= 15
    same_results(resumed, whole)
