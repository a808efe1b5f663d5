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
    low, high:  its 95 % interval; infinite where the seeds set no bound
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
    with the others. Fewer than five seeds have no interval.
    Raises ValueError unless both are [S,S] with at least two seeds.
    """
    first, second = _pair(name, treatment, control, dimensions=2)
    differences = first - second
    different = ~np.eye(len(differences), dtype=bool)

    def each_with_others(rows: Rows) -> Floats:
        square = np.ix_(rows, rows)
        means: Floats = differences[square].mean(1, where=different[square])
        return means

    def mean(rows: Rows) -> tuple[Any, Any]:
        square = np.ix_(rows, rows)
        return differences[square].mean(where=different[square]), each_with_others(rows).std()

    difference, low, high, p = _bootstrap(mean, len(differences), draws, seed)
    effect = _standardised(each_with_others(np.arange(len(differences))))
    return Contrast(name, difference, low, high, effect, p)


@np.errstate(divide="ignore", invalid="ignore", over="ignore")  # of measures that never vary
def spread_ratio(name: str, treatment: ArrayLike, control: ArrayLike, draws: int = 2000, seed: int = 0) -> Contrast:
    """Ratio of the standard deviations over seeds of a measure [S] of two arms; its effect is the logarithm of it.

    Seeds are drawn again, for both arms alike. Fewer than five seeds have no interval.
    Raises ValueError unless both are [S] with at least two seeds.
    """
    first, second = _pair(name, treatment, control, dimensions=1)

    def log_ratio(rows: Rows) -> tuple[Any, Any]:
        (a, moves_a), (b, moves_b) = _log_deviation(first[rows]), _log_deviation(second[rows])
        return a - b, (moves_a - moves_b).std()

    effect, low, high, p = _bootstrap(log_ratio, len(first), draws, seed)
    ratio, low, high = (float(np.exp(value)) for value in (effect, low, high))
    return Contrast(name, ratio, low, high, effect, p, null=1.0)


def _log_deviation(values: Floats) -> tuple[Any, Floats]:
    """Logarithm of the standard deviation of values [S], and how far each of them moves it, times 2."""
    squares = (values - values.mean()) ** 2
    return np.log(squares.mean()) / 2, squares / squares.mean() - 1


@np.errstate(divide="ignore", invalid="ignore")
def _bootstrap(
    statistic: Callable[[Rows], tuple[Any, Any]], seeds: int, draws: int, seed: int
) -> tuple[float, float, float, float]:
    """A statistic of seeds, its interval and the two-sided p of its being 0, by the studentised bootstrap.

    statistic: maps places of seeds to its value and its error: the deviation of what each seed adds to it, times any
               factor. Quantiles of the drawn values alone are too close together for few seeds (Hall, Ann. Stat. 1988).
    """
    value, error = statistic(np.arange(seeds))
    if seeds < 5:  # too few different draws: the interval would be too short
        return float(value), np.nan, np.nan, 1.0
    rows = np.random.default_rng(seed).integers(seeds, size=(draws, seeds))
    # Two different seeds are one pair, and as far from their mean in every arm: such a draw has no error.
    found = np.array([statistic(row) for row in rows if len(np.unique(row)) > 2])
    scores = np.sort(_score(found[:, 0] - value, found[:, 1]))
    tail = max(1, int(LEVEL / 2 * (1 + len(scores))))
    score = _score(value, error)
    # One more: a p of 0 would claim more than the draws can tell.
    beyond = 1 + min((scores >= score).sum(), (scores <= score).sum())
    return (
        float(value),
        float(value - scores[-tail] * error),
        float(value - scores[tail - 1] * error),
        float(min(1, 2 * beyond / (1 + len(scores)))),
    )


def _score(distance: Any, error: Any) -> Any:
    """Distance over error; what has neither distance nor error, or is undefined, is at 0."""
    score = np.asarray(distance / error)
    return np.where(np.isnan(score), 0, score)


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


@np.errstate(divide="ignore", invalid="ignore")
def _standardised(differences: Floats) -> float:
    return float(differences.mean() / differences.std(ddof=1))
