"""True regions of action units, compared with measurements on pixels."""

import cv2
import numpy as np
import pytest

from sma_models.synthetic import AUS, SyntheticFaces
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.regions import changed_pixels
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import draw_scene


def test_a_region_is_where_the_face_without_the_unit_differs():
    faces = SyntheticFaces(20, seed=5)
    for index in (0, 7, 13):
        regions, face = faces.regions(index), faces[index]
        assert regions.shape == (len(AUS), 128, 128)
        assert regions.dtype == bool
        for k, level in enumerate(face.intensities):
            if level == 0:
                assert not regions[k].any()
                continue
            without = face.intensities.copy()
            without[k] = 0
            subject = faces.subject(index)
            other = render(draw_identity(5, subject), draw_scene(5, subject, index), without, 128)
            changed = np.abs(face.image.astype(int) - other).max(axis=2) > 4
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
            closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
            assert np.array_equal(regions[k], closed.astype(bool))


def test_threshold_is_more_than_four_in_any_channel():
    first = np.full((20, 20, 3), 100, np.uint8)
    second = first.copy()
    second[5, 5, 1] = 104
    assert not changed_pixels(first, second).any()
    second[5, 5, 1] = 105
    assert changed_pixels(first, second).sum() == 1
    second[5, 5, 1] = 95
    assert changed_pixels(first, second)[5, 5]


def test_gaps_of_up_to_six_pixels_close():
    first = np.zeros((30, 30, 3), np.uint8)
    for gap, closes in ((5, True), (8, False)):
        second = first.copy()
        second[:, 10] = second[:, 10 + gap + 1] = 50
        assert changed_pixels(first, second)[15, 10 : 12 + gap].all() == closes


def test_the_measuring_does_not_change_the_image():
    faces = SyntheticFaces(5, seed=1)
    before = faces[3].image.copy()
    faces.regions(3)
    assert np.array_equal(faces[3].image, before)


@pytest.mark.parametrize("au", AUS)
def test_every_labeled_unit_shows(au):
    """In images of the dataset, with noise and occlusion, nearly every labeled unit has a region."""
    faces = SyntheticFaces(4_000, seed=6)
    k = AUS.index(au)
    labeled = np.flatnonzero(faces.all_intensities()[:, k] == 2)[:12]
    areas = []
    for index in labeled:
        intensities = faces.intensities(int(index))
        subject = faces.subject(int(index))
        identity, scene = draw_identity(6, subject), draw_scene(6, subject, int(index))
        without = intensities.copy()
        without[k] = 0
        pair = (render(identity, scene, levels, 128) for levels in (intensities, without))
        areas.append(changed_pixels(*pair).sum())
    assert np.median(areas) > 40
    assert np.mean(np.array(areas) > 5) > 0.8


def test_regions_follow_the_size():
    assert SyntheticFaces(5, size=64).regions(0).shape == (15, 64, 64)
