"""Who trains, who validates, who is tested."""

import warnings

import numpy as np
from numpy.typing import NDArray

POSITIVES_WANTED = 50  # positive frames of every action unit among the validation subjects, where there are that many


def fold_of_subjects(subjects: NDArray[np.str_], folds: int) -> NDArray[np.int64]:
    """Fold number [n] of every row: subject i, in ascending order from 0, belongs to fold i mod `folds`."""
    _, ranks = np.unique(subjects, return_inverse=True)
    return ranks % folds


def stratified_folds(strata: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number [n] of every row, for rows without subjects: each stratum [n] is spread evenly, at random."""
    generator = np.random.default_rng(seed)
    result = np.empty(len(strata), np.int64)
    dealt = 0
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        # Dealing goes on where the last stratum ended, so that small strata do not all fall into fold 0.
        result[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return result


def strata_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """What to stratify by [n]: the class [n], or the rarest action unit that a row [R] shows (R if it shows none)."""
    if labels.ndim == 1:
        return labels
    shown = labels == 1
    by_rarity = np.argsort(shown.sum(0), kind="stable")
    first = shown[:, by_rarity].argmax(1)
    return np.where(shown.any(1), by_rarity[first], labels.shape[1])


def validation_rows(subjects: NDArray[np.str_], labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Which rows [n] of the training subjects validate.

    Of the subjects in ascending order every fifth, starting at seed mod 5; while an action unit (labels [n,R]) has
    fewer than 50 positive rows there, the next subject that shows it is added, unless nobody were left to train on.
    labels: [n,R] of action units or [n] of classes, which add nobody. ValueError for fewer than two subjects.
    """
    names = np.unique(subjects)
    if len(names) < 2:
        raise ValueError(f"subjects must be at least two, one to train and one to validate; got {names.tolist()}")
    chosen = np.zeros(len(names), bool)
    # With fewer than five subjects the start may lie beyond the last one: somebody must validate.
    chosen[seed % min(5, len(names)) :: 5] = True
    if labels.ndim == 2:
        positives = np.stack([(labels[subjects == name] == 1).sum(0) for name in names])
        for unit in range(labels.shape[1]):
            _add_showing(chosen, positives, unit)
    return np.isin(subjects, names[chosen])


def _add_showing(chosen: NDArray[np.bool_], positives: NDArray[np.int64], unit: int) -> None:
    """Extend `chosen` [S], in place, until the unit has enough of the positives [S,R] of the subjects."""
    for subject in np.flatnonzero(~chosen & (positives[:, unit] > 0)):
        if positives[chosen, unit].sum() >= POSITIVES_WANTED:
            return
        remaining = ~chosen
        before = positives[remaining].sum(0)
        remaining[subject] = False
        if not ((positives[remaining].sum(0) == 0) & (before > 0)).any():
            chosen[subject] = True


def warn_without_subjects(source: str) -> None:
    """Say that the parts may share people."""
    warnings.warn(
        f"{source} names no subjects: the same person may be trained on and tested, and scores will flatter",
        stacklevel=3,
    )
