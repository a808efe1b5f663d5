"""No copy of the values or features in either layout, gradients in the layout of their inputs, nothing saved if no gradient
is required."""

import pytest
import torch

from sma_kernels import SMAAttention
from sma_models.models.sma_net import SMANet
from tests.helpers import cases
from tests.helpers.allocations import allocations
from tests.helpers.cases import Case

# So large that only the values, or the features, have that size.
LARGE = Case(batch=12, values=1000, embed=100, regions=2, channels=2, height=10, width=10)
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture
def one_thread():
    """Each thread allocates its own scratch memory."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def leaves(layout, dtype=torch.float32):
    tensors = cases.inputs(cases.replace(LARGE, layout=layout), dtype)
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


@pytest.mark.mode("channels_last without copies")
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_operator_copies_neither_values_nor_features(layout, dtype, one_thread):
    """The forward allocates nothing of their size; the backward only their gradients, in the same layout."""
    tensors = leaves(layout, dtype)
    sizes = {name: tensors[name].nbytes for name in ("values", "features")}
    out, taken = allocations(lambda: cases.call(LARGE, tensors, "cpu"))
    assert max(taken) < min(sizes.values())
    loss = sum(part.float().sum() for part in out)
    _, taken = allocations(loss.backward)
    assert sorted(size for size in taken if size >= min(sizes.values())) == sorted(sizes.values())
    for name in sizes:
        assert tensors[name].grad.is_contiguous(memory_format=layout)


@pytest.mark.mode("channels_last without copies")
@pytest.mark.parametrize(
    ("backbone", "stage"), [("test_resnet", 2), ("test_mambaout", 1)], ids=("NCHW backbone", "NHWC backbone")
)
def test_network_is_channels_last_from_end_to_end(backbone, stage):
    """The values of the head share memory with the output of the backbone. The features leave the embedding in
    channels_last, and the gradient reaches the backbone in channels_last."""
    network = SMANet(("AU1", "AU2"), backbone=backbone, stage=stage, image_size=32, channels=2, embed_dim=4)
    seen = {}
    network.backbone.register_forward_hook(lambda _, inputs, outputs: seen.update(backbone=outputs[-1]))
    network.attention.embed.register_forward_hook(lambda _, inputs, output: seen.update(x=inputs[0], features=output))

    def keep_gradient(module, inputs):
        inputs[0].register_hook(lambda grad: seen.update(grad=grad))

    network.attention.register_forward_pre_hook(keep_gradient)
    network(torch.rand(2, 3, 32, 32)).logits.sum().backward()
    assert seen["x"].data_ptr() == seen["backbone"].data_ptr()
    for name in ("x", "features", "grad"):
        assert seen[name].is_contiguous(memory_format=torch.channels_last), name
    assert not seen["x"].is_contiguous()


@pytest.mark.mode("no_grad and inference_mode keep nothing")
@pytest.mark.parametrize("context", (torch.no_grad, torch.inference_mode))
def test_nothing_is_kept_for_a_backward_that_cannot_come(context):
    """After the call, only its outputs remain allocated."""
    head = SMAAttention(64, regions=3, channels=2, embed_dim=8, backend="cpu").eval()
    x = torch.randn(4, 64, 6, 7)
    with context():
        head(x)
        out, taken = allocations(lambda: head(x))
    assert all(part.grad_fn is None for part in out)
    assert sum(taken) == sum(part.nbytes for part in out)


@pytest.mark.mode("no_grad and inference_mode keep nothing")
def test_measure_sees_what_a_backward_keeps():
    head = SMAAttention(64, regions=3, channels=2, embed_dim=8, backend="cpu").eval()
    x = torch.randn(4, 64, 6, 7)
    head(x)
    out, taken = allocations(lambda: head(x))
    assert sum(taken) > sum(part.nbytes for part in out)
