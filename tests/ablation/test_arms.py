"""Arms, their splits of the faces, and the tensors that they share."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sma_models.ablation.arms import make_arms, make_sweeps
from sma_models.ablation.config import Ablation, FaceCounts, Training
from sma_models.ablation.datasets import arm_data, attention_faces, backbone_data
from sma_models.ablation.feature_cache import FeatureSplit
from sma_models.ablation.frozen_heads import FrozenHead, make_loss, train
from sma_models.models.sma_net import NetworkConfig

SETTINGS = Ablation(
    training=Training(2, batch_size=8),
    network=NetworkConfig(channels=2, embed_dim=4),
    faces=FaceCounts(backbone=9, backbone_val=8, train=9, val=8, test=7, attention=6, subjects=3),
    diversity_weight=0.3,
)


def test_the_arms_differ_as_they_should():
    arms = make_arms(SETTINGS)
    assert list(arms) == ["average", "one", "wide", "shared", "own", "diversity", "correlation", "both"]
    assert (arms["wide"].network.channels, arms["wide"].network.embed_dim) == (1, 8)
    assert [arm for arm in arms if arms[arm].network.correlate] == ["correlation", "both"]
    assert [arm for arm in arms if arms[arm].diversity_weight] == ["diversity", "both"]
    assert [arm for arm in arms if arms[arm].network.shared_features] == ["shared"]
    # The groups of "own" divide the features of "wide": the same number of parameters, except for the biases of the maps and
    # the weights of the classifiers on one more vector of 6 features per region.
    count = {name: sum(p.numel() for p in FrozenHead(arm, 6, 3, 0).parameters()) for name, arm in arms.items()}
    assert count["own"] - count["wide"] == 3 + 3 * 6 and count["average"] == 3 * 7
    assert list(make_arms(replace(SETTINGS, protocol="end_to_end"))) == ["wide", "own", "diversity", "both"]


def test_sweeps_change_one_setting_of_the_full_model():
    sweeps = dict(make_sweeps(replace(SETTINGS, sweeps={"margin": [0.1], "diversity": ["partition"]})))
    full = make_arms(SETTINGS)["both"]
    assert sweeps["margin"].network == replace(full.network, margin=0.1)
    assert (sweeps["diversity"].diversity, sweeps["diversity"].network) == ("partition", full.network)
    assert len({arm.name for arm in sweeps.values()}) == 2


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    (
        ("gate", 1.0, r"gate must lie inside \(0, 1\)"),
        ("merge", "sum", "merge must be one of"),
        ("diversity", "hings", "diversity must be one of"),
        ("chanels", 4, "unexpected keyword"),
    ),
)
def test_a_sweep_that_no_head_can_be_made_of_is_reported_before_anything_runs(field, value, reason):
    with pytest.raises(ValueError, match=f"sweeps.{field} must list valid values; got {value!r}: .*{reason}"):
        dict(make_sweeps(replace(SETTINGS, sweeps={field: [value]})))


def people(settings):
    """The subjects of every split and phase, and the seeds of initializations."""
    subjects = []
    for data in (backbone_data(settings, 0), arm_data(settings)):
        data.setup("fit")
        subjects += [set(data.faces.subjects[rows]) for rows in data.splits]
    return [*subjects, set(attention_faces(settings).subjects)], set(settings.init_seeds(20))


def test_no_person_and_no_seed_is_used_twice():
    development, seeds = people(SETTINGS)
    evaluation, fresh = people(replace(SETTINGS, phase="evaluation"))
    every = development + evaluation
    # The test split of the backbone, which is not used, has one face.
    assert [len(part) for part in every] == 2 * [3, 3, 1, 3, 3, 3, 3]
    assert len(set.union(*every)) == sum(map(len, every))
    assert len(seeds) == len(fresh) == 20 and not seeds & fresh
    assert arm_data(SETTINGS).seed != arm_data(replace(SETTINGS, phase="evaluation")).seed


def test_attention_is_scored_on_independent_units():
    many = replace(SETTINGS, faces=replace(SETTINGS.faces, attention=2000, subjects=50))
    labels = attention_faces(many).labels
    assert abs(np.corrcoef(labels[:, 0], labels[:, 1])[0, 1]) < 0.1, "AU1 and AU2 correlate by 0.5 elsewhere"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"phase": "test"}, "phase must be one of development, evaluation; got 'test'"),
        ({"seeds": 0}, "seeds must be at least 1; got 0"),
        ({"faces": FaceCounts(subjects=10**6)}, "faces.subjects must be 1 to 100000; got 1000000"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)


def part(rows=20, seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.random((rows, 3, 3, 6)).astype(np.float16)
    labels = (np.arange(rows)[:, None] + np.arange(3)) % 2
    return FeatureSplit(maps, labels.astype(np.int8), np.array(["p"] * rows), None, 0.0)


def test_arms_start_from_the_same_tensors_where_they_share_them():
    """Contrasts are paired: with the same seed, two arms differ only in what the arm changes."""
    heads = {name: FrozenHead(arm, 6, 3, seed=7) for name, arm in make_arms(SETTINGS).items()}
    own = heads["own"].state_dict()
    for name in ("diversity", "correlation", "both"):
        state = heads[name].state_dict()
        assert all(torch.equal(state[key], tensor) for key, tensor in own.items())
    assert torch.equal(heads["shared"].classifier.weight, heads["own"].classifier.weight)
    assert torch.equal(heads["one"].classifier.weight, heads["wide"].classifier.weight)
    other = FrozenHead(make_arms(SETTINGS)["own"], 6, 3, seed=8).state_dict()
    assert not torch.equal(other["attention.weight"], own["attention.weight"])
    assert not torch.equal(other["classifier.weight"], own["classifier.weight"])


def test_initialization_leaves_the_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    FrozenHead(make_arms(SETTINGS)["both"], 6, 3, seed=7)
    assert torch.equal(torch.rand(1), expected)


def batches_seen(name, order_seed, seed=0):
    """The features of every training step of one arm."""
    faces, arm, seen = part(), make_arms(SETTINGS)[name], []
    head = FrozenHead(arm, 6, 3, seed)
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    train(head, arm, faces, make_loss(torch.from_numpy(faces.labels), ("a", "b", "c")), SETTINGS.training, order_seed)
    return seen


def test_order_follows_from_its_own_seed():
    seen = batches_seen("own", 3)
    assert len(seen) == 4 and all(len(batch) == 10 or len(batch) == 8 for batch in seen)
    for other in (batches_seen("both", 3), batches_seen("average", 3, seed=9)):
        assert all(torch.equal(a, b) for a, b in zip(seen, other, strict=True))
    assert not torch.equal(batches_seen("own", 4)[0], seen[0])
    assert not torch.equal(seen[0], seen[2]), "epochs differ in order"


def test_diversity_is_trained_only_where_it_should_be():
    faces = part()
    loss = make_loss(torch.from_numpy(faces.labels), ("a", "b", "c"))

    def trained(name, weight):
        arm = replace(make_arms(SETTINGS)[name], diversity_weight=weight)
        head = FrozenHead(arm, 6, 3, 0)
        course = train(head, arm, faces, loss, SETTINGS.training, 0)
        assert course.step_seconds > 0 and len(course.losses) == 2
        return head.attention.weight

    assert torch.equal(trained("diversity", 0.0), trained("own", 0.0))
    assert not torch.equal(trained("diversity", 5.0), trained("own", 0.0))


def test_no_attention_is_the_average_over_positions():
    head, x = FrozenHead(make_arms(SETTINGS)["average"], 6, 3, 0), torch.randn(2, 6, 3, 3)
    head.classifier.norm = torch.nn.Identity()
    expected = x.mean((2, 3)) @ head.classifier.weight.T + head.classifier.bias
    output = head(x)
    assert output.attention is None and torch.allclose(output.logits, expected, atol=1e-6)
