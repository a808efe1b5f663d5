"""SMA-Net: any backbone, every switch of the ablation, one linear unit per region."""

import pytest
import torch
from lightning.fabric.utilities.throughput import measure_flops
from torch.nn.utils import skip_init
from torch.testing import assert_close

from sma_kernels import SMAAttention, sma_attention
from sma_models.models.sma_net import NetworkConfig, RegionClassifier, SMANet, make_classifier
from tests.helpers.face_sets import TINY, images

REGIONS = ("AU1", "AU2", "AU12")


@pytest.mark.parametrize(
    "backbone, stage, positions",
    [("test_resnet", 2, (4, 4)), ("test_resnet", -1, (1, 1)), ("test_mambaout", 1, (4, 4)), ("test_vit", -1, (2, 2))],
)
def test_backbones_give_one_logit_per_region_and_one_map_per_channel(backbone, stage, positions):
    network = SMANet(REGIONS, **TINY | {"backbone": backbone, "stage": stage}).eval()
    output = network(images(2))
    assert output.logits.shape == (2, 3)
    assert output.attention.attention.shape == (2, 3, 2, *positions), "every channel keeps its own map"
    output.logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.classifier.weight.grad.abs().sum() > 0


def test_maps_that_come_channels_last_are_read_as_they_lie():
    """Backbones such as MambaOut return [B,H,W,C]: the head must receive the same numbers as [B,C,H,W]."""
    network = SMANet(REGIONS, **TINY | {"backbone": "test_mambaout", "stage": 1}).eval()
    x = ((images(2).float() / 255 - network.mean) / network.std).contiguous()
    (maps,) = network.backbone(x)
    expected = network.attention(maps.permute(0, 3, 1, 2).contiguous())
    attention = network(images(2)).attention
    assert_close(attention.pooled, expected.pooled)
    assert_close(attention.attention, expected.attention)


def test_output_stride_keeps_maps_fine():
    network = SMANet(REGIONS, **TINY | {"backbone": "resnet10t", "stage": -1, "output_stride": 8}).eval()
    assert network(images(1, 64)).attention.attention.shape[-2:] == (8, 8)


@pytest.mark.parametrize("merge", ["max", "mean", "none"])
def test_logits_are_linear_in_the_standardised_features_of_their_region_alone(merge):
    network = SMANet(REGIONS, **TINY | {"merge": merge})
    network(images(4))
    output = network.eval()(images(2))
    weight, bias, known = network.classifier.weight, network.classifier.bias, network.classifier.norm
    assert known.running_var.min() < 0.95
    for region in range(3):
        pooled = (output.attention.pooled[:, region] - known.running_mean) / (known.running_var + known.eps).sqrt()
        assert pooled.shape[1:] == weight[region].shape
        assert_close(output.logits[:, region], (pooled * weight[region]).flatten(1).sum(1) + bias[region])


@pytest.mark.parametrize("merge", ["max", "none"])
def test_units_do_not_depend_on_how_far_pooled_features_vary(merge):
    """Means over many positions hardly differ between faces."""
    units = make_classifier(5, 3, NetworkConfig(merge=merge, channels=2))
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
        ({"activation": "sigmoid"}, lambda n: n(images(1)).attention.maps.sum((3, 4)).sub(1).abs().min() > 1e-3),
        ({"activation": "softmax"}, lambda n: n(images(1)).attention.maps.sum((3, 4)).sub(1).abs().max() < 1e-5),
        ({"margin": 0.9}, lambda n: n.attention.margin == 0.9),
    ],
)
def test_switches_of_the_ablation_reach_the_head(switch, check):
    assert check(SMANet(REGIONS, **TINY | switch).eval())


def test_an_unrefined_network_pools_its_own_maps():
    network = SMANet(REGIONS, **TINY | {"correlate": False}).eval()
    output = network(images(2)).attention
    assert_close(output.attention, output.maps)
    network.attention.merge = "max"
    output = network.attention(network.feature_maps(images(2)))
    assert_close(output.attention, output.maps.amax(2))


def test_bytes_and_fractions_are_the_same_image():
    network = SMANet(REGIONS, **TINY).eval()
    x = images(2)
    assert_close(network(x).logits, network(x.float() / 255).logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("merge", ["max", "none"])
def test_any_images_in_any_dtype_of_the_network(merge, dtype):
    """As with the precisions `bf16-true`, `16-true` and `64-true` of Lightning, including training."""
    network = SMANet(REGIONS, **TINY | {"merge": merge}).to(dtype)
    network(images(4)).logits.float().square().sum().backward()
    assert all(parameter.grad.dtype == dtype for parameter in network.parameters())
    reference = SMANet(REGIONS, **TINY | {"merge": merge})
    reference.load_state_dict(network.state_dict())
    expected = reference.eval()(images(2)).logits
    for x in (images(2), *((images(2).double() / 255).to(other) for other in (torch.float32, torch.float64, dtype))):
        output = network.eval()(x)
        assert output.logits.dtype == output.attention.pooled.dtype == dtype
        assert_close(output.logits.float(), expected, atol=0.05 if dtype.itemsize == 2 else 1e-4, rtol=0)
        refined, correlation = network.attention.refine(output.attention.maps)
        assert refined.dtype == correlation.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_images_in_double_are_read_by_a_network_in_float32():
    network = SMANet(REGIONS, **TINY).eval()
    assert_close(network(images(2).double() / 255).logits, network(images(2)).logits)


def test_mean_and_deviation_keep_the_digits_of_the_dtype():
    network = SMANet(REGIONS, **TINY | {"mean": (0.1, 0.2, 0.3)}).bfloat16().double()
    assert network.mean.flatten().tolist() == [0.1, 0.2, 0.3]


def test_meta_images_give_meta_logits_and_gradients():
    """Lightning counts operations this way. Both for a network created on the meta device and for one moved there."""
    with torch.device("meta"):
        made = SMANet(REGIONS, **TINY)
    x = images(2).to("meta")
    for network in (made, SMANet(REGIONS, **TINY).to("meta"), SMANet(REGIONS, **TINY, device="meta")):
        output = network(x)
        assert output.logits.is_meta and output.logits.shape == (2, 3)
        output.logits.sum().backward()
        assert all(parameter.grad.is_meta for parameter in network.parameters() if parameter.grad is not None)
        assert network.classifier.weight.grad is not None
    assert measure_flops(made, lambda: made(x), lambda output: output.logits.sum()) > 0


MODULES = {
    "SMAAttention": (SMAAttention, (5, 2), {"channels": 3, "embed_dim": 4}),
    "fixed SMAAttention": (SMAAttention, (5, 2), {"learn_correlation": False}),
    "RegionClassifier": (RegionClassifier, (3, (2,), 5), {}),
    "SMANet": (SMANet, (REGIONS,), TINY),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_take_device_and_dtype(name):
    make, positional, settings = MODULES[name]
    network = make(*positional, **settings, device="meta", dtype=torch.bfloat16)
    state = network.state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.bfloat16}


@pytest.mark.parametrize("name", MODULES)
def test_initialisation_is_skipped_and_made_up_for(name):
    """skip_init leaves the parameters uninitialized; `reset_parameters` of each module, as called by FSDP, initializes them."""
    make, positional, settings = MODULES[name]
    torch.manual_seed(0)
    usual = make(*positional, **settings)
    skipped = skip_init(make, *positional, **settings)
    skipped.load_state_dict(usual.state_dict())
    for (key, ours), (_, theirs) in zip(buffers_and_parameters(skipped), buffers_and_parameters(usual), strict=True):
        assert torch.equal(ours, theirs), key
    bare = make(*positional, **settings, device="meta").to_empty(device="cpu")
    for tensor in bare.state_dict().values():
        tensor.fill_(7)
    torch.manual_seed(0)
    for module in bare.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert not any((tensor == 7).all() for tensor in bare.state_dict().values())


def buffers_and_parameters(module):
    return [*module.named_parameters(), *module.named_buffers()]


def test_the_input_is_normalised_with_the_networks_mean_and_deviation():
    normalized = SMANet(REGIONS, **TINY | {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}).eval()
    seen = []
    normalized.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = images(1)
    normalized(x)
    expected = (x[0, 2] / 255 - 0.3) / 0.7
    assert_close(seen[0][0, 2], expected)


def test_the_head_computes_what_the_operator_does():
    network = SMANet(REGIONS, **TINY | {"backend": "reference"}).eval()
    values = {}
    network.backbone.register_forward_hook(lambda _, inputs, outputs: values.update(maps=outputs[-1]))
    output = network(images(2)).attention
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
