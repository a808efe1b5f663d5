"""Comparisons of two arms over initialisations: what is shown, with intervals, and corrected for their number.

Both arms share their seeds: place i of one and place i of the other start and go through the data alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
LEVEL = 0.05  # of tests, and what intervals leave out


@dataclass(frozen=True)
class Contrast:
    """A comparison of a treatment with its control.

    difference: treatment minus control; of `spread_ratio`, treatment divided by control
    low, high:  its 95 % interval
    effect:     the difference in units that do not depend on the measure; each function says which
    p:          two-sided, of the null; corrected by `holm`; 1 if undefined, where the rest is NaN
    verdict:    "shown" or, also of what `holm` has not seen yet, "not shown", which does not mean "no effect"
    null:       the difference if the arms do not differ
    """

    name: str
    difference: float
    low: float
    high: float
    effect: float
    p: float
    verdict: str = "not shown"
    null: float = 0.0


def paired(name: str, treatment: ArrayLike, control: ArrayLike) -> Contrast:
    """Mean difference of a measure [S] of two arms, by Student's t of the pairs; its effect is Cohen's d_z.

    Raises ValueError unless both are [S] with at least two seeds.
    """
    first, second = _pair(name, treatment, control, dimensions=1)
    differences = first - second
    if not differences.any():
        return Contrast(name, 0.0, 0.0, 0.0, effect=0.0, p=1.0)  # t is 0/0
    test = stats.ttest_1samp(differences, 0)
    low, high = test.confidence_interval(1 - LEVEL)
    p = float(np.nan_to_num(test.pvalue, nan=1.0))
    return Contrast(name, float(differences.mean()), float(low), float(high), _standardised(differences), p)


def agreement_contrast(
    name: str, treatment: ArrayLike, control: ArrayLike, draws: int = 2000, seed: int = 0
) -> Contrast:
    """Difference of the mean agreement of two initialisations, of matrices [S,S] as `disagreement` gives them.

    Two pairs that share a seed are not independent, so seeds are drawn again and not pairs, for both arms alike; a
    seed drawn twice is not compared with itself. The effect is Cohen's d_z over seeds, of each seed's mean agreement
    with the others.
    Raises ValueError unless both are [S,S] with at least two seeds.
    """
    first, second = _pair(name, treatment, control, dimensions=2)
    differences = first - second
    off = ~np.eye(len(differences), dtype=bool)

    def mean(rows: Rows) -> Any:
        return differences[np.ix_(rows, rows)].mean(where=off[np.ix_(rows, rows)])

    low, high, p = _bootstrap(mean, len(differences), 0.0, draws, seed)
    effect = _standardised(differences.mean(1, where=off))
    return Contrast(name, float(differences.mean(where=off)), low, high, effect, p)


def spread_ratio(name: str, treatment: ArrayLike, control: ArrayLike, draws: int = 2000, seed: int = 0) -> Contrast:
    """Ratio of the standard deviations over seeds of a measure [S] of two arms; its effect is the logarithm of it.

    Seeds are drawn again, for both arms alike. Raises ValueError unless both are [S] with at least two seeds.
    """
    first, second = _pair(name, treatment, control, dimensions=1)

    def ratio(rows: Rows) -> Any:
        return first[rows].std(ddof=1) / second[rows].std(ddof=1)

    with np.errstate(divide="ignore", invalid="ignore"):  # a measure that never varies has no ratio
        found = float(ratio(np.arange(len(first))))
        low, high, p = _bootstrap(ratio, len(first), 1.0, draws, seed)
        return Contrast(name, found, low, high, effect=float(np.log(found)), p=p, null=1.0)


def _bootstrap(
    statistic: Callable[[Rows], Any], seeds: int, null: float, draws: int, seed: int
) -> tuple[float, float, float]:
    """Percentile interval and two-sided p of a statistic of the places of seeds, which are drawn again."""
    rows = np.random.default_rng(seed).integers(seeds, size=(draws, seeds))
    # A draw of one seed alone has neither a pair nor a spread.
    found = np.array([statistic(row) for row in rows if (row != row[0]).any()])
    low, high = np.quantile(found, (LEVEL / 2, 1 - LEVEL / 2))
    # What is undefined speaks for the null; and a p of 0 would claim more than the draws can tell.
    beyond = 1 + min((~(found > null)).sum(), (~(found < null)).sum())
    return float(low), float(high), float(min(1, 2 * beyond / (1 + len(found))))


def holm(contrasts: list[Contrast]) -> list[Contrast]:
    """The contrasts in their order, with p corrected for their number (Holm, 1979), and their verdicts."""
    corrected, largest = list(contrasts), 0.0
    order = sorted(range(len(contrasts)), key=lambda place: contrasts[place].p)
    for before, place in enumerate(order):
        contrast = contrasts[place]
        largest = max(largest, min(1.0, (len(contrasts) - before) * contrast.p))
        shown = largest < LEVEL and (contrast.low > contrast.null or contrast.high < contrast.null)
        corrected[place] = replace(contrast, p=largest, verdict="shown" if shown else "not shown")
    return corrected


def _pair(name: str, treatment: ArrayLike, control: ArrayLike, dimensions: int) -> tuple[Floats, Floats]:
    first, second = np.asarray(treatment, np.float64), np.asarray(control, np.float64)
    seeds = len(first) if first.ndim else 0
    if seeds < 2 or not first.shape == second.shape == (seeds,) * dimensions:
        raise ValueError(
            f"{name}: treatment and control must be {'[S]' if dimensions == 1 else '[S,S]'} both, of at least 2 seeds; "
            f"got {list(first.shape)} and {list(second.shape)}"
        )
    return first, second


def _standardised(differences: Floats) -> float:
    return float(differences.mean() / differences.std(ddof=1))
