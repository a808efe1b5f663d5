"""The pre-registered contrasts between arms, and their verdicts."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.ablation.statistics import (
    ALPHA,
    Estimate,
    agreement_matrix,
    holm,
    pair_pseudo_values,
    paired,
    spread_ratio,
)

AGREEMENT, SPREAD = "agreement", "spread of F1"


@dataclass(frozen=True)
class Contrast:
    """`measure` in the arm `plus` against the arm `minus`; `number` is that of the pre-registered hypothesis."""

    number: int
    measure: str
    plus: str
    minus: str


FIXED = (
    Contrast(1, AGREEMENT, "both", "wide"),
    Contrast(2, "f1", "diversity", "own"),
    Contrast(2, "auc", "diversity", "own"),
    Contrast(2, "accuracy", "diversity", "own"),
    Contrast(3, "energy", "diversity", "own"),
    Contrast(4, "f1", "both", "diversity"),
    Contrast(4, "auc", "both", "diversity"),
    Contrast(4, "accuracy", "both", "diversity"),
    Contrast(4, "energy", "both", "diversity"),
    Contrast(5, SPREAD, "both", "wide"),
)
# Weights of the four arms of the factorial.
FACTORIAL = {
    "diversity": {"own": -0.5, "diversity": 0.5, "correlation": -0.5, "both": 0.5},
    "correlation": {"own": -0.5, "diversity": -0.5, "correlation": 0.5, "both": 0.5},
    "interaction": {"own": 1.0, "diversity": -1.0, "correlation": -1.0, "both": 1.0},
}


@dataclass
class ArmMeasures:
    """The measurements of one arm.

    measures: by name, [S] over seeds, NaN where undefined; maps: [S,n,R,H,W] or None without attention
    """

    measures: dict[str, NDArray[np.float64]]
    maps: NDArray[np.floating] | None = None


def pseudo_values(maps: NDArray[np.floating] | None) -> NDArray[np.float64] | None:
    """Jackknife pseudo-values [S] of the agreement between initializations; None without attention or for S < 3."""
    return None if maps is None or len(maps) < 3 else pair_pseudo_values(agreement_matrix(maps))


def estimate(contrast: Contrast, runs: dict[str, ArmMeasures]) -> Estimate | None:
    """The estimate of one contrast; None if an arm lacks its measure."""
    plus, minus = runs[contrast.plus], runs[contrast.minus]
    if contrast.measure == SPREAD:
        return spread_ratio(plus.measures["f1"], minus.measures["f1"])
    if contrast.measure == AGREEMENT:
        first, second = pseudo_values(plus.maps), pseudo_values(minus.maps)
    else:
        first, second = plus.measures.get(contrast.measure), minus.measures.get(contrast.measure)
    if first is None or second is None:
        return None
    differences = first - second
    return paired(differences) if np.isfinite(differences).all() else None


def verdict(estimate: Estimate, adjusted: float, neutral: float) -> str:
    """ "more" or "less" if the interval excludes `neutral` and Holm's p is below 0.05, else "not shown"."""
    if np.isnan(adjusted) or adjusted >= ALPHA or estimate.low <= neutral <= estimate.high:
        return "not shown"
    return "more" if estimate.value > neutral else "less"


def fixed_contrasts(runs: dict[str, ArmMeasures]) -> list[dict[str, Any]]:
    """The contrasts in `FIXED` whose measures these runs have, corrected together, as plain data."""
    estimates = [(contrast, result) for contrast in FIXED if (result := estimate(contrast, runs)) is not None]
    adjusted = holm([result.p for _, result in estimates])
    rows = []
    for (contrast, result), p_holm in zip(estimates, adjusted, strict=True):
        neutral = 1.0 if contrast.measure == SPREAD else 0.0
        conclusion = verdict(result, p_holm, neutral)
        rows.append(asdict(contrast) | asdict(result) | {"p_holm": p_holm, "verdict": conclusion, "neutral": neutral})
    return rows


def factorial_effects(runs: dict[str, ArmMeasures], measures: tuple[str, ...]) -> list[dict[str, Any]]:
    """Main effects and interaction of diversity and correlation, not corrected; empty unless all four arms are present."""
    if not all(arm in runs for arm in FACTORIAL["interaction"]):
        return []
    rows = []
    for effect, weights in FACTORIAL.items():
        for measure in measures:
            values = sum(weight * runs[arm].measures[measure] for arm, weight in weights.items())
            rows.append({"name": effect, "measure": measure} | asdict(paired(np.asarray(values))))
    return rows


def against(runs: dict[str, ArmMeasures], base: str, measures: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every arm against `base`, paired, not corrected (exploratory)."""
    rows = []
    for name in runs:
        for measure in measures if name != base else ():
            difference = estimate(Contrast(0, measure, name, base), runs)
            if difference is not None:
                rows.append({"name": name, "measure": measure} | asdict(difference))
    return rows
