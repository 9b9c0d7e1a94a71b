"""Problem set 11: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "oneself excluded": ("mask", "ago >= 0", "ago > 0", {"test-mask"}),
    "next word included": ("mask", "ago >= 0", "ago >= -1", {"test-mask"}),
    "window one too long": ("mask", "ago < window", "ago <= window", {"test-mask"}),
    "prefix seen by all": (
        "mask",
        "known[:, None] & known",
        "known & (ago >= 0) | known[:, None] & known",
        {"test-prefix"},
    ),
    "heads split with a wrong reshape": (
        "heads",
        ".reshape(T, B, N, width).transpose(1, 2, 0, 3)",
        ".swapaxes(0, 1).reshape(B, N, T, width)",
        {"test-heads"},
    ),
    "output matrix forgotten": (
        "heads",
        ".reshape(T, B, E) @ W_o.T",
        ".reshape(T, B, E)",
        {"test-heads"},
    ),
    "scale by the width of the model": ("heads", "np.sqrt(width)", "np.sqrt(E)", {"test-scale"}),
    "mask ignored": ("heads", "np.where(mask, scores, -np.inf)", "scores", {"test-obeys"}),
    "sine and cosine exchanged": (
        "place",
        "[np.sin(my_t * omega), np.cos(my_t * omega)]",
        "[np.cos(my_t * omega), np.sin(my_t * omega)]",
        {"test-place"},
    ),
    "exponent without the two": ("place", "-2 * my_i / 8", "-my_i / 8", {"test-place"}),
    "turned the other way": ("turn", "np.sin(angles)", "-np.sin(angles)", {"test-turn"}),
    "base ignored": ("turn", "omega = base **", "omega = 10_000.0 **", {"test-turn"}),
    "places ignored": (
        "turn",
        "np.asarray(places)[:, None, None]",
        "np.arange(len(x))[:, None, None]",
        {"test-turn-places"},
    ),
    "oneself not in the cache": (
        "step",
        "    e = np.exp(scores - scores.max(0))",
        "    scores[-1] = -1e9\n    e = np.exp(scores - scores.max(0))",
        {"test-step", "test-step-place"},
    ),
    "cache without the offset of positions": ("step", "P[len(keys)]", "P[0]", {"test-step-place"}),
    "positions from one": (
        "step",
        "P[len(keys)]",
        "P[(len(keys) + 1) % len(P)]",
        {"test-step-place"},
    ),
    "keys and values computed again": (
        "step",
        """    keys, values = ([], []) if cache is None else cache
    u = x_t + P[len(keys)]
    keys, values = [*keys, u @ W_k.T], [*values, u @ W_v.T]
    scores = np.stack([(u @ W_q.T * key).sum(-1) for key in keys]) / np.sqrt(len(W_q))
    e = np.exp(scores - scores.max(0))  # (t + 1, B)
    weights = e / e.sum(0)
    return (weights[..., None] * np.stack(values)).sum(0), (keys, values)""",
        """    words = [] if cache is None else cache
    u = x_t + P[len(words)]
    words = [*words, u]
    scores = np.stack([(u @ W_q.T * (word @ W_k.T)).sum(-1) for word in words]) / np.sqrt(len(W_q))
    e = np.exp(scores - scores.max(0))
    weights = e / e.sum(0)
    return (weights[..., None] * (np.stack(words) @ W_v.T)).sum(0), words""",
        {"test-step-branch"},
    ),
    "cache changed in place": (
        "step",
        "    keys, values = [*keys, u @ W_k.T], [*values, u @ W_v.T]",
        "    keys.append(u @ W_k.T)\n    values.append(u @ W_v.T)",
        {"test-step-branch"},
    ),
    "keys for every head": ("count", "2 * E * (E // N)", "2 * E * E", {"test-count"}),
    "last norm forgotten": ("count", "+ norms) + 2 * E", "+ norms)", {"test-count"}),
}

OTHER = {
    "loops and torch": {
        "mask": """
def may_look(T, window, prefix):
    rows = []
    for t in range(T):
        row = [0] * T
        for s in range(max(0, t - window + 1), t + 1):
            row[s] = 1
        if t < prefix:
            row[:prefix] = [1] * prefix
        rows.append(row)
    return rows
""",
        "heads": """
def multi_query(x, W_q, W_k, W_v, W_o, N, mask):
    import torch
    x, W_q, W_k, W_v, W_o = (torch.tensor(a, dtype=torch.float32) for a in (x, W_q, W_k, W_v, W_o))
    allowed = torch.tensor(mask)
    sentences = []
    for sentence in x.unbind(1):
        k, v = sentence @ W_k.T, sentence @ W_v.T
        parts = []
        for q in (sentence @ W_q.T).chunk(N, dim=1):
            scores = q @ k.T * k.shape[1] ** -0.5
            scores[~allowed] = -float("inf")
            parts.append(scores.softmax(1) @ v)
        sentences.append(torch.cat(parts, 1) @ W_o.T)
    return torch.stack(sentences, 1)
""",
        "place": """
import math
angle = my_t / math.sqrt(10) ** my_i
p_t = (round(math.sin(angle), 3), round(math.cos(angle), 3))
""",
        "turn": """
def turn(x, places, base=10_000.0):
    result = np.zeros(x.shape, dtype=np.float32)
    E = x.shape[2]
    for row, place in enumerate(places):
        for j in range(E // 2):
            angle = place / base ** (2 * j / E)
            matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            result[row][:, [j, j + E // 2]] = x[row][:, [j, j + E // 2]] @ matrix.T
    return result
""",
        "step": """
def step(x_t, cache, P, W_q, W_k, W_v):
    import torch
    place = 0 if cache is None else cache["k"].shape[1]
    u = torch.tensor(x_t + P[place], dtype=torch.float32)[:, None]
    q, k, v = (u @ torch.tensor(W, dtype=torch.float32).T for W in (W_q, W_k, W_v))
    if cache is not None:
        k, v = torch.cat([cache["k"], k], 1), torch.cat([cache["v"], v], 1)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return out[:, 0], {"k": k, "v": v}
""",
        "count": """
def count_parameters(V, E, N, F, L):
    head = E // N
    total = V * E + 2 * E
    for _ in range(L):
        total += E * (N * head) + E * head + E * head + (N * head) * E
        total += (E + 1) * F + (F + 1) * E
        total += 4 * E
    return total
""",
    },
    "changes what it is given": {
        "turn": """
def turn(x, places, base=10_000.0):
    half = x.shape[-1] // 2
    angles = np.array(places)[:, None, None] * base ** (-np.arange(half) / half)
    first = x[..., :half].copy()
    x[..., :half] = first * np.cos(angles) - x[..., half:] * np.sin(angles)
    x[..., half:] = first * np.sin(angles) + x[..., half:] * np.cos(angles)
    return x
""",
        "step": """
def step(x_t, cache, P, W_q, W_k, W_v):
    keys, values = cache or ((), ())
    x_t += P[len(keys)]
    keys, values = (*keys, x_t @ W_k.T), (*values, x_t @ W_v.T)
    scores = np.einsum("be,tbe->tb", x_t @ W_q.T, keys) / np.sqrt(x_t.shape[1])
    weights = np.exp(scores - scores.max(0))
    weights /= weights.sum(0)
    return np.einsum("tb,tbe->be", weights, values), (keys, values)
""",
    },
}
