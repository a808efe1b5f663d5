"""The resting face of a subject: sampled once, independent of every action unit."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sma_models.synthetic.colors import as_color
from sma_models.synthetic.rates import AUS
from sma_models.synthetic.rng import IDENTITY, generator
from sma_models.synthetic.types import Color, FloatArray

# Red, green, blue. Skin, from light to dark, and irises lie between two neighbors of their palette; hair is one entry,
# on dark skin one of the first three.
_SKIN = np.array([(232, 200, 178), (220, 178, 148), (205, 152, 116), (158, 108, 76), (104, 70, 52)], float)
_HAIR = np.array([(34, 27, 24), (66, 44, 30), (150, 146, 142), (118, 80, 48), (126, 58, 34), (196, 158, 98)], float)
_EYES = np.array([(70, 44, 26), (96, 70, 40), (88, 112, 84), (84, 116, 148), (112, 122, 128)], float)

# Areas where skin may be lined at rest, each a confound for the action unit that lines it.
WRINKLES = ("forehead", "glabella", "crow", "bag", "nasolabial", "mouth", "chin")


@dataclass(frozen=True)
class Identity:
    """A resting face. Lengths are in half face widths, colors are RGB in 0 to 255."""

    width: float
    length: float
    jaw: float
    forehead: float
    brow_height: float
    brow_slant: float
    brow_distance: float
    brow_thickness: float
    brow_arch: float
    brow_darkness: float
    eye_height: float
    eye_distance: float
    eye_width: float
    eye_openness: float
    eye_tilt: float
    nose_width: float
    nose_length: float
    mouth_height: float
    mouth_width: float
    mouth_curve: float
    upper_lip: float
    lower_lip: float
    chin_dimple: float
    wrinkles: dict[str, float]  # depth 0 to 0.55 by area
    skin: Color
    hair: Color
    iris: Color
    lips: Color
    hairline: float
    fringe: float
    hair_volume: float
    hair_length: float
    beard: float
    mustache: float
    glasses: int  # 0 none, 1 dark frame, 2 gold frame
    teeth: bool
    expressiveness: tuple[float, ...]  # factor on the strength of each action unit


def _interpolate(palette: FloatArray, share: float) -> FloatArray:
    """The color, float64 [3], at `share` of the way through a palette [n, 3]."""
    position = share * (len(palette) - 1)
    low = min(int(position), len(palette) - 2)
    return palette[low] + (position - low) * (palette[low + 1] - palette[low])


@lru_cache(maxsize=4096)
def draw_identity(seed: int, subject: int) -> Identity:
    """The identity of one subject of one seed."""
    rng = generator(IDENTITY, seed, subject)

    def span(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    tone = span(0.0, 1.0)
    skin = _interpolate(_SKIN, tone) * span(0.94, 1.04)
    # Light hair on dark skin would make the brows invisible.
    hair = _HAIR[rng.integers(len(_HAIR) if tone < 0.5 else 3)] * span(0.8, 1.15)
    redness = np.array([1.0, span(0.62, 0.78), span(0.64, 0.80)])
    bearded = chance(0.3)
    return Identity(
        width=span(0.92, 1.05),
        length=span(0.95, 1.06),
        jaw=span(0.86, 1.10),
        forehead=span(0.92, 1.05),
        brow_height=span(-0.06, 0.05),
        brow_slant=span(-0.07, 0.07),
        brow_distance=span(-0.045, 0.055),
        brow_thickness=span(0.045, 0.085),
        brow_arch=span(0.02, 0.08),
        brow_darkness=span(0.55, 1.0),
        eye_height=span(-0.03, 0.03),
        eye_distance=span(0.41, 0.48),
        eye_width=span(0.175, 0.21),
        eye_openness=span(0.75, 1.25),
        eye_tilt=span(-0.03, 0.04),
        nose_width=span(0.16, 0.23),
        nose_length=span(-0.04, 0.04),
        mouth_height=span(-0.03, 0.04),
        mouth_width=span(0.32, 0.42),
        mouth_curve=span(-0.045, 0.045),
        upper_lip=span(0.055, 0.105),
        lower_lip=span(0.085, 0.145),
        chin_dimple=span(0.3, 1.0) if chance(0.3) else 0.0,
        wrinkles={area: span(0.0, 0.55) if chance(0.6) else 0.0 for area in WRINKLES},
        skin=as_color(skin),
        hair=as_color(hair),
        iris=as_color(_interpolate(_EYES, span(0.0, 1.0))),
        lips=as_color(skin * redness),
        hairline=span(-1.02, -0.9),
        fringe=span(0.0, 0.1) if chance(0.3) else 0.0,
        hair_volume=span(0.03, 0.16),
        hair_length=span(-0.4, 1.2),
        beard=span(0.15, 0.55) if bearded else 0.0,
        mustache=span(0.15, 0.5) if bearded and chance(0.6) else 0.0,
        glasses=int(rng.integers(1, 3)) if chance(0.2) else 0,
        teeth=chance(0.6),
        # The same intensity looks different on two people.
        expressiveness=tuple(rng.uniform(0.7, 1.3, len(AUS)).tolist()),
    )
