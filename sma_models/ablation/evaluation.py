"""Measurements of one trained arm: predictions, attention, and maps for comparison between initializations."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sma_kernels import SMAAttention, SMAOutput
from sma_models.ablation.attention_metrics import REGION_MEASURES, RegionAttention, merged_attention
from sma_models.metrics.aggregate import aggregate_aus, aggregate_expressions
from sma_models.metrics.predictions import Predictions
from sma_models.metrics.scores import AttentionSimilarity

# Number of faces whose attention maps are saved for comparison between initializations.
COMPARED_FACES = 16


class AttentionBatch(NamedTuple):
    """One batch: output of the attention, regions present (bool [B,R]), and true regions ([B,R,H,W] or None)."""

    output: SMAOutput
    present: Tensor
    masks: Tensor | None


@dataclass
class RunScores:
    """The scores of one arm and seed.

    measures:  numbers by name; None if undefined
    by_region: lists [R] by name; winner_share is [R][K]
    maps:      float16 [n,R,H,W], attention on the compared faces; None without attention
    """

    measures: dict[str, float | None]
    by_region: dict[str, list[Any]]
    maps: NDArray[np.float16] | None


def prediction_scores(folds: list[Predictions]) -> RunScores:
    """F1 and AUC of action units, or macro-F1 and accuracy of classes, of the pooled predictions."""
    if folds[0].labels.ndim == 2:
        pooled = aggregate_aus(folds)
        measures = {"f1": "mean_f1", "auc": "mean_auc", "constant": "mean_f1_always_positive"}
    else:
        pooled = aggregate_expressions(folds)
        measures = {"f1": "macro_f1", "accuracy": "accuracy", "constant": "majority_macro_f1"}
    return RunScores(
        {name: _number(pooled[key]) for name, key in measures.items()},
        {name: [_number(value) for value in pooled[name]] for name in ("f1", "auc") if name in pooled},
        None,
    )


@torch.no_grad()
def attention_scores(attention: SMAAttention, batches: Iterable[AttentionBatch]) -> RunScores:
    """Scores of the attention maps over batches of unseen faces."""
    regions, channels, _ = attention.weight.shape
    region_attention, spread = RegionAttention(regions, channels), AttentionSimilarity()
    compared: list[Tensor] = []
    diagonal = faces = 0.0
    for output, present, masks in batches:
        region_attention.update(attention, output, present, masks)
        spread.update(attention, output)
        diagonal += float(output.correlation.diagonal(dim1=1, dim2=2).mean(1).sum())
        faces += len(present)
        missing = COMPARED_FACES - sum(map(len, compared))
        if missing > 0:
            compared.append(merged_attention(output)[:missing])
    by_region = region_attention.compute()
    winners = by_region["winner_share"]
    measures = {name: _number(by_region[name].nanmean()) for name in (*REGION_MEASURES, "area")}
    measures |= {name: _number(value) for name, value in spread.compute().items()}
    measures |= {"least_winner_share": _number(winners.amin(1).nanmean()), "diagonal": diagonal / faces}
    # Scaled to peak 1 before rounding: a softmax over many positions would underflow in float16.
    maps = torch.cat(compared)
    maps = maps / maps.amax((2, 3), keepdim=True).clamp_min(1e-12)
    listed: dict[str, list[Any]] = {
        name: [_number(value) for value in row] for name, row in by_region.items() if row.ndim == 1
    }
    listed["winner_share"] = [[_number(value) for value in row] for row in winners]
    return RunScores(measures, listed, maps.numpy().astype(np.float16))


def join(predictions: RunScores, folds: list[RunScores]) -> RunScores:
    """The scores of an arm: of its pooled predictions, and the mean over folds of its attention scores, if any."""
    if not folds:
        return predictions
    names = list(folds[0].measures)
    means = _mean_of_known([[fold.measures[name] for name in names] for fold in folds])
    measures = dict(zip(names, _numbers(means), strict=True))
    by_region = {
        name: _numbers(_mean_of_known([fold.by_region[name] for fold in folds])) for name in folds[0].by_region
    }
    maps = np.concatenate([fold.maps for fold in folds if fold.maps is not None])
    return RunScores(predictions.measures | measures, predictions.by_region | by_region, maps)


def _mean_of_known(values: list[list[Any]]) -> NDArray[np.float64]:
    """Mean over the first axis of nested lists of the same shape; None is ignored; NaN if all are None."""
    means = np.ma.masked_invalid(np.array(values, np.float64)).mean(0)
    return np.ma.filled(means, np.nan)


def _numbers(values: NDArray[np.float64]) -> list[Any]:
    return [_numbers(row) for row in values] if values.ndim > 1 else [_number(value) for value in values]


def _number(value: Any) -> float | None:
    """A number for JSON: None for NaN."""
    return None if np.isnan(float(value)) else float(value)
