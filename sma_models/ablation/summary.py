"""Summaries of the runs of an ablation, as plain data."""

from pathlib import Path
from typing import Any

import numpy as np

from sma_models.ablation.arms import Arm
from sma_models.ablation.contrasts import (
    AGREEMENT,
    ArmMeasures,
    against,
    factorial_effects,
    fixed_contrasts,
    pseudo_values,
)
from sma_models.ablation.run_files import ArmRun, gather
from sma_models.ablation.statistics import paired

# If the refinement of an arm changes the maps by less, its scores are not informative about refinement.
MIN_DISPLACEMENT = 0.05
_BASE = "wide"


def summarize_arm(out: Path, arm: Arm, seeds: list[int]) -> tuple[dict[str, Any], ArmMeasures]:
    """Means, standard deviations and 95 % intervals over seeds of one arm, as plain data, and its runs."""
    runs = gather(out, arm.name, seeds)
    measures = dict(runs.measures)
    agreement = pseudo_values(runs.maps)
    if agreement is not None:
        measures[AGREEMENT] = agreement
    contents = [ArmRun(arm.name, seed).read(out) for seed in seeds]
    by_region = {
        name: np.mean([np.array(content["by_region"][name], np.float64) for content in contents], 0)
        for name in contents[0]["by_region"]
    }
    displacement = measures.get("moved") if arm.network.correlate else None
    summary = {
        "title": arm.title,
        "measures": {name: _interval(values, per_seed=name != AGREEMENT) for name, values in measures.items()},
        "by_region": by_region,
        "parameters": contents[0]["parameters"],
        "step_seconds": float(np.median([content["step_seconds"] for content in contents])),
        "refinement_active": None if displacement is None else bool(np.mean(displacement) >= MIN_DISPLACEMENT),
    }
    return summary, runs


def _interval(values: np.ndarray, per_seed: bool) -> dict[str, Any]:
    """per_seed: whether each value belongs to one seed; pseudo-values do not, and are not listed."""
    estimate = paired(values)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
    return {
        "mean": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "sd": deviation if per_seed else np.nan,
        "seeds": values if per_seed else [],
    }


def compare(runs: dict[str, ArmMeasures]) -> dict[str, Any]:
    """The pre-registered contrasts; as exploration, main effects and differences from one wide map."""
    names = [name for name in ("f1", "auc", "accuracy", "energy") if name in runs[_BASE].measures]
    names = [name for name in names if all(np.isfinite(arm.measures.get(name, 0.0)).all() for arm in runs.values())]
    return {
        "contrasts": fixed_contrasts(runs),
        "factorial": factorial_effects(runs, tuple(names)),
        "against_wide": against(runs, _BASE, (*names, AGREEMENT)),
    }
