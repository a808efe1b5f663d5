"""The sequence of synthetic faces: determinism, subjects, pickling, arguments, neutralized regions."""

import hashlib
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sma_models.synthetic import AUS, SyntheticFace, SyntheticFaces

DIGEST = """
import hashlib
from sma_models.synthetic import SyntheticFaces
faces = SyntheticFaces(50, seed=3, size=96)
print(hashlib.sha256(b"".join(faces[i].image.tobytes() for i in (31, 4, 17))).hexdigest())
"""


def test_a_face():
    faces = SyntheticFaces(10, seed=1)
    face = faces[4]
    assert isinstance(face, SyntheticFace)
    assert face.image.shape == (128, 128, 3)
    assert face.image.dtype == np.uint8
    assert face.intensities.dtype == np.int8
    assert np.array_equal(face.intensities, faces.intensities(4))
    assert face.subject == faces.subject(4) == 4


def test_order_of_calls_does_not_matter():
    first, second = SyntheticFaces(50, seed=3), SyntheticFaces(50, seed=3)
    forward = [first[i].image for i in range(12)]
    backward = [second[i].image for i in reversed(range(12))]
    assert all(np.array_equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert np.array_equal(first[5].image, forward[5])


def test_a_fresh_process_renders_the_same():
    faces = SyntheticFaces(50, seed=3, size=96)
    local_digest = hashlib.sha256(b"".join(faces[i].image.tobytes() for i in (31, 4, 17))).hexdigest()
    other_digest = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout
    assert other_digest.strip() == local_digest


def test_count_does_not_change_the_faces():
    few, many = SyntheticFaces(5, seed=3), SyntheticFaces(5_000, seed=3)
    assert np.array_equal(few[4].image, many[4].image)


def test_seeds_differ():
    assert not np.array_equal(SyntheticFaces(1, seed=0)[0].image, SyntheticFaces(1, seed=1)[0].image)


def test_subjects_repeat_and_splits_are_disjoint():
    train, test = SyntheticFaces(30, subjects=10), SyntheticFaces(30, subjects=10, first_subject=10)
    assert [train.subject(i) for i in range(30)] == list(range(10)) * 3
    assert not {train.subject(i) for i in range(30)} & {test.subject(i) for i in range(30)}
    assert not np.array_equal(train[0].image, test[0].image)


def test_pickled_copy_renders_the_same():
    faces = SyntheticFaces(40, seed=9, size=64, subjects=3, first_subject=2, mode="independent")
    copy = pickle.loads(pickle.dumps(faces))
    assert len(copy) == 40
    assert np.array_equal(copy[7].image, faces[7].image)
    assert np.array_equal(copy.all_labels(), faces.all_labels())
    assert len(pickle.dumps(SyntheticFaces(10**7))) < 1_000


def test_is_a_sequence():
    faces = SyntheticFaces(3, size=32)
    assert [face.subject for face in faces] == [0, 1, 2]
    assert np.array_equal(faces[-1].image, faces[2].image)
    assert np.array_equal(faces.intensities(-1), faces.intensities(2))
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"index is {index}; expected -3 to 2"):
            faces[index]
    empty = SyntheticFaces(0)
    assert len(empty) == 0
    assert empty.all_labels().shape == (0, len(AUS))


@pytest.mark.parametrize("size", [32, 64, 96, 100, 128, 130, 224])
def test_sizes(size):
    face = SyntheticFaces(3, size=size)[1]
    assert face.image.shape == (size, size, 3)


def test_a_face_is_the_same_at_every_size():
    small, large = SyntheticFaces(3, size=64)[1].image, SyntheticFaces(3, size=256)[1].image
    shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - shrunk).mean() < 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "count is -1; expected a whole number of at least 0"),
        ({"count": 2.5}, "count is 2.5; expected a whole number"),
        ({"count": True}, "count is True; expected a whole number"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0 to"),
        ({"seed": 2**63}, "seed is 9223372036854775808; expected"),
        ({"seed": "a"}, "seed is 'a'; expected a whole number"),
        ({"size": 31}, "size is 31; expected a whole number from 32 to 512"),
        ({"size": 513}, "size is 513; expected"),
        ({"subjects": 0}, "subjects is 0; expected a whole number of at least 1"),
        ({"first_subject": -2}, "first_subject is -2; expected"),
        ({"mode": "other"}, "mode is 'other'; expected one of 'correlated', 'independent'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticFaces(**{"count": 1, **arguments})


@pytest.mark.parametrize("au", [0, 3, 27, "12", None, True])
def test_unknown_action_unit(au):
    with pytest.raises(ValueError, match=r"au is .*; expected one of 1, 2, 4,"):
        SyntheticFaces(5).neutralized(0, au)


def test_numpy_integers_are_whole_numbers():
    faces = SyntheticFaces(np.int64(4), seed=np.uint8(3), size=np.int32(64))
    assert np.array_equal(faces[np.int64(2)].image, SyntheticFaces(4, seed=3, size=64)[2].image)


def test_neutralized_changes_only_the_region():
    faces = SyntheticFaces(60, seed=2)
    regions_checked = 0
    for index in range(20):
        face, regions = faces[index], faces.regions(index)
        for k in np.flatnonzero(face.intensities)[:2]:
            neutralized = faces.neutralized(index, AUS[k])
            changed = (neutralized != face.image).any(axis=2)
            assert not (changed & ~regions[k]).any()
            if regions[k].sum() > 50:
                assert changed.any()
                regions_checked += 1
    assert regions_checked > 10


def test_neutralized_is_the_face_itself_without_the_unit():
    faces = SyntheticFaces(60, seed=2)
    for index in range(5):
        face = faces[index]
        k = int(np.flatnonzero(face.intensities == 0)[0])
        assert np.array_equal(faces.neutralized(index, AUS[k]), face.image)
