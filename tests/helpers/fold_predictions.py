"""Predictions of one fold, made up by hand."""

import numpy as np

from sma_models.metrics.predictions import Predictions


def fold_predictions(logits, labels, subjects, threshold=0.0, sequences=None, detected=True):
    """Predictions for samples [n,R]; one sequence per subject, unless `sequences` is given."""
    logits = np.asarray(logits, np.float32)
    return Predictions(logits, np.asarray(labels), np.full(logits.shape[1], threshold, np.float32), np.array(subjects),
                   np.array(sequences or subjects), np.full(len(logits), detected))  # fmt: skip
