"""Problem set 7: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "z turned round": ("step", "(1 - z) * h + z * n", "(1 - z) * n + z * h", {"test-mix"}),
    "order of PyTorch": (
        "step",
        "a_z, a_r, a_n = np",
        "a_r, a_z, a_n = np",
        {"test-after", "test-mix"},
    ),
    "input bias forgotten": ("step", "x @ W + b,", "x @ W,", {"test-mix"}),
    "bias outside the reset": (
        "step",
        "r * (h @ U_n + v_n)",
        "r * (h @ U_n) + v_n",
        {"test-after"},
    ),
    "input bias inside the reset": (
        "step",
        "np.tanh(a_n + r * (h @ U_n + v_n))",
        "np.tanh(a_n - b[2 * H :] + r * (h @ U_n + v_n + b[2 * H :]))",
        {"test-after"},
    ),
    "bias inside the reset": (
        "step",
        "(r * h) @ U_n + v_n",
        "(r * h) @ U_n + r * v_n",
        {"test-before"},
    ),
    "always before": ("step", 'reset == "after"', 'reset == "both"', {"test-after"}),
    "always after": ("step", "(r * h) @ U_n + v_n", "r * (h @ U_n) + v_n", {"test-before"}),
    "conventions exchanged": (
        "step",
        'reset == "after"',
        'reset != "after"',
        {"test-after", "test-before"},
    ),
    "order of the library kept": ("convert", "z, r, n = np", "r, z, n = np", {"test-order"}),
    "biases exchanged": ("convert", "block(b), block(v)", "block(v), block(b)", {"test-order"}),
    "sign forgotten": ("convert", "[r, -z, n]", "[r, z, n]", {"test-sign"}),
    "slider turned round": (
        "slider",
        "(1 - z_t) * n_t + z_t * h_4",
        "z_t * n_t + (1 - z_t) * h_4",
        {"test-slider"},
    ),
    "weight one step late": (
        "slider",
        "* z_steps[2] * z_steps[3]",
        "* z_steps[3]",
        {"test-slider"},
    ),
    "two parts in a GRU": ("count", '"GRU": 3', '"GRU": 2', {"test-count"}),
    "all layers read the input": (
        "count",
        "later = H * H + H * H",
        "later = H * I + H * H",
        {"test-count"},
    ),
    "always one bias": (
        "count",
        "G = {",
        "biases = 1\n    G = {",
        {"test-biases"},
    ),
    "population deviation": ("compare", "np.var(a, ddof=1)", "np.var(a)", {"test-unpaired"}),
    "population deviation of pairs": (
        "compare",
        "np.std(a - b, ddof=1)",
        "np.std(a - b)",
        {"test-paired"},
    ),
    "square root of n forgotten": ("compare", " / np.sqrt(len(a))", "", {"test-paired"}),
    "pairs ignored": ("compare", "if paired:", "if False:", {"test-paired"}),
    "difference turned round": (
        "compare",
        "a.mean() - b.mean()",
        "b.mean() - a.mean()",
        {"test-unpaired"},
    ),
}

OTHER = {
    "loops with torch and float32": {
        "step": """
def gru_step(x, h, W, U, b, v, reset):
    import torch
    x, h, W, U, b, v = (
        torch.tensor(np.asarray(k), dtype=torch.float32) for k in (x, h, W, U, b, v))
    size, rows = h.shape[1], []
    for one, old in zip(x, h):
        a = W.T @ one + b
        q = U.T @ old + v
        update = torch.sigmoid(a[:size] + q[:size])
        gate = torch.sigmoid((a + q)[size:2 * size])
        if reset == "before":
            inner = U.T[2 * size:] @ (gate * old) + v[2 * size:]
        else:
            inner = gate * q[2 * size:]
        new = torch.tanh(a[2 * size:] + inner)
        rows.append(old + update * (new - old))
    return torch.stack(rows)
""",
        "convert": """
def convert(W, U, b, v):
    n = len(v) // 3
    places = list(range(n, 2 * n)) + list(range(n)) + list(range(2 * n, 3 * n))
    signs = [1.0] * n + [-1.0] * n + [1.0] * n
    matrices = [[[s * float(row[k]) for row in m] for k, s in zip(places, signs)] for m in (W, U)]
    vectors = [[s * float(m[k]) for k, s in zip(places, signs)] for m in (b, v)]
    return *matrices, *vectors
""",
        "slider": """
shares = []
for z, n in zip(z_steps, n_steps):
    shares = [z * s for s in shares] + [1 - z]
h_4 = round(sum(s * n for s, n in zip(shares, n_steps)), 3)
weight_2 = round(shares[1], 3)
""",
        "count": """
def count_parameters(cell, I, H, O, L, biases):
    import torch
    layer = getattr(torch.nn, cell)(I, H, num_layers=L)
    total = 0
    for name, p in layer.named_parameters():
        if biases == 2 or not name.startswith("bias_hh"):
            total += p.numel()
    return total + sum(p.numel() for p in torch.nn.Linear(H, O).parameters())
""",
        "compare": """
def compare(a, b, paired):
    import math
    def mean(v):
        return sum(v) / len(v)
    def squared_error(v):
        m = mean(v)
        return sum((u - m) ** 2 for u in v) / (len(v) - 1) / len(v)
    if paired:
        d = [p - q for p, q in zip(a, b)]
        return mean(d), math.sqrt(squared_error(d))
    return mean(a) - mean(b), math.sqrt(squared_error(a) + squared_error(b))
""",
    },
}
