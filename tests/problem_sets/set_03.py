"""Problem set 3: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "forgotten bias": ("forward", " + b_h", "", {"test-forward"}),
    "recurrent weights not transposed": ("forward", "W_hh.T", "W_hh", {"test-forward"}),
    "initial state ignored": ("forward", "state = h0", "state = 0 * h0", {"test-forward"}),
    "mask ignored": (
        "forward",
        "alive = (t < np.asarray(lengths))[:, None]",
        "alive = np.ones((len(h0), 1), dtype=bool)",
        {"test-lengths"},
    ),
    "last state of the padded batch": (
        "forward",
        "return h, state",
        "return h, h[-1]",
        {"test-lengths"},
    ),
    "one step short": ("unroll", "in inputs:", "in inputs[:-1]:", {"test-unroll"}),
    "two biases counted": ("count", "later = H * H", "later = H + H * H", {"test-count"}),
    "nats for bits": (
        "bits",
        "/ np.sum(mask) / np.log(2)",
        "/ np.sum(mask)",
        {"test-bits"},
    ),
    "padding counted": ("bits", "/ np.sum(mask)", "/ np.size(mask)", {"test-bits-mask"}),
    "overflow": ("bits", " - logits.max(-1, keepdims=True)", "", {"test-bits-large"}),
    "temperature multiplied": ("sample", "/ temperature", "* temperature", {"test-sample"}),
    "not normalized": (
        "sample",
        "return p / p.sum()",
        "return p / np.exp(z - z.max()).sum()",
        {"test-sample"},
    ),
}

OTHER = {
    "loops and float32": {
        "forward": """
def forward(x, h0, W_xh, W_hh, b_h, lengths):
    steps, batch, _ = x.shape
    out = np.zeros((steps, batch, len(b_h)), dtype=np.float32)
    ends = []
    for i in range(batch):
        memory = h0[i].astype(np.float32)
        for t in range(lengths[i]):
            new = []
            for unit in range(len(b_h)):
                total = float(b_h[unit])
                for j in range(x.shape[2]):
                    total += W_xh[unit, j] * x[t, i, j]
                for j in range(len(memory)):
                    total += W_hh[unit, j] * memory[j]
                new.append(np.tanh(total))
            memory = np.array(new, dtype=np.float32)
            out[t, i] = memory
        ends.append(memory)
    return out, np.stack(ends)
""",
        "unroll": """
import math
z = 0
for a in inputs:
    z = math.tanh(b + w_h * z + w_x * a)
h_3 = round(z, 3)
""",
        "count": """
def count_parameters(I, H, O, L):
    total, width = 0, I
    for layer in range(L):
        total += H * (width + H + 1)
        width = H
    return total + O * (H + 1)
""",
        "bits": """
def bits_per_character(logits, targets, mask):
    import torch
    z = torch.tensor(np.asarray(logits), dtype=torch.float32).flatten(0, 1)
    y = torch.tensor(np.asarray(targets)).flatten()
    loss = torch.nn.functional.cross_entropy(z, y, reduction="none")
    return loss[torch.tensor(np.asarray(mask)).flatten() > 0].mean() / 0.6931472
""",
        "sample": """
def next_distribution(logits, temperature, k):
    order = sorted(range(len(logits)), key=lambda i: -logits[i])[:k]
    best = max(logits)
    weights = [0.0] * len(logits)
    for i in order:
        weights[i] = float(np.exp((logits[i] - best) / temperature))
    return [w / sum(weights) for w in weights]
""",
    },
    "changes what it is given": {
        "forward": """
def forward(x, h0, W_xh, W_hh, b_h, lengths):
    state = h0
    h = np.zeros((len(x), *h0.shape))
    for t in range(len(x)):
        alive = t < np.asarray(lengths)
        state[alive] = np.tanh(x[t] @ W_xh.T + state @ W_hh.T + b_h)[alive]
        h[t, alive] = state[alive]
    return h, state
""",
        "bits": """
def bits_per_character(logits, targets, mask):
    logits -= logits.max(-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return -(chosen * mask).sum() / mask.sum() / np.log(2)
""",
        "sample": """
def next_distribution(logits, temperature, k):
    logits /= temperature
    logits -= logits.max()
    logits[np.argsort(logits)[:-k]] = -np.inf
    np.exp(logits, out=logits)
    logits /= logits.sum()
    return logits
""",
    },
}
