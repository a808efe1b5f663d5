"""Action-unit intensities from a Gaussian copula: correlated as in published data, or independent."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from sma_models.synthetic.latent import CORRELATED_RAW, LATENT
from sma_models.synthetic.rates import (
    AUS,
    BASE_RATES,
    COLUMN,
    EXCLUDED,
    EXCLUDING,
    cutpoints,
    exclude,
    reach,
)
from sma_models.synthetic.rng import normals
from sma_models.synthetic.types import FloatArray, Intensities

MODES = ("correlated", "independent")

# AU24 clears AU25 and AU26 together, which alone would correlate them by .06; this latent value undoes it.
_INDEPENDENT_25_26 = -0.155


@cache
def _sampler(mode: str) -> tuple[FloatArray, FloatArray]:
    """Cholesky factor [15, 15] and cutpoints [15, 5] of one mode."""
    matrix = np.eye(len(AUS))
    if mode == "correlated":
        raw = CORRELATED_RAW
        for (first, second), value in LATENT.items():
            row, column = COLUMN[first], COLUMN[second]
            matrix[row, column] = matrix[column, row] = value
    else:
        # Without other correlations, AU24 clears the others in exactly the share of images that show it.
        not_cleared = 1.0 - reach(BASE_RATES[EXCLUDING])[0]
        raw = {au: BASE_RATES[au] / not_cleared for au in EXCLUDED}
        rows = [COLUMN[au] for au in EXCLUDED]
        matrix[rows, rows[::-1]] = _INDEPENDENT_25_26
    factor = np.linalg.cholesky(matrix).astype(np.float64)
    return factor, cutpoints({**BASE_RATES, **raw})


def sample_intensities(mode: str, seed: int, subjects: ArrayLike, indices: ArrayLike) -> Intensities:
    """Intensities 0 to 5, int8 [n, 15], of n (subject, index) pairs."""
    factor, cuts = _sampler(mode)
    noise = normals(seed, subjects, indices, len(AUS))
    # einsum fixes the order of summation; the last bits of a matrix product may change with the number of rows.
    latent = np.einsum("nj,ij->ni", noise, factor, optimize=False)
    return exclude((latent[:, :, None] > cuts[None]).sum(axis=2).astype(np.int8))
