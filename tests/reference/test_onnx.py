"""The NumPy models against the RNN, LSTM and GRU operators of the ONNX standard.

The package ``onnx`` carries cases and an evaluator. The evaluator ignores ``sequence_lens`` and
knows no ReLU: a batch with lengths is compared with its sequences run one by one, as the
specification defines it, and ReLU with the specification's equation.
"""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.backend.test.case import node as cases
from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401 (importing them makes cases)
from onnx.reference import ReferenceEvaluator

from rnncourse import reference

OPERATORS = {"RNN": ("h",), "LSTM": ("h", "c"), "GRU": ("h",)}
# Where each of our gates stands in ONNX's order: iofc for the LSTM, zrh for the GRU.
ORDER = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def reordered(a, op):
    """Return the gates along the first axis in our order."""
    blocks = np.split(a, len(ORDER[op]))
    return np.concatenate([blocks[k] for k in ORDER[op]])


def ours(op, inputs, direction="forward", layout=0, linear_before_reset=0):
    """Run an operator of ONNX with our model; return Y, Y_h and for the LSTM Y_c."""
    x, W, R, B, lengths, *states, P = (inputs.get(name) for name in INPUTS)
    states = states[: len(OPERATORS[op])]
    if layout:
        x, *states = (None if a is None else a.swapaxes(0, 1) for a in (x, *states))
    H = R.shape[2]
    options = {"GRU": {"reset_after": bool(linear_before_reset)}}.get(op, {})
    if P is not None:
        options["peepholes"] = True
    # ONNX has "reverse" alone: the second half of a network with two equal directions.
    weights, rows = {}, range(len(W)) if direction == "bidirectional" else [0, 0]
    for row, d in zip(rows, ("", "_reverse"), strict=True):
        b_ih, b_hh = np.zeros((2, W.shape[1]), x.dtype) if B is None else np.split(B[row], 2)
        parts = {"weight_ih": W[row], "weight_hh": R[row], "bias_ih": b_ih, "bias_hh": b_hh}
        weights |= {f"{name}_l0{d}": reordered(a, op) for name, a in parts.items()}
        if P is not None:
            weights[f"weight_peephole_l0{d}"] = P[row].reshape(3, H)[[0, 2, 1]]  # from i, o, f
    net = getattr(reference, op).from_state_dict(weights, **options)
    zeros = np.zeros((2, x.shape[1], H), x.dtype)
    s0 = tuple(zeros if s is None else s[list(rows)] for s in states)
    out, s_n = net.forward(x, s0 if op == "LSTM" else s0[0], lengths)
    s_n = s_n if op == "LSTM" else (s_n,)
    Y = out.reshape(*out.shape[:2], 2, H).swapaxes(1, 2)  # (T, directions, B, H)
    used = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}[direction]
    Y, s_n = Y[:, used], [s[used] for s in s_n]
    if layout:
        Y, s_n = Y.transpose(2, 0, 1, 3), [s.swapaxes(0, 1) for s in s_n]
    return [Y, *s_n]


def evaluated(op, inputs, **attributes):
    """Run an operator with the evaluator of onnx."""
    names = INPUTS if op == "LSTM" else INPUTS[:6]
    given = [name if inputs.get(name) is not None else "" for name in names]
    outputs = ["Y", *(f"Y_{s}" for s in OPERATORS[op])]
    hidden_size = inputs["R"].shape[2]
    node = helper.make_node(op, given, outputs, hidden_size=hidden_size, **attributes)
    return ReferenceEvaluator(node).run(None, {k: v for k, v in inputs.items() if v is not None})


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


# The public way to collect them imports the cases of every operator, which takes seconds.
CASES = [c for c in cases._NodeTestCases if c.model.graph.node[0].op_type in OPERATORS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cases_of_the_standard(case):
    node = case.model.graph.node[0]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    attributes.pop("hidden_size")
    if "direction" in attributes:
        attributes["direction"] = attributes["direction"].decode()
    for given_, expected in case.data_sets:
        arrays = [
            numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a for a in given_
        ]
        named = dict(zip([n for n in node.input if n], arrays, strict=True))
        inputs = {name: named[n] for name, n in zip(INPUTS, node.input, strict=False) if n}
        wanted = [i for i, name in enumerate(node.output) if name]
        found = ours(node.op_type, inputs, **attributes)
        assert_close([found[i] for i in wanted], expected, 1e-6)


def test_there_are_cases():
    names = " ".join(case.name for case in CASES)
    assert len(CASES) >= 18
    for feature in ("peepholes", "batchwise", "reverse", "bidirectional", "seq_length"):
        assert feature in names


@settings(max_examples=150)
@given(
    op=st.sampled_from(sorted(OPERATORS)),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    layout=st.sampled_from([0, 1]),
    linear_before_reset=st.sampled_from([0, 1]),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    optional=st.sets(st.sampled_from(INPUTS[3:])),
    seed=st.integers(0, 999),
)
def test_every_feature_against_the_evaluator(
    op, direction, layout, linear_before_reset, sizes, optional, seed
):
    rng = np.random.default_rng(seed)
    T, N, I, H = sizes
    D, G = 1 + (direction == "bidirectional"), H * len(ORDER[op])
    shapes = {"X": (T, N, I), "W": (D, G, I), "R": (D, G, H), "B": (D, 2 * G)}
    shapes |= {"initial_h": (D, N, H), "initial_c": (D, N, H), "P": (D, 3 * H)}
    inputs = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    inputs["sequence_lens"] = rng.integers(1, T + 1, N).astype(np.int32)
    without = set(INPUTS[3:]) - optional | (set() if op == "LSTM" else {"initial_c", "P"})
    inputs = {name: a for name, a in inputs.items() if name not in without}
    attributes = {"direction": direction, "layout": layout}
    if op == "GRU":
        attributes["linear_before_reset"] = linear_before_reset
    batched = {"X", "initial_h", "initial_c"} & inputs.keys()
    lengths = inputs.pop("sequence_lens", np.full(N, T))

    # Each sequence alone, cut to its length; zeros behind its end.
    expected = [np.zeros((T, D, N, H)), *(np.zeros((D, N, H)) for _ in OPERATORS[op])]
    for b, n in enumerate(lengths):
        one = inputs | {name: inputs[name][:, b : b + 1] for name in batched}
        one["X"] = one["X"][:n]
        if layout:
            one |= {name: one[name].swapaxes(0, 1) for name in batched}
        Y, *ends = evaluated(op, one, **attributes)
        if layout:
            Y, ends = Y.transpose(1, 2, 0, 3), [s.swapaxes(0, 1) for s in ends]
        expected[0][:n, :, b] = Y[:, :, 0]
        for whole, s in zip(expected[1:], ends, strict=True):
            whole[:, b] = s[:, 0]

    if layout:
        inputs |= {name: inputs[name].swapaxes(0, 1) for name in batched}
        expected = [expected[0].transpose(2, 0, 1, 3), *(s.swapaxes(0, 1) for s in expected[1:])]
    if "sequence_lens" in optional:
        inputs["sequence_lens"] = lengths
    assert_close(ours(op, inputs, **attributes), expected, 1e-10)


def test_relu_by_the_specification(rng):
    x, W, R, B = (rng.normal(size=s) for s in [(6, 2, 3), (4, 3), (4, 4), (8,)])
    net = reference.RNN(3, 4, nonlinearity="relu", rng=rng)
    net.load_state_dict(
        dict(zip(net.params, (W, R, B[:4], B[4:]), strict=True))  # Wi, Ri, Wbi, Rbi
    )
    h, expected = np.zeros((2, 4)), []
    for x_t in x:
        h = np.maximum(x_t @ W.T + h @ R.T + B[:4] + B[4:], 0)
        expected.append(h)
    assert_close(net.forward(x), [np.stack(expected), h[None]], 1e-12)
