"""Problem set 6: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "gates in the order i g f o": (
        "forward",
        "i, f, g, o = np.split",
        "i, g, f, o = np.split",
        {"test-lstm"},
    ),
    "forgotten bias": ("forward", "h0 @ W_hh.T + b,", "h0 @ W_hh.T,", {"test-lstm"}),
    "forget gate with tanh": (
        "forward",
        "f = sigmoid(f + p[1] * c0)",
        "f = np.tanh(f + p[1] * c0)",
        {"test-lstm"},
    ),
    "cell shown without tanh": ("forward", "new = o * np.tanh(c)", "new = o * c", {"test-lstm"}),
    "output gate sees the old cell": (
        "forward",
        "o + p[2] * c)",
        "o + p[2] * c0)",
        {"test-peepholes"},
    ),
    "no peephole of the input gate": ("forward", "i + p[0] * c0", "i", {"test-peepholes"}),
    "peepholes see the first cell state": (
        "forward",
        "i + p[0] * c0)\n        f = sigmoid(f + p[1] * c0)",
        "i + p[0] * (first := first if t else c0))\n        f = sigmoid(f + p[1] * first)",
        {"test-peepholes"},
    ),
    "mask ignored": (
        "forward",
        "alive = (t < np.asarray(lengths))[:, None]",
        "alive = np.ones((len(h0), 1), dtype=bool)",
        {"test-lengths"},
    ),
    "mask forgotten for the cell": ("forward", "np.where(alive, c, c0)", "c", {"test-lengths"}),
    "time constant for half-life": ("half", "f = 0.5 ** (1 / D)", "f = 1 - 1 / D", {"test-half"}),
    "gate for bias": ("half", "b_f = np.log(f / (1 - f))", "b_f = f", {"test-half"}),
    "cell gradient path forgotten": (
        "back",
        "total = dc + dh",
        "total = dh",
        {"test-gates", "test-straight"},
    ),
    "forget gate forgotten on the way back": ("back", "total * f\n", "total\n", {"test-straight"}),
    "writing not seen": ("back", "(c_before - g)", "c_before", {"test-gates"}),
    "slope of tanh forgotten": ("back", " * (1 - g**2)", "", {"test-gates"}),
    "order of the library kept": ("convert", "f, i, o, g = np", "i, f, g, o = np", {"test-order"}),
    "offset forgotten": ("convert", "b_ih[H : 2 * H] += 1", "", {"test-bias"}),
    "bias in both places": ("convert", "np.zeros(4 * H)", "b_ih", {"test-bias"}),
}

OTHER = {
    "loops with torch and float32": {
        "forward": """
def forward(x, h0, c0, W_ih, W_hh, b, p, lengths):
    import torch
    x, h0, c0, W_ih, W_hh, b, p = (
        torch.tensor(np.asarray(v), dtype=torch.float32) for v in (x, h0, c0, W_ih, W_hh, b, p))
    T, B, H = x.shape[0], h0.shape[0], h0.shape[1]
    out, hs, cs = torch.zeros(T, B, H), [], []
    for j in range(B):
        h, c = h0[j], c0[j]
        for t in range(lengths[j]):
            a = W_ih @ x[t, j] + W_hh @ h + b
            keep = torch.sigmoid(a[H:2 * H] + p[1] * c)
            write = torch.sigmoid(a[:H] + p[0] * c)
            c = keep * c + write * torch.tanh(a[2 * H:3 * H])
            h = torch.sigmoid(a[3 * H:] + p[2] * c) * torch.tanh(c)
            out[t, j] = h
        hs.append(h)
        cs.append(c)
    return out, torch.stack(hs), torch.stack(cs)
""",
        "half": """
import math
keep = math.exp(-math.log(2) / D)
b_f = round(-math.log(1 / keep - 1), 3)
share = round(2 ** (-K / D), 3)
""",
        "back": """
def step_backward(dh, dc, c_before, f, g, o):
    import torch
    c_, f_, g_, o_ = (torch.tensor(np.asarray(v), dtype=torch.float32, requires_grad=True)
                      for v in (c_before, f, g, o))
    c = f_ * c_ + (1 - f_) * g_
    h = o_ * torch.tanh(c)
    loss = (h * torch.tensor(np.asarray(dh))).sum() + (c * torch.tensor(np.asarray(dc))).sum()
    loss.backward()
    with torch.no_grad():
        return f_.grad * f_ * (1 - f_), g_.grad * (1 - g_ * g_), o_.grad * o_ * (1 - o_), c_.grad
""",
        "convert": """
def convert(V_x, V_h, d):
    n = V_h.shape[0]
    columns = []
    for block in (1, 0, 3, 2):
        columns += range(block * n, (block + 1) * n)
    W_ih = [[float(row[k]) for row in V_x] for k in columns]
    W_hh = [[float(row[k]) for row in V_h] for k in columns]
    extra = [1.0 if n <= place < 2 * n else 0.0 for place in range(4 * n)]
    return W_ih, W_hh, [float(d[k]) for k in columns], extra
""",
    },
}
