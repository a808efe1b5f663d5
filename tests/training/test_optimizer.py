"""Which parameters are trained, at which learning rate, and from which epoch."""

import pytest
import torch

from sma_models.models.sma_net import SMANet
from sma_models.training.optimizer import OptimizerConfig, freeze, make_optimizer, make_schedule
from tests.helpers.face_sets import TINY


@pytest.fixture
def network():
    return SMANet(("AU1", "AU2"), **TINY)


def settings_of(network, optimizer):
    """{parameter name: (lr, weight decay)}"""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_every_parameter_moves_once_with_its_own_speed_and_decay(network):
    config = OptimizerConfig(lr=0.1, weight_decay=0.01, backbone_lr_scale=0.2)
    groups = settings_of(network, make_optimizer(network, config))
    assert set(groups) == {name for name, _ in network.named_parameters()}
    assert groups["attention.weight"] == (0.1, 0.01)
    assert groups["classifier.weight"] == (0.1, 0.01)
    assert groups["classifier.bias"] == (0.1, 0.0)
    for name in ("log_temperature", "gate_logit", "relation_bias"):
        assert groups[f"attention.{name}"] == (0.1, 0.0)
    assert groups["backbone.layer1.0.conv1.weight"] == (pytest.approx(0.02), 0.01)
    assert groups["backbone.bn1.weight"] == (pytest.approx(0.02), 0.0)


def test_the_schedule_rises_then_falls_to_nothing(network):
    config = OptimizerConfig(lr=1.0, warmup_epochs=1)
    optimizer = make_optimizer(network, config)
    schedule = make_schedule(optimizer, config, steps=50, steps_per_epoch=10)
    rates = []
    for _ in range(51):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0 == max(rates)
    assert rates[30] == pytest.approx(0.5)
    assert rates[50] == 0
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)


def test_a_frozen_backbone_waits_its_epochs(network):
    config = OptimizerConfig(freeze_backbone_epochs=2)
    for epoch, frozen in ((0, True), (1, True), (2, False)):
        network.train()
        freeze(network, config, epoch)
        assert all(p.requires_grad != frozen for p in network.backbone.parameters())
        assert network.backbone.bn1.training != frozen
        assert all(p.requires_grad for p in network.attention.parameters())
        assert network.attention.embed[1].training


def test_frozen_batch_norms_keep_their_statistics_while_the_rest_moves(network):
    network.train()
    freeze(network, OptimizerConfig(freeze_bn=True), 0)
    before = network.backbone.bn1.running_mean.clone()
    head = network.attention.embed[1].running_mean.clone()
    network(torch.rand(4, 3, 32, 32)).logits.sum().backward()
    assert torch.equal(network.backbone.bn1.running_mean, before)
    assert not torch.equal(network.attention.embed[1].running_mean, head)
    assert network.backbone.bn1.weight.grad is None
    # The stem, because resnets initialize the last norm of each block to zero, so that no gradient reaches its inside.
    assert network.backbone.conv1[0].weight.grad.abs().sum() > 0
