"""Samples and their order depend only on seed, epoch and index; evaluation has no randomness."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sma_models.data import SyntheticFaceData
from sma_models.data.samplers import EpochSampler, EvaluationSampler
from sma_models.data.transforms import Augment, canvas_size
from tests.helpers.face_sets import au_csv, expression_csv, images, loaded


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return loaded(expression_csv(tmp_path_factory.mktemp("faces")))


def test_the_canvas_is_256_for_an_input_of_224():
    assert canvas_size(224) == 256
    assert canvas_size(96) > 96


@pytest.mark.parametrize("kind", ["mild", "strong"])
def test_augmentation_follows_from_its_key_alone(kind):
    augment, (image,) = Augment(kind, 32), images(1, 37)
    first = augment(image, (1, 2, 3))
    torch.manual_seed(5)
    augment(image, (1, 2, 4))
    assert torch.equal(augment(image, (1, 2, 3)), first)
    assert first.shape == (3, 32, 32)
    assert first.dtype == torch.uint8
    # Hardly any other key gives the same image: seed, epoch and index all matter.
    for keys in ([(s, 2, 3) for s in range(20)], [(1, e, 3) for e in range(20)], [(1, 2, i) for i in range(20)]):
        assert len({augment(image, key).numpy().tobytes() for key in keys}) > 15


def test_augmentation_leaves_the_global_random_numbers_alone():
    (image,) = images(1, 37)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    Augment("strong", 32)(image, (0, 0, 0))
    assert torch.equal(torch.rand(2), expected)


def test_mild_augmentation_mirrors_half_and_moves_little():
    ramp = torch.arange(37, dtype=torch.uint8).mul(6).expand(3, 37, 37)
    shown = [Augment("mild", 32)(ramp, (0, 0, i)).float() for i in range(200)]
    mirrored = sum(bool(x[0, 0, 0] > x[0, 0, -1]) for x in shown)
    assert 70 < mirrored < 130
    upright = [x for x in shown if x[0, 0, 0] < x[0, 0, -1]]
    assert len({float(x[0, 0, 0]) for x in upright}) > 5


def test_no_augmentation_takes_the_centre():
    (image,) = images(1, 38)
    assert torch.equal(Augment("none", 32)(image, (0, 0, 0)), image[:, 3:35, 3:35])
    assert torch.equal(Augment("none", 32)(image, (7, 8, 9)), image[:, 3:35, 3:35])


def test_evaluation_is_deterministic_and_training_is_not(data):
    evaluation, training = data._dataset("val", "none"), data._dataset("train", "mild")
    assert torch.equal(evaluation[0, 0]["image"], evaluation[9, 0]["image"])
    assert not torch.equal(training[0, 0]["image"], training[1, 0]["image"])


@pytest.mark.parametrize("kind", ["mild", "strong"])
def test_augmentation_changes_no_label(tmp_path, kind):
    """A mirrored face shows the same action units: labels and masks stay in their columns."""
    data = loaded(au_csv(tmp_path), augment=kind, selection="last")
    for epoch in range(3):
        dataset = data._dataset("train", kind)
        for position, row in enumerate(data.splits.train):
            sample, labels = dataset[epoch, position], data.faces.labels[row]
            assert sample["labels"].tolist() == (labels == 1).tolist()
            assert sample["known"].tolist() == (labels != -1).tolist()


def test_an_unknown_augmentation_is_named():
    with pytest.raises(ValueError, match=r"mild.*'wild'"):
        Augment("wild", 32)


def indices(loader):
    return torch.cat([batch["index"] for batch in loader]).tolist()


def test_order_follows_from_seed_and_epoch(data):
    loader = data.train_dataloader()
    first = indices(loader)
    assert indices(loader) == first
    loader.sampler.set_epoch(1)
    second = indices(loader)
    assert second != first
    assert set(second) <= set(data.splits.train.tolist())
    loader.sampler.set_epoch(0)
    assert indices(loader) == first
    assert indices(data.val_dataloader()) == data.splits.val.tolist()


def test_the_same_face_looks_different_in_another_epoch(data):
    loader = data.train_dataloader()
    shown = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        shown.append({int(i): x for batch in loader for i, x in zip(batch["index"], batch["image"], strict=True)})
    loader.sampler.set_epoch(0)
    both = shown[0].keys() & shown[1].keys()
    assert sum(torch.equal(shown[0][i], shown[1][i]) for i in both) < len(both) / 4


def test_workers_change_nothing(data):
    alone = list(data.train_dataloader())
    data.num_workers = 2
    try:
        together = list(data.train_dataloader())
    finally:
        data.num_workers = 0
    assert_close([b["image"] for b in together], [b["image"] for b in alone], rtol=0, atol=0)


@pytest.mark.parametrize("length, world", [(10, 3), (7, 2), (2, 3)])
def test_evaluation_shares_cover_every_sample_once(length, world):
    shares = [EvaluationSampler(range(length), world, rank, shuffle=False) for rank in range(world)]
    positions = sorted(position for share in shares for _, position in share)
    assert positions == list(range(length))
    assert [len(share) for share in shares] == [len(list(share)) for share in shares]


def test_training_shares_are_equally_long_and_cover_every_sample():
    shares = [EpochSampler(range(10), 3, rank, shuffle=True, seed=1) for rank in range(3)]
    positions = [[position for _, position in share] for share in shares]
    assert len({len(share) for share in positions}) == 1
    assert {position for share in positions for position in share} == set(range(10))


def test_batches_carry_who_and_when(data):
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (8, 3, 32, 32)
    assert batch["subject"] == data.faces.subjects[data.splits.val[:8]].tolist()
    assert batch["frame"].tolist() == data.faces.frames[data.splits.val[:8]].tolist()


def test_synthetic_parts_share_no_subject_and_follow_from_their_seed():
    data = SyntheticFaceData(train=12, val=5, test=7, subjects=4, num_workers=0, image_size=32, cache=True)
    data.setup("fit")
    parts = [set(data.faces.subjects[part]) for part in data.splits]
    assert [len(part) for part in data.splits] == [12, 5, 7]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert len(set.union(*parts)) == 12
    dataset = data._dataset("test", "none")
    sample = dataset[0, 3]
    index = sample["index"]
    assert index == 20
    assert sample["labels"].tolist() == data.faces.labels[index].tolist()
    assert sample["known"].all()
    again = dataset[0, 3]["image"]
    assert torch.equal(again, sample["image"])
    other = SyntheticFaceData(train=12, val=5, test=7, subjects=4, num_workers=0, image_size=32)
    other.setup("fit")
    assert torch.equal(other._dataset("test", "none")[0, 3]["image"], again)
    reseeded = SyntheticFaceData(train=12, val=5, test=7, subjects=4, faces_seed=1)
    reseeded.setup("fit")
    assert (reseeded.faces.labels != data.faces.labels).any()


def test_synthetic_selection_last_trains_on_the_validation_subjects_too():
    data = SyntheticFaceData(train=6, val=4, test=2, subjects=2, selection="last")
    data.setup("fit")
    assert data.splits.train.tolist() == list(range(10))
    assert len(data.splits.val) == 0


def test_true_regions_belong_to_the_face(tmp_path):
    data = SyntheticFaceData(train=3, val=3, test=3, subjects=3)
    data.setup("fit")
    intensities = data.faces.intensities()
    for index in range(9):
        shown = data.faces.true_regions(index, 48).any((1, 2))
        assert not shown[intensities[index] == 0].any()
    assert np.array_equal(intensities >= 2, data.faces.labels == 1)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"val": 0}, "val.*0"),
        ({"seed": -1}, "seed.*-1"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"num_workers": -1}, "num_workers must be at least 0; got -1"),
        ({"image_size": 0}, "image_size must be 8 to 4096 pixels; got 0"),
        ({"selection": "test"}, "selection must be val or last; got 'test'"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        SyntheticFaceData(**settings)
