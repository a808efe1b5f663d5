"""DDP and FSDP2 on two gloo processes, and DataParallel."""

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from sma_models.losses.classification import weighted_asymmetric
from sma_models.training.optimizer import OptimizerConfig, freeze
from tests.helpers.ranks import run_ranks
from tests.helpers.small_network import REGIONS, faces_and_labels, small_network

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 3
WEIGHTS = torch.tensor([0.5, 1.0, 1.5])


def network_of(freeze_bn):
    network = small_network(backend="cpu")
    if freeze_bn:
        network.train()
        freeze(network, OptimizerConfig(freeze_bn=True), epoch=0)
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eval()
    return network


def batch_of(step):
    """Eight faces, with missing labels distributed unevenly over the halves of the batch."""
    images, labels = faces_and_labels(8, seed=step)
    known = torch.ones(8, len(REGIONS), dtype=torch.bool)
    known[0], known[1, :2], known[6, 0] = False, False, False
    return images, labels, known


def task_loss(network, images, labels, known):
    output = network(images)
    loss = weighted_asymmetric(output.logits, labels, known, WEIGHTS)
    return loss + 0.1 * output.attention.diversity.mean()


def train(network, shard):
    """Losses, gradients of the last step and weights after STEPS steps; `shard` selects this process's part of a tensor."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses, states = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = task_loss(network, *(shard(part) for part in batch_of(step)))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        states.append(torch.cat([full(parameter).detach().flatten() for parameter in network.parameters()]).clone())
    gradients = {
        name.removeprefix("module."): full(parameter.grad).clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    return torch.stack(losses), gradients, states


def full(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def train_ddp(rank, world, freeze_bn, **settings):
    network = DistributedDataParallel(network_of(freeze_bn), **settings)
    return train(network, lambda part: part.chunk(world)[rank])


def train_fsdp(rank, world):
    network = network_of(freeze_bn=True)
    mesh = init_device_mesh("cpu", (world,))
    for part in (network.attention, network.classifier, network):
        fully_shard(part, mesh=mesh)
    return train(network, lambda part: part.chunk(world)[rank])


JOBS = {
    "DDP": lambda *rank: train_ddp(*rank, freeze_bn=True),
    "DDP, static graph": lambda *rank: train_ddp(*rank, freeze_bn=True, static_graph=True),
    "DDP, find unused": lambda *rank: train_ddp(*rank, freeze_bn=True, find_unused_parameters=True),
    "DDP, own statistics": lambda *rank: train_ddp(*rank, freeze_bn=False),
    "FSDP2": train_fsdp,
}


def all_jobs(rank, world):
    return {name: job(rank, world) for name, job in JOBS.items()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of two processes, which run all jobs because they take seconds to start."""
    return run_ranks(all_jobs, tmp_path_factory.mktemp("ranks"))


def equals_one_process(ranks):
    """Mean loss, averaged gradients and weights equal those of one process on the joint batch, within 1e-5."""
    losses, gradients, states = train(network_of(freeze_bn=True), lambda part: part)
    assert_close(sum(part[0] for part in ranks) / len(ranks), losses, rtol=1e-5, atol=1e-7)
    for rank_results in ranks:
        assert rank_results[1].keys() == gradients.keys()
        for name, expected in gradients.items():
            error = (rank_results[1][name] - expected).norm()
            assert error <= 1e-5 * max(expected.norm(), 1e-3), f"{name}: off by {error:.3g} of {expected.norm():.3g}"
        assert_close(rank_results[2], states, rtol=1e-5, atol=1e-6)


@pytest.mark.mode("DDP, two processes")
@pytest.mark.parametrize("job", ("DDP", "DDP, static graph", "DDP, find unused"))
def test_ddp_with_frozen_statistics_is_one_process(job, ranks):
    equals_one_process([rank[job] for rank in ranks])


@pytest.mark.mode("DDP, two processes")
def test_ddp_in_training_mode_keeps_ranks_equal(ranks):
    """Each process has its own batch statistics; parameters are bit-identical after every step."""
    first, second = (rank["DDP, own statistics"] for rank in ranks)
    assert not torch.equal(first[0], second[0])
    for ours, theirs in zip(first[2], second[2], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.mode("FSDP2, two processes")
def test_fsdp_is_one_process(ranks):
    equals_one_process([rank["FSDP2"] for rank in ranks])


@pytest.mark.mode("DataParallel")
def test_data_parallel_without_cards_is_the_module():
    network = small_network().eval()
    x = torch.rand(4, 3, 32, 32)
    assert_close(nn.DataParallel(network)(x).logits, network(x).logits)


@pytest.mark.mode("DataParallel")
@pytest.mark.gpu
def test_data_parallel_on_gpus_is_the_module():
    network = small_network().cuda().eval()
    x = torch.rand(4, 3, 32, 32, device="cuda")
    assert_close(nn.DataParallel(network)(x).logits, network(x).logits, rtol=1e-4, atol=1e-5)
