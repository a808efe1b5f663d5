"""Assigns rows to folds and to training, validation and test splits."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from sma_models.data.face_table import Splits

MIN_VALIDATION_POSITIVES = 50  # per action unit among the validation subjects, if there are that many


def fold_of_subjects(subjects: NDArray[np.str_], folds: int) -> NDArray[np.int64]:
    """Fold number [n] of every row: subject i, in ascending order from 0, is in fold i mod `folds`."""
    _, ranks = np.unique(subjects, return_inverse=True)
    return ranks % folds


def stratified_folds(strata: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number [n] of every row, for rows without subjects: each stratum [n] is distributed evenly, at random."""
    generator = np.random.default_rng(seed)
    result = np.empty(len(strata), np.int64)
    assigned = 0
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        # Continue where the last stratum ended, so that small strata do not all fall into fold 0.
        result[rows] = (assigned + np.arange(len(rows))) % folds
        assigned += len(rows)
    return result


def stratified_subject_folds(subjects: NDArray[np.str_], strata: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Fold number [n] of every row, the same for all rows of a subject, each stratum [n] as evenly as that allows.

    At most one fold per subject. If no stratum has a row for each fold, folds go by the rank of the subject.
    """
    folds = min(folds, len(np.unique(subjects)))
    if folds < 2 or np.unique(strata, return_counts=True)[1].max() < folds:
        return fold_of_subjects(subjects, folds)
    result = np.empty(len(strata), np.int64)
    with warnings.catch_warnings():
        # Some class may have fewer rows than folds: `underrepresented` reports what a split lacks.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for fold, (_, rows) in enumerate(StratifiedGroupKFold(folds).split(strata, strata, subjects)):
            result[rows] = fold
    return result


def strata_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The strata [n]: the class [n], or the rarest action unit that a row [R] shows (R if it shows none)."""
    if labels.ndim == 1:
        return labels
    shown = labels == 1
    by_rarity = np.argsort(shown.sum(0), kind="stable")
    first = shown[:, by_rarity].argmax(1)
    return np.where(shown.any(1), by_rarity[first], labels.shape[1])


def validation_rows(subjects: NDArray[Any], labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Which rows, bool [n], of the training subjects validate.

    The candidates are every fifth subject in ascending order, starting at seed mod 5. For action units (labels [n,R])
    validation takes at most a fifth of each unit's positives, rounded up to whole subjects, and no subject who alone holds
    more than a fifth. Remaining places go to the next subjects that fit, first to those who show an action unit with fewer than
    `MIN_VALIDATION_POSITIVES` positive rows. If no subject fits, as among four subjects with equal labels, the subject
    whose largest share of an action unit's positives is smallest validates.
    subjects: names or numbers; labels: [n,R] of action units or [n] of classes. Raises ValueError for fewer than two
    subjects.
    """
    names, rows = np.unique(subjects, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"subjects must be at least two, one to train and one to validate; got {names.tolist()}")
    # With fewer than five subjects the start could lie past the last one, but someone must validate.
    fifth = np.arange(seed % min(5, len(names)), len(names), 5)
    if labels.ndim == 1:
        shown = np.zeros((len(names), labels.max() + 1), bool)
        shown[rows, labels] = True
        return np.isin(rows, _keeping_every_class(shown, fifth))
    positives = np.zeros((len(names), labels.shape[1]), np.int64)
    np.add.at(positives, rows, labels == 1)
    known = np.zeros(len(names), bool)
    known[rows[(labels >= 0).any(1)]] = True
    return np.isin(rows, _with_fair_shares(positives, known, fifth))


def _keeping_every_class(shown: NDArray[np.bool_], fifth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The validation subjects, at most as many as `fifth`, given the classes, bool [S,C], that each subject shows."""
    validating: list[int] = []
    training = shown.sum(0)
    for subject in (*fifth, *np.setdiff1d(np.arange(len(shown)), fifth)):
        if len(validating) < len(fifth) and (training[shown[subject]] > 1).all():
            validating.append(subject)
            training -= shown[subject]
    return np.array(validating or fifth)


def _with_fair_shares(
    positives: NDArray[np.int64], known: NDArray[np.bool_], fifth: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The validation subjects, at most as many as `fifth`, given the positives [S,R] of each subject and whether the subject
    has any known label, bool [S]."""
    total = positives.sum(0)
    modest = (5 * positives <= total).all(1) & known
    # How much one more whole subject may add to an action unit.
    largest = positives[modest].max(0, initial=0)
    validating = np.zeros(len(positives), bool)
    held = np.zeros_like(total)

    def admit(candidates: NDArray[np.int64], fewer_than: int | None) -> None:
        """Admits candidates that fit; with a limit, only those who show an action unit with fewer positives so far."""
        for subject in candidates[modest[candidates]]:
            shown = positives[subject] > 0
            full = 5 * (held + positives[subject] - largest) >= total
            useful = fewer_than is None or (shown & (held < fewer_than)).any()
            if not validating[subject] and useful and validating.sum() < len(fifth) and not (shown & full).any():
                validating[subject] = True
                held[:] += positives[subject]

    others = np.setdiff1d(np.arange(len(positives)), fifth)
    admit(fifth, None)
    admit(others, MIN_VALIDATION_POSITIVES)
    for idle in fifth[validating[fifth] & ~positives[fifth].any(1)]:
        validating[idle] = False
        admit(others, 1)
        if validating.sum() < len(fifth):  # no replacement is needed, or none fits
            validating[idle] = True
            break
    admit(others, None)
    if not validating.any():
        # Among equals, prefer a candidate of the fifth.
        order = np.concatenate([fifth, others])
        # The only subject with known labels trains.
        order = order[known[order]] if known.sum() > 1 else order
        validating[order[(positives[order] / np.maximum(total, 1)).max(1).argmin()]] = True
    return np.flatnonzero(validating)


def everything_tested(count: int) -> Splits:
    """Splits of `count` rows that are all tested."""
    rows = np.arange(count)
    return Splits(rows[:0], rows[:0], rows)


def check_no_shared_subjects(subjects: NDArray[np.str_], folds: NDArray[np.str_], source: str) -> None:
    """Raises ValueError if a subject [n] has rows in more than one fold [n]."""
    pairs = np.unique(np.stack([subjects, folds]), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{source}: expected each subject in one fold; got several for {', '.join(names[counts > 1][:8])}"
        )


def warn_without_subjects(source: str) -> None:
    """Warns that the splits may share people."""
    warnings.warn(
        f"{source} names no subjects: a person may appear in both training and test, so scores may be optimistic",
        stacklevel=3,
    )
