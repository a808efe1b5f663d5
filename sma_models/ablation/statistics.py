"""Estimates over paired seeds with 95 % intervals, and the correction for multiple tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALPHA = 0.05
LEVEL = 1 - ALPHA
# Fewer seeds give no useful estimate of a standard deviation.
MIN_SEEDS = 5


@dataclass(frozen=True)
class Estimate:
    """A difference or a ratio over `seeds` initializations.

    value:     the estimate; low, high: its 95 % interval
    p:         two-sided, against no difference (ratio 1), not corrected
    effect:    mean over standard deviation of the paired differences (Cohen's d_z); NaN for a ratio
    """

    value: float
    low: float
    high: float
    p: float
    effect: float
    seeds: int


def paired(differences: NDArray[np.float64]) -> Estimate:
    """Mean of differences [n] between arms with the same seeds, by Student's t; NaN interval for n < 2."""
    n = len(differences)
    mean = float(np.mean(differences))
    if n < 2 or np.ptp(differences) == 0:
        # Without a spread no test is possible: arms that are equal to the last bit are "not shown" as well.
        return Estimate(mean, np.nan, np.nan, np.nan, np.nan, n)
    test = stats.ttest_1samp(differences, 0)
    low, high = test.confidence_interval(LEVEL)
    return Estimate(mean, float(low), float(high), float(test.pvalue), mean / float(np.std(differences, ddof=1)), n)


def agreement_matrix(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Agreement [S,S] between the maps [S,n,R,H,W] of initializations: Pearson's correlation over the positions of the
    maps of one region on one face, mean over faces and regions. A map whose contrast is below the rounding of float16
    correlates 0."""
    flat = maps.astype(np.float64).reshape(*maps.shape[:3], -1)
    centered = flat - flat.mean(-1, keepdims=True)
    norm = np.linalg.norm(centered, axis=-1, keepdims=True)
    rounding = np.finfo(np.float16).eps * np.linalg.norm(flat, axis=-1, keepdims=True)
    unit = (centered / np.where(norm > rounding, norm, np.inf)).reshape(len(maps), -1)
    return unit @ unit.T / (maps.shape[1] * maps.shape[2])


def pair_pseudo_values(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jackknife pseudo-values [S] of the mean over pairs of different seeds of a symmetric matrix [S,S].

    Pairs that share a seed are not independent; leaving out whole seeds accounts for it (Arvesen 1969), and the mean and
    t interval of the pseudo-values are those of the mean over pairs. ValueError for fewer than three seeds.
    """
    seeds = len(matrix)
    if seeds < 3:
        raise ValueError(f"matrix must compare at least three seeds; got {seeds}")
    rows = matrix.sum(1) - matrix.diagonal()
    total = rows.sum()
    without = (total - 2 * rows) / ((seeds - 1) * (seeds - 2))
    return seeds * total / (seeds * (seeds - 1)) - (seeds - 1) * without


def spread_ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> Estimate:
    """Ratio of the standard deviations of [n] and [n] over the same seeds; the jackknife leaves out a seed of both.

    Interval and p are those of the jackknife's pseudo-values of its logarithm (Miller 1974), by Student's t: a bootstrap's
    percentiles are too narrow with so few seeds. NaN for fewer than `MIN_SEEDS` seeds, or if an arm does not vary.
    """
    n = len(first)
    deviations = [float(np.std(values, ddof=1)) if n > 1 else 0.0 for values in (first, second)]
    if n < MIN_SEEDS or min(deviations) == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, n)
    others = np.nonzero(~np.eye(n, dtype=bool))[1].reshape(n, n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.log(first[others].std(1, ddof=1) / second[others].std(1, ddof=1))
    ratio = deviations[0] / deviations[1]
    logarithm = paired(n * np.log(ratio) - (n - 1) * without)
    return Estimate(ratio, float(np.exp(logarithm.low)), float(np.exp(logarithm.high)), logarithm.p, np.nan, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of p values; NaN stays NaN and counts as a test."""
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(len(p), np.nan)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        if np.isnan(p[index]):
            break
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted.tolist()
