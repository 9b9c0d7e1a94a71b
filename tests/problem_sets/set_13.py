"""Problem set 13: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "matrices in the wrong order": ("fuse", "A2 @ A1", "A1 @ A2", {"test-fuse"}),
    "second step does not act on the first b": (
        "fuse",
        "(A2 @ b1[..., None])[..., 0] + b2",
        "b1 + b2",
        {"test-fuse"},
    ),
    "zero for the identity": ("fuse", "np.eye(H)", "np.zeros((H, H))", {"test-nothing"}),
    "operands swapped": (
        "scan",
        "op(found[:-s], found[s:])",
        "op(found[s:], found[:-s])",
        {"test-scan"},
    ),
    "exclusive scan": (
        "scan",
        "return found",
        "return np.concatenate([0 * found[:1], found[:-1]])",
        {"test-scan"},
    ),
    "powers of two alone": ("scan", "s < len(found)", "2 * s <= len(found)", {"test-scan-odd"}),
    "a loop over time": (
        "scan",
        "found = np.array(items)",
        "found = np.array(items)\n"
        "    for t in range(1, len(found)):\n"
        "        found[t : t + 1] = op(found[t - 1 : t], found[t : t + 1])\n"
        "    return found",
        {"test-scan-rounds"},
    ),
    "account in the wrong order": (
        "account",
        "zip(a, b)",
        "zip(a[::-1], b[::-1])",
        {"test-account"},
    ),
    "forward for backward": (
        "account",
        "(100 - all_b) / all_a",
        "100 * all_a + all_b",
        {"test-account"},
    ),
    "gate swapped": ("mingru", "np.exp(-(x", "np.exp((x", {"test-mingru"}),
    "candidate not gated": ("mingru", "b = z * c", "b = c.copy()", {"test-mingru"}),
    "start state ignored": ("mingru", "    b[0] += a[0] * h0\n", "", {"test-mingru-start"}),
    "start state not faded": (
        "mingru",
        "a[0] * h0",
        "(1 - np.asarray(new)[0][:, None]) * h0",
        {"test-mingru-start"},
    ),
    "texts leak": ("mingru", " * (1 - np.asarray(new)[..., None])", "", {"test-mingru-new"}),
    "B as it was": ("hold", "integral * B", "B", {"test-hold"}),
    "Euler step for B": ("hold", "integral * B", "delta * B", {"test-hold"}),
    "division by zero": (
        "hold",
        "np.where(zero, delta, (a - 1) / np.where(zero, 1, lam))",
        "(a - 1) / lam",
        {"test-hold-zero"},
    ),
    "kernel reversed": ("kernel", "np.arange(T)", "np.arange(T)[::-1]", {"test-kernel"}),
    "kernel one step late": ("kernel", "np.arange(T)", "np.arange(1, T + 1)", {"test-kernel"}),
    "convolution reversed": ("kernel", "K[j] * u", "K[-1 - j] * u", {"test-convolve"}),
    "normalizer missing": ("fading", " / (g[t] @ n)", "", {"test-fading"}),
    "normalizer not faded": ("fading", "gamma * n", "n", {"test-fading-gamma"}),
    "nothing fades": (
        "fading",
        "S = gamma * S + np.outer(f[t], v[t])\n        n = gamma * n",
        "S = S + np.outer(f[t], v[t])\n        n = n",
        {"test-fading-gamma"},
    ),
    "attention state ignored": (
        "fading",
        "(np.zeros((D, E)), np.zeros(D)) if state is None else state",
        "np.zeros((D, E)), np.zeros(D)",
        {"test-fading-state"},
    ),
}

OTHER = {
    "trees and float32": {
        "fuse": """
def fuse(first, second):
    A = np.einsum("...ij,...jk->...ik", second[0], first[0])
    b = np.einsum("...ij,...j->...i", second[0], first[1]) + second[1]
    return A.astype(np.float32), b.astype(np.float32)


def nothing(H):
    return [[int(i == j) for j in range(H)] for i in range(H)], [0] * H
""",
        "scan": """
def scan(op, items):
    if len(items) == 1:
        return items
    pairs = len(items) // 2
    inner = scan(op, op(items[0 : 2 * pairs : 2], items[1 : 2 * pairs : 2]))
    out = np.empty_like(items)
    out[0] = items[0]
    out[1::2] = inner
    if len(items) > 2:
        out[2::2] = op(inner[: len(out[2::2])], items[2::2])
    return out
""",
        "account": """
h_0 = 100
for day in (3, 2, 1, 0):
    h_0 = (h_0 - b[day]) / a[day]
h_0 = round(h_0, 3)
""",
        "mingru": """
import torch


def coefficients(x, h0, new, W_z, b_z, W_c, b_c):
    x, h0, new = (torch.tensor(np.asarray(v), dtype=torch.float32) for v in (x, h0, new))
    W_z, b_z, W_c, b_c = (torch.tensor(v, dtype=torch.float32) for v in (W_z, b_z, W_c, b_c))
    gate = torch.sigmoid(torch.nn.functional.linear(x, W_z, b_z))
    add = gate * torch.nn.functional.linear(x, W_c, b_c)
    keep = torch.where(new[:, :, None] > 0, torch.zeros_like(gate), 1 - gate)
    first = (keep[0] * h0 + add[0])[None]
    return keep, torch.cat([first, add[1:]])
""",
        "hold": """
def hold(lam, B, delta):
    factors, inputs = [], []
    for one, weight in zip(lam, B):
        if abs(one) == 0:
            factors.append(1.0)
            inputs.append(delta * weight)
        else:
            factors.append(np.exp(one * delta))
            inputs.append(np.expm1(one * delta) / one * weight)
    return factors, inputs
""",
        "kernel": """
def kernel(a, B_bar, C, T):
    h, out = B_bar, []
    for _ in range(T):
        out.append(float(np.real(np.dot(C, h))))
        h = a * h
    return out


def convolve(K, u):
    return np.convolve(K, u)[: len(u)].astype(np.float32)
""",
        "fading": """
import torch


def fading_attention(g, f, v, gamma, state=None):
    g, f, v = (torch.tensor(np.asarray(a), dtype=torch.float32) for a in (g, f, v))
    if state is None:
        state = torch.zeros(f.shape[1], v.shape[1]), torch.zeros(f.shape[1])
    S, n = state
    rows = []
    for g_t, f_t, v_t in zip(g, f, v):
        S = S * gamma + f_t[:, None] * v_t[None, :]
        n = n * gamma + f_t
        rows.append((g_t[:, None] * S).sum(0) / (g_t * n).sum())
    return torch.stack(rows), (S, n)
""",
    },
    "changes what it is given": {
        "scan": """
def scan(op, items):
    s = 1
    while s < len(items):
        items[s:] = op(items[:-s], items[s:])
        s *= 2
    return items
""",
    },
}
