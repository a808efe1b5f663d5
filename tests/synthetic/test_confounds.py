"""Subjects and scenes vary, and neither correlates with action units."""

from dataclasses import fields

import numpy as np
import pytest

from sma_models.synthetic import AUS, SyntheticFaces
from sma_models.synthetic.identity import WRINKLES, Identity, draw_identity
from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.render import landmarks, render
from sma_models.synthetic.scene import PLAIN, Scene, draw_scene, strengths

# The standard error of an estimate of 0 is .009, so .05 is beyond chance.
COUNT, SEED = 12_000, 8
NOTHING = np.zeros(len(AUS), np.int8)
# Every confound named in the protocol.
NAMED = (
    "brow_height",
    "brow_slant",
    "brow_distance",
    "mouth_curve",
    "mouth_width",
    "upper_lip",
    "lower_lip",
    "eye_openness",
    "chin_dimple",
)


@pytest.fixture(scope="module")
def labels():
    """One subject per image, so that a trait has as many independent values as there are images."""
    return SyntheticFaces(COUNT, seed=SEED, subjects=COUNT).all_labels()


def numbers(value):
    """All numbers inside a field, flattened."""
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in numbers(value[key])]
    if isinstance(value, tuple):
        return [number for part in value for number in numbers(part)]
    return [float(value)]


def check_unrelated(rows, labels):
    rows = np.asarray(rows)
    assert rows.shape[1] > 5
    varying = rows[:, rows.std(axis=0) > 0]
    assert varying.shape[1] > 0.9 * rows.shape[1]
    correlations = np.corrcoef(varying.T, labels.T)[: varying.shape[1], varying.shape[1] :]
    assert np.abs(correlations).max() < 0.05


def test_traits_of_subjects_do_not_correlate_with_labels(labels):
    people = [draw_identity(SEED, subject) for subject in range(COUNT)]
    check_unrelated(
        [numbers(tuple(getattr(identity, f.name) for f in fields(Identity))) for identity in people], labels
    )


def test_scenes_do_not_correlate_with_labels(labels):
    rows = []
    for index in range(COUNT):
        scene = draw_scene(SEED, index, index)
        row = numbers(tuple(getattr(scene, f.name) for f in fields(Scene) if f.name != "occluder"))
        rows.append([*row, *(scene.occluder[:4] or (0.0,) * 4), float(bool(scene.occluder))])
    check_unrelated(rows, labels)


@pytest.mark.parametrize("name", NAMED)
def test_named_confounds_vary_and_show(name):
    values = [getattr(draw_identity(1, subject), name) for subject in range(200)]
    assert len(set(values)) > 40
    low, high = (draw_identity(1, int(subject)) for subject in (np.argmin(values), np.argmax(values)))
    assert not np.array_equal(render(low, PLAIN, NOTHING, 64), render(high, PLAIN, NOTHING, 64))


def test_static_wrinkles_vary_by_area():
    people = [draw_identity(1, subject) for subject in range(200)]
    for area in WRINKLES:
        amounts = [identity.wrinkles[area] for identity in people]
        assert min(amounts) == 0
        assert max(amounts) > 0.4


def test_identity_is_drawn_once():
    assert draw_identity(3, 5) == draw_identity(3, 5)
    assert draw_identity(3, 5) != draw_identity(3, 6)
    draw_identity.cache_clear()
    again = draw_identity(3, 5)
    draw_identity.cache_clear()
    assert again == draw_identity(3, 5)


def test_speech_opens_less_than_any_labeled_au25():
    weakest = min(
        sum(side[25] for side in strengths(draw_identity(0, i), draw_scene(0, i, i), NOTHING + 2)) / 2
        for i in range(2_000)
    )
    spoken = [draw_scene(0, i, i).speech for i in range(2_000)]
    assert 0.2 < np.mean(np.array(spoken) > 0) < 0.5
    assert max(spoken) < weakest


def test_speech_and_blinks_show_without_any_action_unit():
    identity = draw_identity(0, 3)
    assert landmarks(identity, Scene(speech=0.2), NOTHING).gap > 0.02
    rest, closed = landmarks(identity, PLAIN, NOTHING), landmarks(identity, Scene(blink=1.0), NOTHING)
    assert closed.eyes[0].opening < 0.1 * rest.eyes[0].opening
    blinks = [draw_scene(0, i, i).blink for i in range(2_000)]
    assert 0.03 < np.mean(np.array(blinks) > 0) < 0.1


def test_pressed_lips_do_not_speak():
    pressed = NOTHING.copy()
    pressed[AUS.index(24)] = 5
    assert landmarks(draw_identity(0, 3), Scene(speech=0.2), pressed).gap < 0.01


def test_scenes_vary():
    scenes = [draw_scene(0, 0, index) for index in range(300)]
    for name in ("yaw", "pitch", "roll", "scale", "ambient", "noise"):
        assert len({getattr(scene, name) for scene in scenes}) > 280
    assert 0 < sum(bool(scene.occluder) for scene in scenes) < 150
    assert 0 < sum(scene.blur > 0 for scene in scenes) < 300


@pytest.mark.parametrize(
    "scene",
    [
        Scene(yaw=0.3),
        Scene(pitch=0.2),
        Scene(roll=0.2),
        Scene(scale=0.95),
        Scene(shift=(0.05, 0.0)),
        Scene(light=(0.3, 0.0)),
        Scene(ambient=0.8),
        Scene(blur=0.8),
        Scene(noise=5.0),
        Scene(occluder=(0.5, 0.5, 0.3, 0.3, (90.0, 90.0, 90.0))),
        Scene(gaze=(0.3, 0.0)),
    ],
)
def test_each_nuisance_changes_the_image(scene):
    identity = draw_identity(0, 3)
    assert not np.array_equal(render(identity, scene, NOTHING, 128), render(identity, PLAIN, NOTHING, 128))


def test_a_turned_head_shows_its_depth():
    """The nose moves relative to the outline, sideways with yaw and up or down with pitch."""
    nose, outline = np.array([[0.0, 0.2]]), np.array([[-1.1, 0.2], [1.1, 0.2]])
    for scene, axis in ((Scene(yaw=0.3), 0), (Scene(pitch=0.2), 1)):
        project = Projection(scene, 128)
        moved = project(nose)[0] - project(outline).mean(axis=0)
        assert moved[axis] / (1 << SHIFT) > 4
        assert abs(moved[1 - axis]) / (1 << SHIFT) < 0.1


def test_an_unshown_unit_is_never_shown():
    """Jitter, asymmetry and expressiveness have no effect at intensity 0."""
    for index in range(50):
        for side in strengths(draw_identity(0, index), draw_scene(0, index, index), NOTHING):
            assert not any(side.values())
