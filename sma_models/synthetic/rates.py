"""What the labels must look like: the published targets, and how one intensity becomes five levels."""

from statistics import NormalDist

import numpy as np

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

# Pressed lips cannot part: any trace of the first rules out any trace of the others.
EXCLUDING, EXCLUDED = 24, (25, 26)

# Of the images with the label, the share that reaches intensity 3, 4 and 5: weak action is the most common.
_HIGHER = (0.60, 0.30, 0.10)


def reach(rate):
    """Probability of reaching intensity 1, 2, 3, 4, 5, given the rate of the label: five floats.

    Intensity 1 (visible, yet no label) is rarer where the label is nearly absent or nearly constant.
    """
    return (rate + 0.8 * rate * (1.0 - rate), rate, *(share * rate for share in _HIGHER))


def cutpoints(rates):
    """Latent values at which each intensity begins, float64 [15, 5], for label rates {au: rate}."""
    normal = NormalDist()
    return np.array([[normal.inv_cdf(1.0 - p) for p in reach(rates[au])] for au in AUS])


def exclude(intensities):
    """Clear, in place, what the excluding AU rules out; intensities is [..., 15]."""
    present = intensities[..., COLUMN[EXCLUDING]] > 0
    for au in EXCLUDED:
        intensities[..., COLUMN[au]] *= ~present
    return intensities


def phi(first, second):
    """Correlation of two columns of booleans."""
    return float(np.corrcoef(first, second)[0, 1])
