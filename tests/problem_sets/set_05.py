"""Problem set 5: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "old state forgotten": (
        "jacobian",
        "J = np.eye(len(W_hh)) + beta",
        "J = beta",
        {"test-jacobian"},
    ),
    "slopes on the columns": ("jacobian", "slope[:, None]", "slope", {"test-jacobian"}),
    "product in the wrong order": ("jacobian", "J @ product", "product @ J", {"test-product"}),
    "product from the first step": ("jacobian", "slopes[s:t]", "slopes[:t]", {"test-product"}),
    "one step off": (
        "jacobian",
        "slopes[s:t]",
        "slopes[s + 1 : t + 1]",
        {"test-jacobian", "test-product"},
    ),
    "real part of an eigenvalue": (
        "forecast",
        "np.abs(np.linalg.eigvals(M)).max()",
        "np.linalg.eigvals(M).real.max()",
        {"test-pace"},
    ),
    "singular value for spectral radius": (
        "forecast",
        "return pace, most",
        "return most, most",
        {"test-pace"},
    ),
    "spectral radius for singular value": (
        "forecast",
        "return pace, most",
        "return pace, pace",
        {"test-most"},
    ),
    "leak after the radius": (
        "forecast",
        "np.abs(np.linalg.eigvals(M)).max()",
        "1 - alpha + alpha * np.abs(np.linalg.eigvals(W_hh)).max()",
        {"test-pace"},
    ),
    "Frobenius norm": (
        "forecast",
        "np.linalg.svd(M, compute_uv=False)[0]",
        "np.linalg.norm(M)",
        {"test-most"},
    ),
    "real part of the factor": ("gone", "np.hypot(a, b)", "a", {"test-gone"}),
    "rounded down": ("gone", "np.ceil", "np.floor", {"test-gone"}),
    "clipped by value": (
        "clip",
        "g * factor for",
        "np.clip(g, -limit, limit) for",
        {"test-clip"},
    ),
    "each array by itself": (
        "clip",
        "g * factor for",
        "g * min(1, limit / max(np.linalg.norm(g), 1e-9)) for",
        {"test-clip"},
    ),
    "sum of norms": (
        "clip",
        "norm = np.sqrt(sum(squares))",
        "norm = sum(np.sqrt(squares))",
        {"test-clip"},
    ),
    "short gradients made longer": (
        "clip",
        "limit / norm if norm > limit else 1.0",
        "limit / (norm + 1e-12)",
        {"test-clip-short"},
    ),
    "None dropped": (
        "clip",
        "[None if g is None else g * factor for g in grads]",
        "[g * factor for g in grads if g is not None]",
        {"test-clip-none"},
    ),
    "clipped in place": (
        "clip",
        "None if g is None else g * factor",
        "None if g is None else np.multiply(g, factor, out=g)",
        {"test-clip-none"},
    ),
    "zeros not counted": ("start", "3 / (p * H)", "3 / H", {"test-start-size"}),
    "variance of a uniform number": ("start", "3 / (p * H)", "1 / (p * H)", {"test-start-size"}),
    "no entry zero": ("start", "rng.random((H, H)) < p", "True", {"test-start-sparse"}),
    "positive weights alone": (
        "start",
        "rng.uniform(-r, r",
        "rng.uniform(0, r",
        {"test-start-sparse"},
    ),
    "slope for factor": ("base", "return np.exp(", "return (", {"test-base"}),
    "mean before the logarithm": (
        "base",
        "np.log(sizes[start:end]).mean(axis=1)",
        "np.log(sizes[start:end].mean(axis=1))",
        {"test-base"},
    ),
    "start of the line ignored": (
        "base",
        "logs = ",
        "start = 0; k = np.arange(end); logs = ",
        {"test-base"},
    ),
    "logarithm of zero": (
        "base",
        "int(zero.argmax()) if zero.any() else len(sizes)",
        "len(sizes)",
        {"test-base-zero"},
    ),
}

OTHER = {
    "loops and torch": {
        "jacobian": """
def transition(slopes, W_hh, beta, s, t):
    import torch
    weights = torch.tensor(np.asarray(W_hh), dtype=torch.float32)

    def run(nudge):
        for n in range(s, t):
            nudge = nudge + beta * torch.tensor(slopes[n], dtype=torch.float32) * (weights @ nudge)
        return nudge

    return torch.stack([run(unit) for unit in torch.eye(len(weights))], dim=1)
""",
        "forecast": """
def forecast(W_hh, alpha):
    step = [[alpha * float(w) + (1 - alpha) * (i == j) for j, w in enumerate(row)]
            for i, row in enumerate(W_hh)]
    step = np.array(step)
    values = np.linalg.eigvals(step)
    longest = max((v.real**2 + v.imag**2) ** 0.5 for v in values)
    return float(longest), float(max(np.linalg.eigvalsh(step.T @ step)) ** 0.5)
""",
        "gone": """
matrix = np.array([[a, -b], [b, a]])
gradient, k_gone = np.array([1.0, 0.0]), 0
while np.linalg.norm(gradient) >= 0.001:
    gradient = matrix.T @ gradient
    k_gone += 1
thousandths = round(1000 * float(np.linalg.norm(gradient)), 3)
""",
        "clip": """
def clip_gradients(grads, limit):
    total = 0.0
    for g in grads:
        if g is not None:
            for number in np.asarray(g).flatten():
                total += float(number) ** 2
    length = total**0.5
    out = []
    for g in grads:
        if g is None:
            out.append(None)
        elif length > limit:
            out.append((np.asarray(g) / length * limit).astype(np.float32))
        else:
            out.append(np.array(g, dtype=np.float32))
    return out, length
""",
        "start": """
def sparse_start(H, p, rho, rng):
    half = rho / (p * H / 3) ** 0.5
    W = ((2 * rng.random((H, H)) - 1) * half).astype(np.float32)
    W[rng.random((H, H)) >= p] = 0
    return W
""",
        "base": """
def base_of_power(sizes, start):
    rows = []
    for distance, row in enumerate(sizes):
        if min(row) == 0:
            break
        if distance >= start:
            rows.append((distance, sum(float(np.log(v)) for v in row) / len(row)))
    x, y = zip(*rows)
    return float(np.exp(np.polyfit(x, y, 1)[0]))
""",
    },
}
