"""Scores of several folds and seeds: the mean of folds, and scores of the pooled predictions, with their deviations."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.data.face_table import UNKNOWN
from sma_models.metrics.predictions import PER_SAMPLE, Predictions
from sma_models.metrics.scores import au_scores, expression_scores

Scores = dict[str, NDArray[np.float64]]
Runs = list[list[Predictions]]  # [seed][fold]
RESAMPLES = 1000
_POOLED_ONLY = ("confusion", "f1", "macro_f1", "majority_macro_f1")  # of expressions


def au_fold(fold: Predictions) -> Scores:
    """Scores of action units, [R] each."""
    logits, labels = torch.from_numpy(fold.logits), torch.from_numpy(fold.labels)
    scores = au_scores(logits, labels == 1, labels != UNKNOWN, torch.from_numpy(fold.threshold))
    return with_means({name: value.numpy() for name, value in vars(scores).items()})


def with_means(scores: Scores) -> Scores:
    """Adds the mean of each score [R] over the action units for which it is defined, as mean_<name>."""
    return scores | {f"mean_{name}": _mean(value, 0) for name, value in scores.items()}


def aggregate_aus(folds: list[Predictions]) -> Scores:
    """Scores of the pooled predictions of all folds, each decided at its own fold's thresholds."""
    raw = pooled(folds)
    centered = replace(raw, logits=np.concatenate([fold.logits - fold.threshold for fold in folds]))
    at_threshold = ("f1", "accuracy", "mean_f1", "mean_accuracy")
    return au_fold(raw) | {name: value for name, value in au_fold(centered).items() if name in at_threshold}


def expression_fold(fold: Predictions) -> Scores:
    """Scores of expressions: numbers, `f1` [R] and the confusion matrix [R,R]."""
    classes = fold.logits.shape[1]
    scores = expression_scores(torch.from_numpy(confusion(fold.labels, fold.logits.argmax(1), classes)))
    arrays = {name: np.asarray(value, np.float64) for name, value in vars(scores).items()}
    return arrays | {"sequence_accuracy": np.asarray(sequence_accuracy(fold), np.float64)}


def aggregate_expressions(folds: list[Predictions]) -> Scores:
    """Scores of the pooled predictions of all folds."""
    return expression_fold(pooled(folds))


def pooled(folds: list[Predictions]) -> Predictions:
    """The samples of all folds, with thresholds of 0."""
    joined = {name: np.concatenate([getattr(fold, name) for fold in folds]) for name in PER_SAMPLE}
    return Predictions(threshold=np.zeros_like(folds[0].threshold), **joined)


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [R,R], rows are true classes."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def sequence_accuracy(fold: Predictions) -> float:
    """Share of sequences whose frames' mean probability is highest for the true class; NaN if no frame names a sequence.

    Frames of one sequence with another label (its neutral beginning) count as a separate sequence; frames without a
    sequence are ignored.
    """
    rows = np.flatnonzero(fold.sequences != "")
    if not len(rows):
        return float("nan")
    logits, labels = fold.logits[rows], fold.labels[rows]
    keys = np.stack([fold.subjects[rows], fold.sequences[rows], labels.astype(str)])
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return float((_likeliest(logits, group.ravel()) == labels[first]).mean())


def _likeliest(logits: NDArray[np.float32], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of the highest mean probability per group, [groups], of logits [n,R]; group: [n], numbered from 0.

    Float64 rounds the probabilities of a confident network to 1, so that disagreeing frames would tie. Therefore each frame
    counts as 1 for its likeliest class, and the probabilities of the other classes are summed separately.
    """
    probability = torch.from_numpy(logits).double().softmax(1).numpy()
    top = np.eye(logits.shape[1])[logits.argmax(1)]
    others = (1 - top) * probability
    ones, rest = (np.zeros((group.max() + 1, logits.shape[1])) for _ in range(2))
    np.add.at(ones, group, top)
    np.add.at(rest, group, others - top * others.sum(1, keepdims=True))
    return (ones - ones.max(1, keepdims=True) + rest).argmax(1)


def summarize(runs: Runs, kind: str) -> dict[str, Any]:
    """The mean of folds and the pooled scores, with standard deviations over seeds and folds.

    Adds 95 % intervals of the pooled scores over resampled subjects, and the pooled scores of the frames with a detected
    face. For expressions, only accuracies have a mean of folds.
    """
    of_fold, of_pool = (au_fold, aggregate_aus) if kind == "au" else (expression_fold, aggregate_expressions)
    by_fold = [[of_fold(fold) for fold in folds] for folds in runs]
    by_seed = [of_pool(folds) for folds in runs]
    names = list(by_seed[0])
    result: dict[str, Any] = {"mean_of_folds": {}, "pooled": {}}
    for name in names:
        cells = np.stack([np.stack([scores[name] for scores in folds]) for folds in by_fold])
        # A fold need not contain every class: macro-F1 and the confusion matrix are pooled only.
        if kind == "au" or name not in _POOLED_ONLY:
            result["mean_of_folds"][name] = {
                "mean": _mean(cells, (0, 1)),
                "sd_over_folds": _deviation(_mean(cells, 0)),
                "sd_over_seeds": _deviation(_mean(cells, 1)),
            }
        values = np.stack([scores[name] for scores in by_seed])
        result["pooled"][name] = {"mean": _mean(values, 0), "sd_over_seeds": _deviation(values)}
    result["interval"] = _interval(runs, kind)
    n_undetected = sum(int((~fold.detected).sum()) for fold in runs[0])
    result["frames"] = sum(len(fold.detected) for fold in runs[0])
    result["without_a_face"] = n_undetected
    if 0 < n_undetected < result["frames"]:
        detected = [of_pool([fold.detected_only() for fold in folds if fold.detected.any()]) for folds in runs]
        result["pooled_with_a_face"] = {
            name: {"mean": _mean(np.stack([scores[name] for scores in detected]), 0)} for name in names
        }
    return result


def _mean(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """The mean of the finite values; NaN if there are none."""
    count = np.isfinite(values).sum(axis)
    return np.where(count > 0, np.nansum(values, axis) / np.maximum(count, 1), np.nan)


def _deviation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample standard deviation of the finite values over the first axis; NaN for fewer than two."""
    count = np.isfinite(values).sum(0)
    squares = np.nansum((values - _mean(values, 0)) ** 2, 0)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _interval(runs: Runs, kind: str) -> dict[str, list[float]]:
    """95 % bootstrap intervals over subjects of mean F1, or of accuracy and macro-F1; each is the mean over seeds.

    NaN for fewer than two subjects.
    """
    names = np.unique(pooled(runs[0]).subjects)
    if len(names) < 2:
        return {name: [float("nan")] * 2 for name in (("f1",) if kind == "au" else ("accuracy", "macro_f1"))}
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    samples: dict[str, list[NDArray[np.float64]]] = {}
    for folds in runs:
        whole = pooled(folds)
        subject = np.searchsorted(names, whole.subjects)
        if kind == "au":
            predicted = np.concatenate([fold.logits >= fold.threshold for fold in folds])
            truth, known = whole.labels == 1, whole.labels != UNKNOWN
            counted = [truth & predicted, truth, predicted & known, known]
            hits, true, positive, all_known = (_resampled(rows, subject, len(names), draws) for rows in counted)
            with np.errstate(all="ignore"):
                f1 = np.where((true > 0) & (true < all_known), 2 * hits / (true + positive), np.nan)
            samples.setdefault("f1", []).append(_mean(f1, 1))
        else:
            classes = whole.logits.shape[1]
            cells = np.eye(classes**2)[whole.labels * classes + whole.logits.argmax(1)]
            tables = _resampled(cells, subject, len(names), draws).reshape(-1, classes, classes)
            true, positive = tables.sum(2), tables.sum(1)
            right = tables.diagonal(axis1=1, axis2=2)
            with np.errstate(all="ignore"):
                f1 = np.where(true > 0, 2 * right / (true + positive), np.nan)
            samples.setdefault("accuracy", []).append(right.sum(1) / true.sum(1))
            samples.setdefault("macro_f1", []).append(_mean(f1, 1))
    return {name: np.nanpercentile(np.mean(values, axis=0), (2.5, 97.5)).tolist() for name, values in samples.items()}


def _resampled(rows: NDArray[Any], subject: NDArray[np.int64], subjects: int, draws: NDArray[np.int64]) -> NDArray[Any]:
    """Sums [draws,...] of rows [n,...] over samples, each as often as its subject was drawn; subject: [n], numbered from 0."""
    sums = np.zeros((subjects, rows.shape[1]))
    np.add.at(sums, subject, rows.astype(np.float64))
    return draws @ sums
