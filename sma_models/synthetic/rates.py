"""Published targets of the labels, and the thresholds between the five intensities."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sma_models.synthetic.types import FloatArray

Integer = TypeVar("Integer", bound=np.integer)

AUS = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26)
COLUMN = {au: column for column, au in enumerate(AUS)}

# A label is an intensity of at least this.
LABEL_THRESHOLD = 2

# Share of images with the label, and phi of pairs of labels: measured on published BP4D and DISFA labels.
BASE_RATES = {
    1: 0.21,
    2: 0.17,
    4: 0.20,
    6: 0.46,
    7: 0.55,
    9: 0.04,
    10: 0.59,
    12: 0.56,
    14: 0.47,
    15: 0.17,
    17: 0.34,
    23: 0.17,
    24: 0.15,
    25: 0.28,
    26: 0.09,
}
CORRELATIONS = {
    (1, 2): 0.50,
    (6, 12): 0.54,
    (6, 7): 0.54,
    (10, 12): 0.53,
    (6, 10): 0.50,
    (17, 24): 0.42,
    (7, 10): 0.39,
    (12, 25): 0.46,
    (25, 26): 0.31,
    (4, 9): 0.34,
    (4, 12): -0.26,
}

# Pressed lips cannot part: if the first shows at all, the others do not.
EXCLUDING, EXCLUDED = 24, (25, 26)

# Share of the labeled images that reach intensity 3, 4 and 5: weak action is the most common.
_HIGHER = (0.60, 0.30, 0.10)


def reach(rate: float) -> tuple[float, ...]:
    """Probabilities of reaching intensity 1, 2, 3, 4, 5, from the rate of the label: five floats.

    Intensity 1 (visible, but not labeled) is rarer if the label is nearly absent or nearly constant.
    """
    return (rate + 0.8 * rate * (1.0 - rate), rate, *(share * rate for share in _HIGHER))


def cutpoints(rates: Mapping[int, float]) -> FloatArray:
    """Latent values at which each intensity begins, float64 [15, 5], from label rates by AU."""
    normal = NormalDist()
    return np.array([[normal.inv_cdf(1.0 - p) for p in reach(rates[au])] for au in AUS])


def exclude(intensities: NDArray[Integer]) -> NDArray[Integer]:
    """Clear the excluded AUs of intensities [..., 15], in place, where the excluding AU shows."""
    present = intensities[..., COLUMN[EXCLUDING]] > 0
    for au in EXCLUDED:
        intensities[..., COLUMN[au]] *= ~present
    return intensities
