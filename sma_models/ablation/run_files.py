"""One file per arm and seed, so that an interrupted experiment resumes, and the worker processes that write them."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sma_models.ablation.contrasts import ArmMeasures
from sma_models.ablation.evaluation import RunScores


@dataclass(frozen=True)
class ArmRun:
    """One arm and one initialization, and the files with its measurements."""

    arm: str
    seed: int

    def path(self, out: Path) -> Path:
        return out / "runs" / self.arm / f"seed_{self.seed}.json"

    def finished(self, out: Path) -> bool:
        return self.path(out).is_file()

    def write(self, out: Path, scores: RunScores, facts: dict[str, Any]) -> None:
        """Write the maps, then the JSON file, atomically: it marks the run as finished."""
        path = self.path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        if scores.maps is not None:
            with unfinished.open("wb") as file:
                np.savez_compressed(file, maps=scores.maps)
            os.replace(unfinished, path.with_suffix(".npz"))
        content = {
            "arm": self.arm,
            "seed": self.seed,
            "measures": scores.measures,
            "by_region": scores.by_region,
            **facts,
        }
        unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
        os.replace(unfinished, path)

    def read(self, out: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.path(out).read_text(encoding="utf-8"))
        return content


def gather(out: Path, arm: str, seeds: list[int]) -> ArmMeasures:
    """The measures [S] and maps of one arm; NaN if a measure is undefined."""
    runs = [ArmRun(arm, seed) for seed in seeds]
    measures_by_seed = [run.read(out)["measures"] for run in runs]
    measures = {name: np.array([row[name] for row in measures_by_seed], np.float64) for name in measures_by_seed[0]}
    files = [run.path(out).with_suffix(".npz") for run in runs]
    if not all(file.is_file() for file in files):
        return ArmMeasures(measures)
    maps = []
    for file in files:
        with np.load(file) as stored:
            maps.append(stored["maps"])
    return ArmMeasures(measures, np.stack(maps))


def in_processes(task: Callable[[ArmRun], None], runs: list[ArmRun], processes: int) -> Iterator[ArmRun]:
    """Call `task` on every run in processes of one thread each; yields runs as they finish.

    The first error cancels pending runs and is raised. The processes end with their parent.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_begin) as pool:
        waiting = {pool.submit(task, run): run for run in runs}
        try:
            for done in as_completed(waiting):
                done.result()
                yield waiting[done]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
