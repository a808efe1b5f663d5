"""Results of an ablation as plain data."""

from pathlib import Path
from typing import Any

import numpy as np

from sma_models.ablation.arms import Arm
from sma_models.ablation.contrasts import (
    AGREEMENT,
    ArmRuns,
    against,
    factorial_effects,
    fixed_contrasts,
    pseudo_values,
)
from sma_models.ablation.run_files import Run, gather
from sma_models.ablation.statistics import paired

# Refinement that moves maps by less says nothing about refinement.
EXERCISED = 0.05
_BASE = "wide"


def summarise_arm(out: Path, arm: Arm, seeds: list[int]) -> tuple[dict[str, Any], ArmRuns]:
    """Means, standard deviations and 95 % intervals over seeds of one arm, as plain data, and its runs."""
    runs = gather(out, arm.name, seeds)
    measures = dict(runs.measures)
    alike = pseudo_values(runs.maps)
    if alike is not None:
        measures[AGREEMENT] = alike
    contents = [Run(arm.name, seed).read(out) for seed in seeds]
    by_region = {
        name: np.mean([np.array(content["by_region"][name], np.float64) for content in contents], 0)
        for name in contents[0]["by_region"]
    }
    moved = measures.get("moved")
    summary = {
        "title": arm.title,
        "measures": {name: _spread(values, alone=name != AGREEMENT) for name, values in measures.items()},
        "by_region": by_region,
        "parameters": contents[0]["parameters"],
        "step_seconds": float(np.median([content["step_seconds"] for content in contents])),
        "exercised": None if moved is None or not arm.network.correlate else bool(np.mean(moved) >= EXERCISED),
    }
    return summary, runs


def _spread(values: np.ndarray, alone: bool) -> dict[str, Any]:
    """alone: whether each seed has a value of its own; pseudo-values have not, and are not shown one by one."""
    found = paired(values)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
    return {
        "mean": found.value,
        "low": found.low,
        "high": found.high,
        "sd": deviation if alone else np.nan,
        "seeds": values if alone else [],
    }


def compare(runs: dict[str, ArmRuns]) -> dict[str, Any]:
    """The fixed contrasts; main effects and differences from one wide map, as exploration."""
    names = [name for name in ("f1", "auc", "accuracy", "energy") if name in runs[_BASE].measures]
    names = [name for name in names if all(np.isfinite(arm.measures.get(name, 0.0)).all() for arm in runs.values())]
    return {
        "contrasts": fixed_contrasts(runs),
        "factorial": factorial_effects(runs, tuple(names)),
        "against_wide": against(runs, _BASE, (*names, AGREEMENT)),
    }
