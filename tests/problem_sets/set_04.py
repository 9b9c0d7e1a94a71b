"""Problem set 4: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "slope at the state": ("backward", "(1 - c[t] ** 2)", "(1 - h[t] ** 2)", {"test-step"}),
    "slope of tanh forgotten in the path": (
        "backward",
        "da[t] @ W_hh",
        "(alpha * dh) @ W_hh",
        {"test-path"},
    ),
    "state after the step": ("backward", "[h0[None], h[:-1]]", "[h]", {"test-step"}),
    "leak forgotten": ("backward", "(1 - alpha) * dh + ", "", {"test-path"}),
    "recurrent weights transposed": ("backward", "da[t] @ W_hh", "da[t] @ W_hh.T", {"test-path"}),
    "gradient of the start forgotten": (
        "backward",
        "(0, 1)), future",
        "(0, 1)), np.zeros_like(h0)",
        {"test-path"},
    ),
    "not summed over time": (
        "backward",
        'dW_xh = np.einsum("tbh,tbi->hi", da, x)',
        "dW_xh = da[0].T @ x[0]",
        {"test-sum"},
    ),
    "bias of one step": ("backward", "da.sum((0, 1))", "da[0].sum(0)", {"test-sum"}),
    "one use of the weight": ("average", "state - x_t + v", "state + v", {"test-average"}),
    "slope not carried": ("average", " + v * slope", "", {"test-average"}),
    "loss of the sum": (
        "loss",
        "weight = 1 / (len(lengths) * lengths)",
        "weight = 1 / lengths",
        {"test-loss", "test-loss-lengths"},
    ),
    "factor 2 missing": ("loss", "2 * weight * error", "weight * error", {"test-loss-gradient"}),
    "mask ignored": ("loss", "np.where(true, y - z, 0)", "y - z", {"test-loss-lengths"}),
    "mean over padded steps": (
        "loss",
        "(len(lengths) * lengths)",
        "(len(lengths) * len(y) + 0 * lengths)",
        {"test-loss-lengths"},
    ),
    "zero times NaN": (
        "loss",
        "np.where(true, y - z, 0)",
        "true * (y - z)",
        {"test-loss-lengths"},
    ),
    "forward difference": (
        "central",
        "(f(up) - f(down)) / (2 * eps)",
        "(f(up) - f(a)) / eps",
        {"test-central"},
    ),
    "eps for two eps": ("central", "/ (2 * eps)", "/ eps", {"test-central"}),
    "nudge not taken back": (
        "central",
        "up, down = a.copy(), a.copy()",
        "up, down = a, a.copy()",
        {"test-central-intact"},
    ),
    "truncation one step late": (
        "truncated",
        "reversed(range(start, ",
        "reversed(range(max(start - 1, 0), ",
        {"test-truncated"},
    ),
    "truncation ignored": (
        "truncated",
        "        dh = np.zeros(len(w))",
        "        dh = np.zeros(len(w)) if start == 0 else dh",
        {"test-truncated"},
    ),
    "state reset at the cut": (
        "truncated",
        "if t > 0 else h0",
        "if t > start else 0 * h0",
        {"test-truncated"},
    ),
    "short chunk left out": (
        "truncated",
        "range(0, len(h), k)",
        "range(0, len(h) - k + 1, k)",
        {"test-truncated-rest"},
    ),
}

OTHER = {
    "loops and float32": {
        "backward": """
def leaky_backward(dh_out, x, h0, h, c, W_xh, W_hh, alpha):
    steps, batch, width = h.shape
    gx = np.zeros(W_xh.shape, dtype=np.float32)
    gh = np.zeros(W_hh.shape, dtype=np.float32)
    gb = np.zeros(width, dtype=np.float32)
    start = np.zeros((batch, width), dtype=np.float32)
    for b in range(batch):
        carried = np.zeros(width)
        for t in range(steps - 1, -1, -1):
            total = carried + dh_out[t, b]
            inner = total * alpha * (1 - c[t, b] * c[t, b])
            old = h0[b] if t == 0 else h[t - 1, b]
            gx += np.outer(inner, x[t, b])
            gh += np.outer(inner, old)
            gb += inner
            carried = W_hh.T @ inner + total - alpha * total
        start[b] = carried
    return gx, gh, gb, start
""",
        "average": """
def ends(rate):
    h = 0
    for number in (x_1, x_2, x_3):
        h = rate * h + (1 - rate) * number
    return (h - g) ** 2 / 2

dL_dv = round((ends(v + 1e-6) - ends(v - 1e-6)) / 2e-6, 3)
""",
        "loss": """
def sequence_loss(y, z, lengths):
    total, grad = 0.0, [[0.0] * len(lengths) for _ in y]
    for b, n in enumerate(lengths):
        for t in range(n):
            gap = float(y[t][b] - z[t][b])
            total += gap * gap / n / len(lengths)
            grad[t][b] = 2 * gap / n / len(lengths)
    return total, grad
""",
        "central": """
def central_differences(f, a, eps):
    values = a.flatten()
    out = []
    for i in range(values.size):
        there = []
        for sign in (1, -1):
            moved = values.copy()
            moved[i] = moved[i] + sign * eps
            there.append(f(moved.reshape(a.shape)))
        out.append((there[0] - there[1]) / eps / 2)
    return np.array(out, dtype=np.float32).reshape(a.shape)
""",
        "truncated": """
def truncated_gradient(dh_out, w, h0, h, k):
    states, total = [list(h0), *map(list, h)], [0.0] * len(w)
    for unit in range(len(w)):
        for t in range(len(h)):
            slope = 0.0  # of the state after step t, forward in time from the start of its chunk
            for s in range(t // k * k, t + 1):
                slope = states[s][unit] + w[unit] * slope
            total[unit] += dh_out[t][unit] * slope
    return total
""",
    },
    "changes what it is given": {
        "loss": """
def sequence_loss(y, z, lengths):
    y -= z
    for b, n in enumerate(lengths):
        y[n:, b] = 0
    weight = 1 / (len(lengths) * np.array(lengths))
    value = (weight * y**2).sum()
    y *= 2 * weight
    return value, y
""",
    },
}
