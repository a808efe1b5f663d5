"""Tests that need a GPU: CUDA graphs, several devices, streams, and batch norm over processes."""

import pytest
import torch
from torch.nn import SyncBatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from tests.helpers import cases
from tests.helpers.cases import Case
from tests.helpers.ranks import run_ranks
from tests.helpers.small_network import faces_and_labels, loss_of, small_network

pytestmark = pytest.mark.gpu
several_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


def on_gpu(case, device="cuda"):
    return cases.inputs(case, torch.float32, device=device)


@pytest.mark.mode("CUDA graphs")
def test_captured_forward_and_backward_replay_on_new_numbers(gpu_backend):
    case = Case()
    leaves = {name: tensor.requires_grad_() for name, tensor in on_gpu(case).items()}

    def step():
        loss = sum(part.square().sum() for part in cases.call(case, leaves, gpu_backend))
        return torch.autograd.grad(loss, tuple(leaves.values()))

    warm = torch.cuda.Stream()
    warm.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm):
        step()
    torch.cuda.current_stream().wait_stream(warm)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        actual = step()
    with torch.no_grad():
        for name, tensor in cases.inputs(case, torch.float32, seed=1, device="cuda").items():
            leaves[name].copy_(tensor)
    graph.replay()
    assert_close(actual, step(), rtol=0, atol=0)


@several_gpus
@pytest.mark.mode("several GPUs, device guard")
def test_tensors_of_another_gpu_than_the_current_one(gpu_backend):
    case = Case()
    expected = cases.run(case, on_gpu(case, "cuda:0"), gpu_backend)
    with torch.cuda.device(0):
        actual = cases.run(case, on_gpu(case, "cuda:1"), gpu_backend)
    for name, tensor in actual.items():
        assert tensor.device == torch.device("cuda:1"), name
        assert torch.equal(tensor.cpu(), expected[name].cpu()), name


@pytest.mark.mode("side streams")
def test_work_is_queued_on_the_current_stream(gpu_backend):
    """The inputs are still being computed on a stream: kernels on another stream would read the previous contents."""
    case = Case(batch=64, values=512, height=14, width=14)
    tensors = on_gpu(case)
    expected = cases.run(case, tensors, gpu_backend)
    late = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)
        for name, tensor in tensors.items():
            late[name].copy_(tensor)
        actual = cases.run(case, late, gpu_backend)
    stream.synchronize()
    for name, tensor in actual.items():
        assert torch.equal(tensor, expected[name]), name


def train_with_joint_statistics(rank, world, backend):
    """Gradients with batch norm over both processes, each on its half of the batch, on GPU `rank`."""
    torch.cuda.set_device(rank)
    network = SyncBatchNorm.convert_sync_batchnorm(small_network(backend=backend)).cuda()
    network = DistributedDataParallel(network, device_ids=[rank])
    loss_of(network, *(part.chunk(world)[rank] for part in faces_and_labels(8, device="cuda"))).backward()
    return {name.removeprefix("module."): p.grad.cpu() for name, p in network.named_parameters() if p.grad is not None}


@several_gpus
@pytest.mark.mode("sync_batchnorm, two processes")
def test_joint_statistics_are_those_of_one_process(gpu_backend, tmp_path):
    network = small_network(backend=gpu_backend).cuda()
    loss_of(network, *faces_and_labels(8, device="cuda")).backward()
    for rank_results in run_ranks(train_with_joint_statistics, tmp_path, gpu_backend, dist_backend="nccl"):
        for name, gradient in rank_results.items():
            expected = dict(network.named_parameters())[name].grad.cpu()
            assert_close(gradient, expected, rtol=1e-3, atol=1e-5)
