"""SMA-Net: any backbone, every switch of the ablation, one linear unit per region."""

import pytest
import torch
from torch.testing import assert_close

from sma_kernels import sma_attention
from sma_models.network import NetworkConfig, SMANet, make_units
from tests.models.faces import TINY, images

REGIONS = ("AU1", "AU2", "AU12")


@pytest.mark.parametrize(
    "backbone, stage, positions",
    [("test_resnet", 2, (4, 4)), ("test_resnet", -1, (1, 1)), ("test_mambaout", 1, (4, 4)), ("test_vit", -1, (2, 2))],
)
def test_backbones_give_one_logit_per_region_and_one_map_per_channel(backbone, stage, positions):
    network = SMANet(REGIONS, **TINY | {"backbone": backbone, "stage": stage}).eval()
    output = network(images(2))
    assert output.logits.shape == (2, 3)
    assert output.head.attention.shape == (2, 3, 2, *positions), "every channel keeps its own map"
    output.logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.units.weight.grad.abs().sum() > 0


def test_maps_that_come_channels_last_are_read_as_they_lie():
    """Backbones such as MambaOut give [B,H,W,C]: the head must see [B,C,H,W] of the same numbers."""
    network = SMANet(REGIONS, **TINY | {"backbone": "test_mambaout", "stage": 1}).eval()
    x = ((images(2).float() / 255 - network.mean) / network.std).contiguous()
    (maps,) = network.backbone(x)
    expected = network.attention(maps.permute(0, 3, 1, 2).contiguous())
    found = network(images(2)).head
    assert_close(found.pooled, expected.pooled)
    assert_close(found.attention, expected.attention)


def test_output_stride_keeps_maps_fine():
    network = SMANet(REGIONS, **TINY | {"backbone": "resnet10t", "stage": -1, "output_stride": 8}).eval()
    assert network(images(1, 64)).head.attention.shape[-2:] == (8, 8)


@pytest.mark.parametrize("merge", ["max", "mean", "none"])
def test_logits_are_linear_in_the_standardised_features_of_their_region_alone(merge):
    network = SMANet(REGIONS, **TINY | {"merge": merge})
    network(images(4))
    output = network.eval()(images(2))
    weight, bias, known = network.units.weight, network.units.bias, network.units.standardise
    assert known.running_var.min() < 0.95
    for region in range(3):
        pooled = (output.head.pooled[:, region] - known.running_mean) / (known.running_var + known.eps).sqrt()
        assert pooled.shape[1:] == weight[region].shape
        assert_close(output.logits[:, region], (pooled * weight[region]).flatten(1).sum(1) + bias[region])


@pytest.mark.parametrize("merge", ["max", "none"])
def test_units_do_not_depend_on_how_far_pooled_features_vary(merge):
    """Means over many positions hardly differ between faces."""
    units = make_units(5, 3, NetworkConfig(merge=merge, channels=2))
    pooled = torch.randn(6, *units.weight.shape)
    assert_close(units(7 + 0.1 * pooled), units(pooled), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    "switch, check",
    [
        ({"channels": 5}, lambda n: n.attention.weight.shape[1] == 5),
        ({"shared_features": True}, lambda n: n.attention.embed[0].out_channels == 4),
        ({"shared_features": False}, lambda n: n.attention.embed[0].out_channels == 8),
        ({"correlate": False}, lambda n: not hasattr(n.attention, "relation_bias") and n.attention.gate == 0),
        ({"learn_correlation": False, "gate": 0.3}, lambda n: n.attention.gate == 0.3),
        ({"activation": "sigmoid"}, lambda n: n(images(1)).head.maps.sum((3, 4)).sub(1).abs().min() > 1e-3),
        ({"activation": "softmax"}, lambda n: n(images(1)).head.maps.sum((3, 4)).sub(1).abs().max() < 1e-5),
        ({"margin": 0.9}, lambda n: n.attention.margin == 0.9),
    ],
)
def test_switches_of_the_ablation_reach_the_head(switch, check):
    assert check(SMANet(REGIONS, **TINY | switch).eval())


def test_an_unrefined_network_pools_its_own_maps():
    network = SMANet(REGIONS, **TINY | {"correlate": False}).eval()
    output = network(images(2)).head
    assert_close(output.attention, output.maps)
    network.attention.merge = "max"
    output = network.attention(network.feature_maps(images(2)))
    assert_close(output.attention, output.maps.amax(2))


def test_bytes_and_fractions_are_the_same_picture():
    network = SMANet(REGIONS, **TINY).eval()
    x = images(2)
    assert_close(network(x).logits, network(x.float() / 255).logits)


def test_the_input_is_normalised_with_the_networks_mean_and_deviation():
    given = SMANet(REGIONS, **TINY | {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}).eval()
    seen = []
    given.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = images(1)
    given(x)
    expected = (x[0, 2] / 255 - 0.3) / 0.7
    assert_close(seen[0][0, 2], expected)


def test_the_head_computes_what_the_operator_does():
    network = SMANet(REGIONS, **TINY | {"backend": "reference"}).eval()
    values = {}
    network.backbone.register_forward_hook(lambda _, inputs, outputs: values.update(maps=outputs[-1]))
    output = network(images(2)).head
    head = network.attention
    expected = sma_attention(
        values["maps"],
        head.embed(values["maps"]),
        head.weight,
        head.bias,
        temperature=0.1,
        gate=0.5,
        merge="none",
        backend="reference",
    )
    assert_close(output.pooled, expected.pooled)


def test_names_are_kept_and_learned_correlation_does_not_decay():
    network = SMANet(REGIONS, **TINY)
    assert network.regions == REGIONS
    names = network.no_weight_decay()
    assert names == {"attention.log_temperature", "attention.gate_logit", "attention.relation_bias"}
    assert names <= {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    "regions, settings, words",
    [
        ((), {}, "regions"),
        (("AU1", "AU1"), {}, "regions"),
        (REGIONS, {"backbone": "resnet19"}, "resnet19"),
        (REGIONS, {"stage": 9}, "stage 9"),
        (REGIONS, {"backbone": "test_vit", "output_stride": 8}, "output_stride"),
        (REGIONS, {"merge": "sum"}, "merge"),
    ],
)
def test_what_cannot_be_built_is_named(regions, settings, words):
    with pytest.raises(ValueError, match=words):
        SMANet(regions, **TINY | settings)
