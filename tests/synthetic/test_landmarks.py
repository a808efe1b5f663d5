"""Which landmarks each action unit must and must not move, for many subjects."""

from itertools import pairwise

import numpy as np
import pytest

from sma_models.synthetic import AUS
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.render import landmarks
from sma_models.synthetic.scene import PLAIN

SUBJECTS = range(12)
# In half face widths: less than a third of a pixel at 128 pixels.
STILL = 0.008


def show(subject, **levels):
    intensities = np.zeros(len(AUS), np.int8)
    for name, level in levels.items():
        intensities[AUS.index(int(name[2:]))] = level
    return landmarks(draw_identity(0, subject), PLAIN, intensities)


def brow_move(before, after, end):
    return [after.brows[side][end] - before.brows[side][end] for side in (0, 1)]


def opening(face):
    return [eye.opening for eye in face.eyes]


def thickness(face):
    """Height of the red of both lips in their middle and half way to the corners."""
    upper = face.upper_inner[[1, 2, 3], 1] - face.upper_outer[[1, 3, 5], 1]
    lower = face.lower_outer[[1, 2, 3], 1] - face.lower_inner[[1, 2, 3], 1]
    return upper, lower


def mouth(face):
    return np.concatenate([face.upper_outer, face.upper_inner, face.lower_inner, face.lower_outer])


def brows(face):
    return np.concatenate(face.brows)


def lids(face):
    return np.concatenate([np.concatenate([eye.upper, eye.lower]) for eye in face.eyes])


def width(face):
    return face.corners[1][0] - face.corners[0][0]


@pytest.fixture(params=SUBJECTS)
def subject(request):
    return request.param


@pytest.fixture(params=[2, 5])
def level(request):
    return request.param


def test_au1_raises_inner_brow_ends_only(subject, level):
    before, after = show(subject), show(subject, au1=level)
    assert all(y < -0.016 * level for _, y in brow_move(before, after, 0))
    assert all(np.abs(move).max() == 0 for move in brow_move(before, after, 3))


def test_au2_raises_outer_brow_ends_only(subject, level):
    before, after = show(subject), show(subject, au2=level)
    assert all(y < -0.016 * level for _, y in brow_move(before, after, 3))
    assert all(np.abs(move).max() == 0 for move in brow_move(before, after, 0))
    # The lateral arch: the outer part of the brow rises with its end.
    assert all(y < -0.016 * level for _, y in brow_move(before, after, 2))


def test_au4_lowers_brows_and_draws_them_together(subject, level):
    before, after = show(subject), show(subject, au4=level)
    for end in range(4):
        assert all(y > 0.005 * level for _, y in brow_move(before, after, end))
    assert after.brows[1][0, 0] - after.brows[0][0, 0] < before.brows[1][0, 0] - before.brows[0][0, 0] - 0.02 * level


def test_au6_narrows_the_eye_from_below(subject, level):
    before, after = show(subject), show(subject, au6=level)
    for old, new in zip(before.eyes, after.eyes, strict=True):
        assert new.lower[4, 1] < old.lower[4, 1] - 0.004 * level
        assert np.array_equal(new.upper, old.upper)
    assert np.array_equal(mouth(before), mouth(after))


def test_au7_straightens_and_raises_the_lower_lid(subject, level):
    before, after = show(subject), show(subject, au7=level)
    for old, new in zip(before.eyes, after.eyes, strict=True):
        bend = [eye.lower[4, 1] - 0.5 * (eye.lower[0, 1] + eye.lower[8, 1]) for eye in (old, new)]
        assert new.lower[4, 1] < old.lower[4, 1] - 0.004 * level
        assert abs(bend[1]) < bend[0] * (1 - 0.12 * level)
        assert new.opening < old.opening
    assert np.array_equal(brows(before), brows(after))
    assert np.array_equal(mouth(before), mouth(after))


def test_au9_raises_nostril_wings_and_dips_the_brows(subject, level):
    before, after = show(subject), show(subject, au9=level)
    for old, new in zip(before.wings, after.wings, strict=True):
        assert new[1] < old[1] - 0.008 * level
    assert all(y > 0.008 * level for _, y in brow_move(before, after, 0))
    assert np.array_equal(mouth(before), mouth(after))


def test_au10_raises_the_middle_of_the_upper_lip(subject, level):
    before, after = show(subject), show(subject, au10=level)
    middle = before.upper_outer[3, 1] - after.upper_outer[3, 1]
    assert middle > 0.012 * level
    assert before.corners == after.corners
    assert before.wings == after.wings
    assert np.array_equal(before.lower_outer, after.lower_outer)


def test_au12_draws_lip_corners_back_and_up(subject, level):
    before, after = show(subject), show(subject, au12=level)
    for side, old, new in zip((-1, 1), before.corners, after.corners, strict=True):
        assert side * (new[0] - old[0]) > 0.012 * level
        assert new[1] < old[1] - 0.02 * level


def test_au14_pulls_corners_inward_without_raising_them(subject, level):
    before, after = show(subject), show(subject, au14=level)
    for side, old, new in zip((-1, 1), before.corners, after.corners, strict=True):
        assert side * (new[0] - old[0]) < -0.01 * level
        assert new[1] >= old[1]


def test_au15_lowers_the_corners_and_not_the_chin(subject, level):
    before, after = show(subject), show(subject, au15=level)
    for old, new in zip(before.corners, after.corners, strict=True):
        assert new[1] > old[1] + 0.015 * level
    assert before.chin == after.chin
    assert np.array_equal(before.contour, after.contour)


def test_au17_pushes_chin_and_lower_lip_up_without_thinning(subject, level):
    before, after = show(subject), show(subject, au17=level)
    assert after.chin[1] < before.chin[1] - 0.012 * level
    assert after.lower_outer[2, 1] < before.lower_outer[2, 1] - 0.008 * level
    for old, new in zip(thickness(before), thickness(after), strict=True):
        assert (new > old - STILL).all()


def test_au23_narrows_the_red_all_along_and_not_the_mouth(subject, level):
    before, after = show(subject), show(subject, au23=level)
    for old, new in zip(thickness(before), thickness(after), strict=True):
        assert (new < old * (1 - 0.055 * level)).all()
    assert width(after) > 0.93 * width(before)
    assert before.chin == after.chin
    assert np.array_equal(before.contour, after.contour)


def test_au24_thins_the_lips_and_shortens_the_mouth(subject, level):
    before, after = show(subject), show(subject, au24=level)
    for old, new in zip(thickness(before), thickness(after), strict=True):
        assert (new < old * (1 - 0.055 * level)).all()
    assert width(after) < width(before) * (1 - 0.035 * level)


def test_au25_parts_the_lips_and_not_the_jaw(subject, level):
    before, after = show(subject), show(subject, au25=level)
    assert before.gap == 0
    assert after.gap > 0.02 * level
    assert np.allclose(after.lower_inner[2, 1] - after.upper_inner[2, 1], after.gap)
    assert before.chin == after.chin
    assert np.array_equal(before.contour, after.contour)


def test_au26_lowers_jaw_and_chin_contour(subject, level):
    before, after = show(subject), show(subject, au26=level)
    lowest = np.argmax(before.contour[:, 1])
    assert after.contour[lowest, 1] > before.contour[lowest, 1] + 0.03 * level
    assert after.chin[1] > before.chin[1] + 0.03 * level
    # The skull above the mouth does not move.
    above = before.contour[:, 1] < 0.4
    assert np.array_equal(before.contour[above], after.contour[above])
    assert after.gap == 0


@pytest.mark.parametrize("au", [1, 2, 4, 6, 7, 9])
def test_upper_face_units_leave_the_mouth(au, subject):
    before, after = show(subject), show(subject, **{f"au{au}": 5})
    assert np.array_equal(mouth(before), mouth(after))
    assert np.array_equal(before.contour, after.contour)


@pytest.mark.parametrize("au", [10, 12, 14, 15, 17, 23, 24, 25, 26])
def test_lower_face_units_leave_brows_and_eyes(au, subject):
    before, after = show(subject), show(subject, **{f"au{au}": 5})
    assert np.array_equal(brows(before), brows(after))
    assert np.array_equal(lids(before), lids(after))


@pytest.mark.parametrize("au", AUS)
def test_more_intensity_moves_or_marks_more(au, subject):
    rest = show(subject)

    def moved(level):
        face = show(subject, **{f"au{au}": level})
        pairs = [(brows(rest), brows(face)), (lids(rest), lids(face)), (mouth(rest), mouth(face))]
        pairs += [(rest.contour, face.contour), (np.array(rest.wings), np.array(face.wings))]
        return sum(np.abs(old - new).sum() for old, new in pairs)

    steps = [moved(level) for level in range(6)]
    assert steps[0] == 0
    assert all(low < high for low, high in pairwise(steps))


def test_eyes_never_cross(subject):
    for levels in ({"au6": 5, "au7": 5}, {"au7": 5}, {"au6": 5}):
        assert min(opening(show(subject, **levels))) > 0
