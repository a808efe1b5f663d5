"""Finds the latent correlations and raw rates that reproduce the published label statistics.

`python -m tools.synthetic_faces.calibrate_labels` prints the constants of `sma_models/synthetic/latent.py`. They are
stored rather than computed on import, because an eigenvalue routine may differ in its last bits between machines.
"""

from collections.abc import Mapping

import numpy as np

from sma_models.synthetic.rates import (
    AUS,
    BASE_RATES,
    COLUMN,
    CORRELATIONS,
    EXCLUDED,
    LABEL_THRESHOLD,
    cutpoints,
    exclude,
)
from sma_models.synthetic.types import BoolArray, FloatArray

_SMALLEST_EIGENVALUE = 0.03
_SAMPLES = 200_000
_ROUNDS = 25


def complete(pairs: Mapping[tuple[int, int], float]) -> FloatArray:
    """The correlation matrix [15, 15] closest to the correlations of `pairs`; other entries are free."""
    matrix = np.eye(len(AUS))
    for _ in range(500):
        for (a, b), value in pairs.items():
            matrix[COLUMN[a], COLUMN[b]] = matrix[COLUMN[b], COLUMN[a]] = value
        np.fill_diagonal(matrix, 1.0)
        values, vectors = np.linalg.eigh(matrix)
        matrix = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
    scale = 1.0 / np.sqrt(np.diag(matrix))
    return matrix * scale[:, None] * scale[None, :]


def sample(noise: FloatArray, matrix: FloatArray, raw: Mapping[int, float]) -> BoolArray:
    """Labels, bool [n, 15], from standard normal noise [n, 15], latent correlations [15, 15] and raw rates."""
    latent = noise @ np.linalg.cholesky(matrix).T
    levels = (latent[:, :, None] > cutpoints(raw)[None]).sum(axis=2)
    return exclude(levels) >= LABEL_THRESHOLD


def phi(first: BoolArray, second: BoolArray) -> float:
    """Correlation of two columns of booleans."""
    return float(np.corrcoef(first, second)[0, 1])


def calibrate() -> tuple[FloatArray, dict[int, float]]:
    """Latent correlations, float64 [15, 15] rounded to 3 digits, and raw rates of the excluded AUs."""
    noise = np.random.default_rng(0).standard_normal((_SAMPLES, len(AUS)))
    raw, pairs = dict(BASE_RATES), dict(CORRELATIONS)
    for _ in range(_ROUNDS):
        matrix = complete(pairs)
        labels = sample(noise, matrix, raw)
        for au in EXCLUDED:
            raw[au] = min(0.6, raw[au] * BASE_RATES[au] / labels[:, COLUMN[au]].mean())
        for (a, b), target in CORRELATIONS.items():
            error = target - phi(labels[:, COLUMN[a]], labels[:, COLUMN[b]])
            pairs[a, b] = float(np.clip(pairs[a, b] + error, -0.95, 0.95))
    # Adding zero turns -0.0 into 0.0.
    return np.round(complete(pairs), 3) + 0.0, {au: round(float(raw[au]), 4) for au in EXCLUDED}


def main() -> None:
    matrix, raw = calibrate()
    print("CORRELATED_RAW =", raw)
    print("LATENT = {")
    for row, column in zip(*np.nonzero(np.triu(matrix, 1)), strict=True):
        print(f"    ({AUS[row]}, {AUS[column]}): {matrix[row, column]:g},")
    print("}")


if __name__ == "__main__":
    main()
