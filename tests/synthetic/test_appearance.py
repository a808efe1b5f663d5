"""Which pixels each action unit must and must not change, in plain portraits of several subjects."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from sma_models.synthetic import AUS
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.regions import changed_pixels
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import PLAIN

# Without glasses and beard, which would cover some changes.
SUBJECTS = [s for s in range(40) if not draw_identity(0, s).glasses and not draw_identity(0, s).beard][:8]

# Zones as (min |x|, max |x|, min y, max y) in half face widths, y down from the cheekbones.
WITHIN = {
    1: (0.0, 0.84, -1.0, -0.25),
    2: (0.15, 1.0, -1.0, -0.25),
    4: (0.0, 0.95, -0.9, -0.15),
    6: (0.1, 1.0, -0.5, 0.49),
    7: (0.1, 0.75, -0.5, 0.05),
    9: (0.0, 0.75, -0.75, 0.45),
    10: (0.0, 0.65, 0.0, 0.85),
    12: (0.0, 0.95, 0.0, 1.1),
    14: (0.0, 0.8, 0.4, 1.0),
    15: (0.0, 0.75, 0.45, 1.12),
    17: (0.0, 0.5, 0.4, 1.4),
    23: (0.0, 0.5, 0.45, 1.12),
    24: (0.0, 0.52, 0.33, 1.15),
    25: (0.0, 0.5, 0.4, 1.22),
    26: (0.0, 1.1, 0.2, 1.8),
}
BROW_ENDS_OUTER = (0.84, 1.2, -1.0, -0.3)
BROW_ENDS_INNER = (0.0, 0.14, -1.0, -0.3)
MOUTH = (0.0, 0.6, 0.5, 0.95)
CHEEK = (0.2, 0.9, 0.06, 0.5)
CROW = (0.72, 1.0, -0.4, 0.05)
LONG_FURROW = (0.2, 0.7, 0.45, 0.9)
NOSE_ROOT = (0.0, 0.2, -0.5, 0.0)
CHIN = (0.0, 0.35, 1.12, 1.5)
JAW = (0.0, 1.1, 1.22, 1.8)
NEVER = {
    1: [BROW_ENDS_OUTER],
    2: [BROW_ENDS_INNER],
    6: [MOUTH],
    7: [CHEEK, CROW],
    9: [LONG_FURROW],
    10: [NOSE_ROOT],
    15: [CHIN],
    23: [CHIN],
    25: [JAW],
}
SHOWS = {
    "mid-forehead": (1, (0.0, 0.25, -0.85, -0.6)),
    "lateral forehead": (2, (0.45, 0.8, -0.85, -0.6)),
    "between the brows": (4, (0.0, 0.14, -0.6, -0.3)),
    "crow's feet": (6, (0.72, 0.85, -0.25, -0.05)),
    "bag": (6, (0.3, 0.6, -0.15, 0.02)),
    "cheek of AU6": (6, (0.4, 0.7, 0.02, 0.2)),
    "lower lid": (7, (0.3, 0.6, -0.25, -0.05)),
    "nose root": (9, (0.0, 0.12, -0.35, -0.05)),
    "nose sides": (9, (0.08, 0.25, -0.1, 0.2)),
    "upper furrow": (10, (0.2, 0.4, 0.15, 0.42)),
    "nasolabial furrow": (12, (0.25, 0.6, 0.22, 0.65)),
    "cheek of AU12": (12, (0.45, 0.75, 0.15, 0.42)),
    "dimple": (14, (0.3, 0.6, 0.55, 0.8)),
    "pouch": (15, (0.25, 0.5, 0.7, 0.95)),
    "chin boss": (17, (0.0, 0.2, 0.9, 1.2)),
    "upper red": (23, (0.0, 0.2, 0.5, 0.72)),
    "above the pressed lips": (24, (0.0, 0.2, 0.45, 0.65)),
    "below the pressed lips": (24, (0.0, 0.2, 0.72, 0.95)),
    "gap": (25, (0.0, 0.2, 0.6, 0.9)),
    "chin contour": (26, (0.0, 0.4, 1.2, 1.7)),
}


@cache
def face(subject, au=None, level=0):
    intensities = np.zeros(len(AUS), np.int8)
    if au:
        intensities[AUS.index(au)] = level
    return render(draw_identity(0, subject), PLAIN, intensities, 128)


@cache
def coordinates():
    """|x| and y of every pixel, in face coordinates."""
    ends = Projection(PLAIN, 128)(np.array([[-1.0, -1.0], [1.0, 1.0]]), flat=True) / (1 << SHIFT)
    scale = (ends[1] - ends[0]) / 2
    middle = ends.mean(axis=0)
    y, x = np.mgrid[0:128, 0:128]
    return np.abs((x - middle[0]) / scale[0]), (y - middle[1]) / scale[1]


def inside(zone):
    x, y = coordinates()
    return (x >= zone[0]) & (x <= zone[1]) & (y >= zone[2]) & (y <= zone[3])


def change(subject, au, level=5):
    """Brightness after minus before, int [128, 128]."""
    return face(subject, au, level).astype(int).mean(axis=2) - face(subject).astype(int).mean(axis=2)


@pytest.fixture(params=SUBJECTS)
def subject(request):
    return request.param


@pytest.mark.parametrize("level", [2, 5])
@pytest.mark.parametrize("au", AUS)
def test_changes_stay_within_their_zone(au, level, subject):
    region = changed_pixels(face(subject), face(subject, au, level))
    assert region.sum() > 15
    assert not (region & ~inside(WITHIN[au])).any()


@pytest.mark.parametrize(("au", "zone"), [(au, zone) for au, zones in NEVER.items() for zone in zones])
def test_forbidden_zones_do_not_change(au, zone, subject):
    region = changed_pixels(face(subject), face(subject, au, 5))
    assert not (region & inside(zone)).any()


@pytest.mark.parametrize("name", SHOWS)
def test_required_zones_change(name, subject):
    au, zone = SHOWS[name]
    region = changed_pixels(face(subject), face(subject, au, 5)) & inside(zone)
    assert region.sum() > 0.15 * inside(zone).sum()
    assert (changed_pixels(face(subject), face(subject, au, 2)) & inside(zone)).any()


def roughness(image, zone):
    """Mean absolute differences between rows and between columns within a zone."""
    mask = inside(zone)
    rows, columns = np.abs(np.diff(image, axis=0)), np.abs(np.diff(image, axis=1))
    return rows[mask[1:]].mean(), columns[mask[:, 1:]].mean()


def test_au1_and_au2_wrinkle_the_forehead_horizontally(subject):
    rows, columns = roughness(change(subject, 1), (0.0, 0.22, -0.85, -0.65))
    assert rows > 2 * columns
    rows, columns = roughness(change(subject, 2), (0.5, 0.75, -0.85, -0.65))
    assert rows > columns


def test_au4_furrow_is_vertical(subject):
    rows, columns = roughness(change(subject, 4), (0.0, 0.1, -0.5, -0.38))
    assert columns > 2 * rows


def test_au6_raises_a_lighter_cheek(subject):
    assert change(subject, 6)[inside((0.45, 0.65, 0.03, 0.12))].mean() > 3


@pytest.mark.parametrize(("au", "zone"), [(10, (0.2, 0.4, 0.15, 0.42)), (12, (0.25, 0.65, 0.25, 0.65))])
def test_furrows_are_dark(au, zone, subject):
    assert np.quantile(change(subject, au)[inside(zone)], 0.05) < -10


def test_au14_dimple_is_dark_and_its_bulge_light(subject):
    difference = change(subject, 14)
    assert difference[inside((0.3, 0.6, 0.55, 0.8))].min() < -15
    assert difference[inside((0.42, 0.75, 0.55, 0.8))].max() > 4


def test_au17_wrinkles_the_chin(subject):
    before, after = (
        roughness(image.mean(axis=2), (0.0, 0.18, 0.9, 1.15)) for image in (face(subject), face(subject, 17, 5))
    )
    assert sum(after) > sum(before) + 1


def test_au24_bulges_are_light(subject):
    difference = change(subject, 24)
    assert difference[inside((0.0, 0.15, 0.42, 0.62))].max() > 4
    assert difference[inside((0.0, 0.15, 0.75, 0.95))].max() > 4


def test_au25_shows_a_dark_gap_or_teeth(subject):
    difference = change(subject, 25)[inside((0.0, 0.15, 0.6, 0.9))]
    assert difference.min() < -20
    if draw_identity(0, subject).teeth:
        assert difference.max() > 20


@pytest.mark.parametrize("au", AUS)
def test_the_change_grows_with_intensity(au, subject):
    totals = [np.abs(change(subject, au, level)).sum() for level in (0, 2, 5)]
    assert totals[0] == 0
    assert all(low < high for low, high in pairwise(totals))


@pytest.mark.parametrize("first", AUS)
def test_no_two_units_look_alike(first, subject):
    """The difference images of two units hardly correlate."""
    first_change = change(subject, first)
    for second in AUS:
        if second != first:
            second_change = change(subject, second)
            norm = np.sqrt((first_change**2).sum() * (second_change**2).sum())
            similarity = (first_change * second_change).sum() / norm
            assert similarity < 0.75, f"AU{first} and AU{second}: {similarity:.2f}"
