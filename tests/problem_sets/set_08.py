"""Problem set 8: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "padding flipped to the front": (
        "both",
        "np.where(t < n, n - 1 - t, t)",
        "np.broadcast_to(len(x) - 1 - t, (len(x), len(n)))",
        {"test-both-lengths"},
    ),
    "backward states not turned back": (
        "both",
        "back = np.take_along_axis(back, source, axis=0)",
        "pass",
        {"test-both"},
    ),
    "backward half in front": ("both", "[ahead, back]", "[back, ahead]", {"test-both"}),
    "one set of weights": (
        "both",
        "run(turned, back_weights)",
        "run(turned, ahead_weights)",
        {"test-both"},
    ),
    "padding not zero": (
        "both",
        "return np.where((t < n)[..., None], out, 0)",
        "return out",
        {"test-both-lengths"},
    ),
    "one tag for all": (
        "ceilings",
        "max(p_1, p_2) + max(p_3, p_4)",
        "max(p_1, p_2 + p_4, p_3)",
        {"test-ceiling-forward"},
    ),
    "backward ceiling as if all were known": (
        "ceilings",
        "max(p_1, p_3) + p_2 + p_4",
        "p_1 + p_2 + p_3 + p_4",
        {"test-ceiling-backward"},
    ),
    "nats for bits": ("floor", "np.log2(", "np.log(", {"test-floor"}),
    "mean over sentences": (
        "floor",
        "sum(seen.values())",
        "sum(p for p, _, _ in language)",
        {"test-floor"},
    ),
    "no look-ahead": ("floor", "t + 1 + look_ahead", "t + 1", {"test-floor-ahead"}),
    "place unknown": ("floor", "(t, *words[", "tuple(words[", {"test-floor-ahead"}),
    "sample variance": (
        "norm",
        "(centered**2).mean(axis=-1, keepdims=True)",
        "(centered**2).sum(axis=-1, keepdims=True) / (a.shape[-1] - 1)",
        {"test-norm"},
    ),
    "mean over the batch": (
        "norm",
        "centered = a - a.mean(axis=-1, keepdims=True)",
        "centered = a - a.mean(axis=1, keepdims=True)",
        {"test-norm"},
    ),
    "eps behind the root": (
        "norm",
        "np.sqrt(variance + eps)",
        "(np.sqrt(variance) + eps)",
        {"test-norm-eps"},
    ),
    "eps forgotten": ("norm", "variance + eps", "variance", {"test-norm-eps"}),
    "variance held constant": ("backward", " - by_variance", "", {"test-backward"}),
    "mean held constant": ("backward", " - by_mean", "", {"test-backward"}),
    "gradient of the scale not summed over time": (
        "backward",
        "(d_out * a_hat).sum(axis=(0, 1))",
        "(d_out * a_hat).sum(axis=1)",
        {"test-backward-weights"},
    ),
    "dropout without scale": ("dropout", "keep / (1 - p)", "keep", {"test-dropout"}),
    "dropout keeps the wrong units": ("dropout", "u >= p", "u < p", {"test-dropout"}),
    "dropout in use": ("dropout", "if not training:", "if p == 0:", {"test-dropout-off"}),
}

OTHER = {
    "loops and float32": {
        "both": """
def both_ways(x, lengths, ahead_weights, back_weights):
    units = len(ahead_weights[2])
    result = np.zeros((x.shape[0], x.shape[1], 2 * units), dtype=np.float32)
    for i, n in enumerate(lengths):
        mine = x[:n, [i]].astype(np.float32)
        result[:n, i, :units] = run(mine, ahead_weights)[:, 0]
        result[:n, i, units:] = run(mine[::-1], back_weights)[::-1, 0]
    return result
""",
        "ceilings": """
forward_ceiling = p_1 if p_1 > p_2 else p_2
forward_ceiling += p_3 if p_3 > p_4 else p_4
backward_ceiling = np.float32(1 - min(p_1, p_3))
""",
        "floor": """
def lowest_loss(language, look_ahead):
    from collections import Counter, defaultdict
    tables = defaultdict(Counter)
    for chance, text, answers in language:
        for place in range(len(text)):
            if answers[place]:
                seen = " ".join(text[:place + look_ahead + 1])
                tables[place, seen][answers[place]] += chance
    everything = sum(sum(table.values()) for table in tables.values())
    loss = 0.0
    for table in tables.values():
        whole = sum(table.values())
        for part in table.values():
            loss -= part / everything * np.log(part / whole) / np.log(2)
    return np.float32(loss)
""",
        "norm": """
def normalize(a, scale, shift, eps):
    out, hats = [], []
    for step in np.asarray(a, dtype=np.float32):
        rows = []
        for v in step:
            m = sum(v) / len(v)
            s2 = sum((w - m) ** 2 for w in v) / len(v)
            rows.append([(w - m) / (s2 + eps) ** 0.5 for w in v])
        hats.append(rows)
        out.append([[scale[j] * r[j] + shift[j] for j in range(len(r))] for r in rows])
    return out, hats
""",
        "backward": """
def normalize_backward(d_out, a, scale, eps):
    T, B, H = a.shape
    d_a, d_scale, d_shift = np.zeros((T, B, H), dtype=np.float32), np.zeros(H), np.zeros(H)
    for t in range(T):
        for i in range(B):
            v = a[t, i]
            c = v - v.mean()
            s = np.sqrt((c @ c) / H + eps)
            jacobian = (np.eye(H) - 1 / H) / s - np.outer(c, c) / H / s**3
            d_a[t, i] = jacobian @ (d_out[t, i] * scale)
            d_scale += d_out[t, i] * c / s
            d_shift += d_out[t, i]
    return d_a, list(d_scale), list(d_shift)
""",
        "dropout": """
def drop(h, p, u, training):
    import torch
    h, u = torch.tensor(h, dtype=torch.float32), torch.tensor(u)
    if training:
        h = torch.where(u < p, torch.zeros(()), h) / (1 - p)
    return h
""",
    },
}
