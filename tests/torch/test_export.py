"""Compilation, export, tracing and fake tensors: what works for torch.nn works for our layers."""

import io

import numpy as np
import onnx.reference
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from rnncourse.torch import (
    GRU,
    LSTM,
    RNN,
    LinearAttention,
    MinGRU,
    MinLSTM,
    MultiHeadAttention,
    StateSpace,
    Transformer,
)
from tests.torch.agreement import all_close, close

X = torch.randn(9, 2, 4, generator=torch.Generator().manual_seed(0))
CELLS = {"RNN": (RNN, nn.RNN), "GRU": (GRU, nn.GRU), "LSTM": (LSTM, nn.LSTM)}
OTHERS = {
    "MinGRU": lambda: MinGRU(4, 3),
    "MinLSTM": lambda: MinLSTM(4, 3),
    "StateSpace": lambda: StateSpace(4, 3),
    "LinearAttention": lambda: LinearAttention(4, 2),
    "MultiHeadAttention": lambda: MultiHeadAttention(4, 2),
    "Transformer": lambda: Transformer(10, 4, 2, 2),
}
NAMES = [*CELLS, *OTHERS]
kernels = pytest.mark.parametrize("kernel", ["auto", "hand-derived"])


def make(name, kernel="auto"):
    """Return a layer and its arguments."""
    torch.manual_seed(0)
    net = CELLS[name][0](4, 3, kernel=kernel) if name in CELLS else OTHERS[name]()
    if name == "Transformer":
        return net, (torch.arange(18).view(9, 2) % 10,)
    return net, (X,) * (3 if name == "MultiHeadAttention" else 1)


def trained(net, run, args):
    net.zero_grad()
    out = run(*args)[0]
    out.square().sum().backward()
    return {"out": out.detach()} | {n: p.grad.clone() for n, p in net.named_parameters()}


@pytest.fixture
def whole_graphs():
    """Let Dynamo trace recurrent networks, which it otherwise leaves alone."""
    with torch._dynamo.config.patch(allow_rnn=True):
        torch._dynamo.reset()
        yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("whole_graphs")
@pytest.mark.parametrize("name", [n for n in NAMES if n != "LSTM"])
def test_one_graph_compiles_and_trains(name):
    net, args = make(name)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    all_close(trained(net, compiled, args), trained(net, net, args), torch.float32)


@pytest.mark.usefixtures("whole_graphs")
@pytest.mark.parametrize("name", OTHERS)
def test_one_graph_trains_under_autocast(name):
    net, args = make(name)
    exact = trained(net, net, args)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, found = (trained(net, run, args) for run in (net, compiled))
    scale = max(v.abs().max() for v in exact.values())
    for what, value in exact.items():
        assert found[what].dtype == plain[what].dtype, what
        for other in (plain, found):
            assert (other[what] - value).abs().max() < 0.05 * scale, what


@pytest.mark.usefixtures("whole_graphs")
@pytest.mark.parametrize("name", NAMES)
def test_one_graph_compiles_for_inference(name):
    net, args = make(name)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(compiled(*args)[0], net(*args)[0], torch.float32, "out")


@pytest.mark.usefixtures("whole_graphs")
def test_an_lstm_of_torch_does_not_train_in_one_graph():
    """When PyTorch can, ours belongs in the test above."""
    compiled = torch.compile(nn.LSTM(4, 3), fullgraph=True, backend="aot_eager")
    with pytest.raises(AssertionError):
        compiled(X)[0].sum().backward()


@pytest.mark.usefixtures("whole_graphs")
@pytest.mark.parametrize("name", ["MinGRU", "StateSpace", "LinearAttention", "Transformer"])
def test_a_step_compiles_in_one_graph(name):
    net, args = make(name)
    _, state = net(*args)
    state = state[0] if name in ("MinGRU", "StateSpace") else state
    compiled = torch.compile(net.step, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(compiled(args[0][0], state)[0], net.step(args[0][0], state)[0], torch.float32, name)


@kernels
@pytest.mark.parametrize("name", CELLS)
def test_compilation_with_graph_breaks_trains(name, kernel):
    torch._dynamo.reset()
    net, args = make(name, kernel)
    run = torch.compile(lambda x: net(2 * x), backend="aot_eager")
    all_close(trained(net, run, args), trained(net, lambda x: net(2 * x), args), torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_export(name):
    net, args = make(name)
    exported = torch.export.export(net, args).module()
    close(exported(*args)[0], net(*args)[0], torch.float32, "out")


def test_export_with_lengths():
    net, _ = make("MinGRU")
    exported = torch.export.export(net, (X, None, torch.tensor([9, 3]))).module()
    for lengths in (torch.tensor([9, 3]), torch.tensor([2, 9])):
        close(exported(X, None, lengths)[0], net(X, None, lengths)[0], torch.float32, "out")


@kernels
@pytest.mark.parametrize("name", CELLS)
def test_tracing(name, kernel):
    net, _ = make(name, kernel)
    traced = torch.jit.trace(net, (X,))
    close(traced(2 * X)[0], net(2 * X)[0], torch.float32, "out")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_onnx(name, dynamo, capsys):
    net, _ = make(name)
    file = io.BytesIO()
    if dynamo:
        torch.onnx.export(net, (X,), dynamo=True).save(file)
    else:
        torch.onnx.export(net, (X,), file, dynamo=False)
    model = onnx.load_from_string(file.getvalue())
    run = onnx.reference.ReferenceEvaluator(model)
    x = 2 * X.numpy()
    (out, *_) = run.run(None, {model.graph.input[0].name: x})
    close(out, net(torch.from_numpy(x))[0].detach().numpy(), torch.float32, "out")
    capsys.readouterr()  # the exporter talks


@pytest.mark.parametrize("name", NAMES)
def test_fake_tensors(name):
    real, args = make(name)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        net, _ = make(name, "hand-derived")
        out = net(*(mode.from_tensor(x) for x in args))[0]
        out.sum().backward()
    assert out.shape == real(*args)[0].shape
    assert type(out).__name__ == "FakeTensor"


@pytest.mark.parametrize("name", CELLS)
def test_scripting_needs_the_layer_of_torch(name):
    """As the README says: where ours is no longer refused, correct it."""
    ours, theirs = make(name)[0], CELLS[name][1](4, 3)
    theirs.load_state_dict(ours.state_dict())
    ways = {torch.jit.script: "aren't supported", torch.fx.symbolic_trace: "got Proxy"}
    for way, message in ways.items():
        with pytest.raises(Exception, match=message):
            way(nn.Sequential(ours))
        close(way(nn.Sequential(theirs))(X)[0], ours(X)[0], torch.float32, "out")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_quantization_needs_the_layer_of_torch(name):
    """As the README says: it takes the exact class alone, and passes over ours without a word."""
    quantization = pytest.importorskip("torch.ao.quantization")
    if set(torch.backends.quantized.supported_engines) <= {"none"}:
        pytest.skip("PyTorch cannot quantize on this machine")
    ours, theirs = make(name)[0], CELLS[name][1](4, 3)
    theirs.load_state_dict(ours.state_dict())

    def quantized(net):
        return quantization.quantize_dynamic(nn.Sequential(net), {type(theirs)})[0]

    assert type(quantized(ours)) is type(ours)
    assert type(quantized(theirs)) is not type(theirs)
    assert (quantized(theirs)(X)[0] - ours(X)[0]).abs().max() < 0.05


@kernels
@pytest.mark.parametrize("name", CELLS)
def test_modes_see_every_operation(name, kernel):
    counts = []
    for net in (make(name, kernel)[0], CELLS[name][1](4, 3)):
        with FlopCounterMode(display=False) as counter:
            net(X)[0].sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1]


def test_a_class_of_tensors_sees_every_operation():
    class Logged(torch.Tensor):
        pass

    net, _ = make("GRU", "hand-derived")
    assert net.kernel_for(X.as_subclass(Logged)) == "torch"
    assert type(net(X.as_subclass(Logged))[0]) is Logged
    assert net.kernel_for(nn.Parameter(X)) == net.kernel_for(X) == "hand-derived"


def test_no_decoded_symbol_waits_for_the_device():
    """A meta device has no numbers: what asks for one fails."""
    net, _ = make("Transformer")
    ids = torch.zeros(2, dtype=torch.long, device="meta")
    logits, cache = net.to("meta").step(ids)
    logits, _ = net.step(ids, cache)
    assert logits.shape == (2, 10)


def test_symbols_on_the_cpu_are_checked():
    net, (ids,) = make("Transformer")
    with pytest.raises(ValueError, match="ids: expected numbers from 0 to 9, got 0 to 10"):
        net(ids.clamp(max=9).masked_fill(ids == 9, 10))
    assert np.isfinite(net(ids)[0].detach().numpy()).all()
