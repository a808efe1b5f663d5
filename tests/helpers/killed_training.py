"""`python -m tests.helpers.killed_training CONFIG FOLDER PLAN`: trains in child processes that are killed and resumed.

PLAN is JSON, one entry per child: a list of additional arguments, or the seconds after which it is killed. A last child
runs to the end. Children are forks, so that the imports, most of the time of a short run, run once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from sma_models.cli.lightning import run
from sma_models.models.checkpoint_io import safe_load


def attempt(config, folder, further, seconds=None):
    """Train in a child from the last checkpoint in `folder`: its wait status, and its progress."""
    last = folder / "sma_net" / "run" / "checkpoints" / "last.ckpt"
    resume = [f"--ckpt_path={last}"] if last.exists() or Path(f"{last}.previous").exists() else []
    child = os.fork()
    if child == 0:
        save_in = [f"--trainer.logger.save_dir={folder}", "--trainer.logger.version=run"]
        run(["fit", "--config", config, *save_in, *resume, *further])
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1], progress(last)


def progress(last):
    """(epoch, batches within it) in the checkpoint, or None."""
    if not last.exists():
        return None
    position = safe_load(last)["CSVFaces"]
    return [position["epoch"], position["samples"] // position["batch_size"]]


def main():
    config, folder, plan = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    for step in plan:
        further, seconds = (step, None) if isinstance(step, list) else ([], random.uniform(0, step))
        print(json.dumps(attempt(config, folder, further, seconds)), flush=True)
    status, reached = attempt(config, folder, [])
    print(json.dumps([status, reached]), flush=True)


if __name__ == "__main__":
    main()
