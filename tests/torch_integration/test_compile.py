"""torch.compile: one graph without breaks, one operator per pass, no needless recompilation, and the results of eager."""

from copy import deepcopy

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import sma_kernels
from sma_kernels import SMAAttention, backends
from sma_kernels.backends import build_info
from tests.helpers.cases import FUNCTIONS
from tests.helpers.small_network import faces_and_labels, loss_of, small_network

pytestmark = [pytest.mark.mode("torch.compile"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Graphs:
    """A compiler backend that records the graphs, with autograd traced into them, and runs them unchanged."""

    def __init__(self):
        self.forward, self.backward = [], []

    def keep(self, graphs):
        def compile_graph(graph, _):
            graphs.append(graph)
            return make_boxed_func(graph.forward)

        return compile_graph

    @property
    def backend(self):
        return aot_autograd(fw_compiler=self.keep(self.forward), bw_compiler=self.keep(self.backward))


def operators(graph):
    """Names of the operators of this package in a graph."""
    return [str(node.target) for node in graph.graph.nodes if str(node.target).startswith("sma_kernels")]


@pytest.fixture
def exact_convolutions():
    """By default, cuDNN uses TF32 and any algorithm, which varies between runs by more than the tolerances here."""
    precision = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic = "ieee", True
    yield
    torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic = precision, False


@pytest.mark.usefixtures("exact_convolutions")
@pytest.mark.parametrize("dynamic, batches, most", [(False, (4, 4), 1), (True, (4, 6, 7), 1), (None, (4, 6, 7), 2)])
def test_training_follows_eager_through_one_operator_in_each_direction(dynamic, batches, most, fused, device):
    """One graph for all batch sizes with dynamic=True; by default at most a second one, when a size changes."""
    eager = small_network(backend=fused).to(device)
    compiled = deepcopy(eager)
    graphs = Graphs()
    step = torch.compile(lambda x, y: loss_of(compiled, x, y), fullgraph=True, dynamic=dynamic, backend=graphs.backend)
    expected = train(eager, lambda x, y: loss_of(eager, x, y), batches, device)
    # On a GPU, the graph computes batch norms by kernels other than cuDNN's: a few steps magnify their rounding.
    tolerances = {"rtol": 1e-3, "atol": 1e-5} if device.type == "cuda" else {}
    assert_close(train(compiled, step, batches, device), expected, **tolerances)
    assert_close(compiled.state_dict(), eager.state_dict(), **tolerances)
    assert [operators(graph) for graph in graphs.forward] == [["sma_kernels.sma_attention.default"]] * most
    assert [operators(graph) for graph in graphs.backward] == [["sma_kernels.sma_attention_backward.default"]] * most


def train(network, step, batches, device):
    """The losses of one optimiser step per batch size."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = step(*faces_and_labels(batch, seed=batch, device=device))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


@pytest.mark.interpreted
def test_head_compiles_once_where_the_batch_is_marked(backend, device):
    head = SMAAttention(8, regions=3, channels=2, embed_dim=4, backend=backend).to(device).eval()
    graphs = Graphs()
    compiled = torch.compile(head, fullgraph=True, backend=graphs.backend)
    for batch in (4, 5, 8):
        x = torch.randn(batch, 8, 5, 6, device=device)
        torch._dynamo.mark_dynamic(x, 0)
        (actual,) = torch.autograd.grad(compiled(x).pooled.square().sum(), (head.weight,))
        (expected,) = torch.autograd.grad(head(x).pooled.square().sum(), (head.weight,))
        assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert len(graphs.forward) == len(graphs.backward) == 1


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
def test_fixed_settings_are_constants_of_the_graph(dtype, fused, device):
    """The floats and names of a module: as symbolic numbers, they would break or recompile the graph."""
    head = SMAAttention(8, 3, 2, 4, merge="none", correlate=False, margin=0.1, backend=fused)
    head = head.to(device, dtype).eval()
    x = torch.randn(3, 8, 5, 6, device=device).to(dtype)
    actual, expected = torch.compile(head, fullgraph=True, dynamic=True, backend="aot_eager")(x), head(x)
    assert_close(tuple(actual), tuple(expected))


def test_inductor_follows_eager_and_calls_each_operator_once(fused, device):
    from torch._inductor.utils import run_fw_bw_and_get_code

    head = SMAAttention(8, regions=3, channels=2, embed_dim=4, backend=fused).to(device).eval()
    x = torch.randn(3, 8, 5, 6, device=device, requires_grad=True)

    def total(out):
        return sum(part.square().sum() for part in out)

    expected = torch.autograd.grad(total(head(x)), (x, *head.parameters()))
    compiled = torch.compile(head, fullgraph=True, dynamic=True)
    loss, code = run_fw_bw_and_get_code(lambda: total(compiled(x)))
    assert_close(loss, total(head(x)))
    assert_close((x.grad, *(parameter.grad for parameter in head.parameters())), expected, rtol=1e-4, atol=1e-5)
    for name in ("sma_attention", "sma_attention_backward"):
        assert sum(part.count(f"torch.ops.sma_kernels.{name}.default(") for part in code) == 1


def test_choice_among_all_backends_is_traced():
    """Files and the environment determine which are installed: constants of a graph, not breaks in it."""
    head = SMAAttention(8, regions=3, channels=2, embed_dim=4)

    def explain(x):
        return sma_kernels.explain_backends(x, head.embed(x), head.weight)

    x = torch.randn(2, 8, 5, 6)
    assert torch.compile(explain, fullgraph=True, backend="eager")(x) == explain(x)


R, K, D = 3, 2, 4


def call(name, backend, values, features, maps, weight, bias, scalar):
    """Calls a public function by name, with a number or a tensor for each scalar argument."""
    arguments, settings = {
        "sma_attention": ((values, features, weight, bias), {"temperature": scalar, "gate": 0.3}),
        "multi_channel_attention": ((features, weight, bias), {}),
        "attention_diversity": ((maps,), {}),
        "correlate_attention": ((maps,), {"temperature": 0.2, "gate": scalar}),
        "attention_pool": ((values, maps), {}),
    }[name]
    return getattr(sma_kernels, name)(*arguments, backend=backend, **settings)


@pytest.fixture
def served_gpu(monkeypatch, tmp_path):
    """Simulates a GPU on which every backend is available; no kernel runs, since all tensors are fake."""
    for module in backends.FUSED.values():
        monkeypatch.setattr(module, "unavailable_reason", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    facts = tmp_path / "_build.json"
    facts.write_text('{"architectures": ["9.0"]}')
    monkeypatch.setattr(build_info, "FILE", facts)


def fake_tensors(device):
    """values, features, maps, weight, bias and a scalar."""
    with FakeTensorMode():
        return [
            torch.empty(size, device=device)
            for size in ((2, 8, 5, 6), (2, K * D, 5, 6), (2, R, K, 5, 6), (R, K, D), (R, K), ())
        ]


@pytest.mark.parametrize("dynamic", (False, True))
@pytest.mark.parametrize("runs_on, device", (("cpu", "cpu"), ("triton", "cuda"), ("cuda", "cuda"), ("auto", "cuda")))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_traces_into_one_operator(name, runs_on, device, dynamic, served_gpu):
    graphs = []

    def run_as_it_stands(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(call, fullgraph=True, dynamic=dynamic, backend=run_as_it_stands)
    compiled(name, runs_on, *fake_tensors(device))
    assert [operators(graph) for graph in graphs] == [[f"sma_kernels.{name}.default"]]


@pytest.mark.parametrize("dynamic", (False, True))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_traces_through_the_reference(name, dynamic):
    compiled = torch.compile(call, fullgraph=True, dynamic=dynamic, backend="eager")
    tensors = [torch.rand(tensor.shape) for tensor in fake_tensors("cpu")]
    assert_close(compiled(name, "reference", *tensors), call(name, "reference", *tensors))


@pytest.mark.parametrize("dynamic", (False, True))
@pytest.mark.parametrize("device", ("cpu", "cuda", "meta"))
def test_reasons_are_traced_for_every_device(device, dynamic, served_gpu):
    values, features, _, weight, bias, _ = fake_tensors(device)
    compiled = torch.compile(sma_kernels.explain_backends, fullgraph=True, dynamic=dynamic, backend="eager")
    reasons = compiled(values, features, weight, bias)
    assert reasons == sma_kernels.explain_backends(values, features, weight, bias)
    runs = {"cpu": ["cpu"], "cuda": ["cuda", "triton"], "meta": []}
    assert [name for name in backends.FUSED if not reasons[name]] == runs[device]
