"""Initial weights: checkpoint formats, errors, and weights of another SMA-Net, matched by region names."""

import socket

import pytest
import safetensors.torch
import timm
import torch
from torch.testing import assert_close

from sma_models.models.checkpoint import ENTRY, load_checkpoint
from sma_models.models.pretrained import build_network, match_weights
from sma_models.models.sma_net import NetworkConfig, SMANet
from tests.helpers.face_sets import TINY, TINY_CONFIG

REGIONS = ("AU1", "AU2", "AU12")


def whole_model(name="test_resnet", **options):
    model = timm.create_model(name, **options)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    return model


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def build(path, config=TINY_CONFIG, **options):
    return build_network(REGIONS, config, pretrained=str(path), **options)


def assert_backbone_is(network, model):
    x = torch.randn(1, 3, 32, 32)
    features = timm.create_model(network.config.backbone, features_only=True, out_indices=(network.config.stage,))
    assert set(network.backbone.state_dict()) == set(features.state_dict())
    for name, tensor in network.backbone.state_dict().items():
        assert_close(tensor, model.state_dict()[name])
    model.eval(), network.eval()
    assert torch.isfinite(network.backbone(x)[-1]).all()


FORMATS = {
    "plain": lambda state: state,
    "wrapped for parallel training": lambda state: prefixed(state, "module."),
    "inside a trainer's checkpoint": lambda state: {"state_dict": prefixed(state, "model.backbone."), "epoch": 3},
    "under the name model": lambda state: {"model": prefixed(state, "_orig_mod."), "optimizer": {}},
    "beside other parts": lambda state: prefixed(state, "encoder.") | {"decoder.conv1.weight": torch.zeros(1)},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_checkpoint_is_read_in_every_format(tmp_path, name):
    model = whole_model()
    torch.save(FORMATS[name](model.state_dict()), tmp_path / "w.pt")
    assert_backbone_is(build(tmp_path / "w.pt"), model)


def test_safetensors_are_read(tmp_path):
    model = whole_model()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "w.safetensors")
    assert_backbone_is(build(tmp_path / "w.safetensors"), model)


@pytest.mark.parametrize("name, stage", [("test_convnext", 1), ("test_vit", -1), ("test_efficientnet", 3)])
def test_names_that_timm_changes_for_feature_maps_are_found(tmp_path, name, stage):
    """timm's extractors flatten "stages.0" to "stages_0", or wrap the whole model."""
    model = timm.create_model(name, img_size=32) if "vit" in name else timm.create_model(name)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    network = build(tmp_path / "w.pt", NetworkConfig(**TINY | {"backbone": name, "stage": stage}))
    match = match_weights(network.backbone, model.state_dict(), {})
    assert not match.missing
    assert not match.mismatched
    source = {name.replace(".", "_"): tensor for name, tensor in model.state_dict().items()}
    for name, tensor in network.backbone.state_dict().items():
        assert_close(tensor, source[name.removeprefix("model.").replace(".", "_")])


def test_foreign_names_are_translated_by_a_key_map(tmp_path):
    model = whole_model()
    foreign = {name.replace("layer", "body.stage"): tensor for name, tensor in model.state_dict().items()}
    torch.save(foreign, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt' fit \d+% of test_resnet; expected at least 90%.*key_map"):
        build(tmp_path / "w.pt")
    assert_backbone_is(build(tmp_path / "w.pt", key_map={r"^body\.stage(\d)": r"layer\1"}), model)


@pytest.mark.parametrize(
    "key_map, words",
    [
        ({r"^bodi\.": ""}, r"'\^bodi\\\\.' matches none of the file's keys, such as conv1"),
        ({r"layer(\d)": "layer"}, r"gives two of the file's keys the name 'layer.0.conv1.weight'"),
        ({r"layer(": "x"}, r"'layer\(' to 'x' is not a valid regular expression"),
        ({r"layer": r"\1"}, r"is not a valid regular expression"),
    ],
)
def test_a_key_map_that_does_something_else_is_refused(tmp_path, key_map, words):
    torch.save(whole_model().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=words):
        build(tmp_path / "w.pt", key_map=key_map)


def test_what_matched_is_printed_and_little_is_refused_unless_allowed(tmp_path, caplog):
    state = whole_model().state_dict()
    state["conv1.0.weight"] = torch.zeros(2, 2)
    partial_state = {name: tensor for name, tensor in state.items() if not name.startswith("layer2")}
    torch.save(partial_state, tmp_path / "w.pt")
    with caplog.at_level("INFO", "lightning.pytorch"):
        with pytest.raises(ValueError, match="allow_partial"):
            build(tmp_path / "w.pt")
        report = caplog.text
        network = build(tmp_path / "w.pt", allow_partial=True)
    assert "matched" in report
    assert "1 mismatched: conv1.0.weight (2, 2) for" in report
    assert "missing: layer2.0.conv1.weight" in report
    assert "unexpected: " in report and "fc.weight" in report
    assert_close(network.backbone.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_a_file_without_batch_counters_is_complete(tmp_path):
    state = {k: v for k, v in whole_model().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "w.pt")
    match = match_weights(build(tmp_path / "w.pt").backbone, state, {})
    assert match.share == 1.0


@pytest.mark.parametrize("content", [{"epoch": 3}, {"state_dict": {}}])
def test_a_file_without_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="no named tensors"):
        build(tmp_path / "w.pt")


def test_a_file_that_runs_code_when_loaded_is_refused(tmp_path):
    torch.save(whole_model(), tmp_path / "w.pt")
    with pytest.raises(Exception, match="other than tensors"):
        build(tmp_path / "w.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"true, false or a file.*w.pt"):
        build(tmp_path / "w.pt")


def test_offline_the_error_names_the_file_to_give(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # Without this, the client of the hub retries for a minute.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"test_resnet.*model.safetensors of .*test_resnet.*pretrained"):
        build_network(REGIONS, TINY_CONFIG, pretrained=True)


def test_size_mean_and_deviation_follow_the_weights(tmp_path):
    torch.save(timm.create_model("test_vit", img_size=160).state_dict(), tmp_path / "w.pt")
    open_config = NetworkConfig(backbone="test_vit", channels=2, embed_dim=4)
    config = build(tmp_path / "w.pt", open_config).config
    trained = timm.models.get_pretrained_cfg("test_vit")
    assert config.image_size == trained.input_size[-1] != 224
    assert config.mean == trained.mean
    assert config.std == trained.std
    own = NetworkConfig(**TINY | {"mean": (0.1, 0.2, 0.3)})
    torch.save(whole_model().state_dict(), tmp_path / "r.pt")
    assert build(tmp_path / "r.pt", own).config.mean == (0.1, 0.2, 0.3)
    assert build(tmp_path / "r.pt", own).config.image_size == 32
    assert build_network(REGIONS, NetworkConfig(backbone="test_resnet")).config.image_size == 224


def save_network(path, network, kind="expression"):
    entry = {"kind": kind, "regions": list(network.regions), "network": vars(network.config)}
    torch.save({ENTRY: entry, "state_dict": prefixed(network.state_dict(), "network.")}, path)


def randomized(regions, **settings):
    network = SMANet(regions, **TINY | settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    return network


def test_another_network_gives_its_regions_by_name(tmp_path, caplog):
    source = randomized(("AU2", "AU4", "AU1"), mean=(0.1, 0.2, 0.3))
    save_network(tmp_path / "c.ckpt", source)
    with caplog.at_level("INFO", "lightning.pytorch"):
        network = build_network(REGIONS, TINY_CONFIG, init_from=tmp_path / "c.ckpt")
    assert "loaded: AU1, AU2" in caplog.text
    assert "new: AU12" in caplog.text
    assert "left out: AU4" in caplog.text
    assert network.regions == REGIONS
    assert_close(network.config.mean, (0.1, 0.2, 0.3))
    assert_close(network.backbone.state_dict(), source.backbone.state_dict())
    for ours, theirs in ((0, 2), (1, 0)):
        for part in ("classifier.weight", "classifier.bias", "attention.weight", "attention.bias"):
            assert_close(network.state_dict()[part][ours], source.state_dict()[part][theirs])
    blocks = network.attention.relation_bias.unflatten(0, (3, 2)).unflatten(2, (3, 2))
    theirs = source.attention.relation_bias.unflatten(0, (3, 2)).unflatten(2, (3, 2))
    assert_close(blocks[0, :, 1], theirs[2, :, 0])
    assert_close(blocks[1, :, 0], theirs[0, :, 2])
    assert not blocks[2].any() and not blocks[:, :, 2].any()


def test_the_same_regions_give_the_same_network(tmp_path):
    source = randomized(REGIONS, merge="none")
    save_network(tmp_path / "c.ckpt", source)
    network = build_network(REGIONS, NetworkConfig(**TINY | {"merge": "none"}), init_from=tmp_path / "c.ckpt")
    assert_close(network.state_dict(), source.state_dict())


def test_another_architecture_is_refused(tmp_path):
    save_network(tmp_path / "c.ckpt", randomized(REGIONS, channels=3))
    with pytest.raises(ValueError, match=r"another architecture: .*attention.weight"):
        build_network(REGIONS, TINY_CONFIG, init_from=tmp_path / "c.ckpt")
    with pytest.raises(ValueError, match="init_from"):
        build_network(REGIONS, TINY_CONFIG, init_from=tmp_path / "c.ckpt", pretrained=True)


def test_a_network_is_a_source_of_pretrained_weights_too(tmp_path):
    source = randomized(("happiness", "fear"), mean=(0.1, 0.2, 0.3))
    save_network(tmp_path / "c.ckpt", source)
    network = build(tmp_path / "c.ckpt", NetworkConfig(**TINY | {"channels": 3}))
    assert_close(network.backbone.state_dict(), source.backbone.state_dict())
    assert_close(network.config.mean, (0.1, 0.2, 0.3))


def test_a_stored_network_comes_back_whole(tmp_path):
    source = randomized(REGIONS).eval()
    save_network(tmp_path / "c.ckpt", source)
    info, network = load_checkpoint(tmp_path / "c.ckpt")
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(x).logits, source(x).logits)
    assert network.config == source.config
    assert info.calibration.decide(torch.tensor([[1.0, -1.0, 0.5]])).tolist() == [[True, False, True]]


def test_what_is_no_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "c.ckpt")
    with pytest.raises(ValueError, match="not an SMA-Net checkpoint"):
        load_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(FileNotFoundError, match=r"gone\.ckpt"):
        load_checkpoint(tmp_path / "gone.ckpt")
