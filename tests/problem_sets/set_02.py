"""Problem set 2: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "k gaps between k places": ("seen", "range(k)", "range(k + 1)", {"test-field", "test-holes"}),
    "last letter forgotten": ("seen", "range(k)", "range(1, k)", {"test-field", "test-holes"}),
    "no holes": (
        "seen",
        "return sorted(distances)",
        "return list(range(max(distances) + 1))",
        {"test-holes"},
    ),
    "one layer short": (
        "depth",
        "letters_seen = 1 +",
        "doubling_layers -= 1\nletters_seen = 1 +",
        {"test-depth"},
    ),
    "letters without the last one": (
        "depth",
        "letters_seen = 1 + (k - 1)",
        "letters_seen = (k - 1)",
        {"test-depth"},
    ),
    "gap ignored": ("step", "j * gap", "j", {"test-step"}),
    "kernel the other way round": ("step", "W[j].T", "W[-1 - j].T", {"test-step"}),
    "forgotten bias": ("step", "y_t = b + sum(", "y_t = sum(", {"test-step"}),
    "state not moved": ("step", "return y_t, inputs[1:]", "return y_t, state", {"test-step-state"}),
    "no weight sharing": (
        "cone",
        "first + (L - 1) * later",
        "T * first + (L - 1) * T * later",
        {"test-cone"},
    ),
    "rounded logarithm": (
        "cone",
        "    while k**L < T:\n        L += 1",
        "    L = max(1, int(np.ceil(np.log(T) / np.log(k))))",
        {"test-cone"},
    ),
    "every layer reads letters": (
        "cone",
        "later = (k * H + 1)",
        "later = (k * I + 1)",
        {"test-cone"},
    ),
    "two bias vectors": ("largest", "(I + wider + 1)", "(I + wider + 2)", {"test-largest"}),
    "any one at all": ("parity", "[[1, -1], [1, -1]]", "[[1, 0], [0, 0]]", {"test-parity"}),
    "present run": ("run", "return x, run, max(run, longest)", "return x, run, run", {"test-run"}),
    "whole past kept": (
        "run",
        "letter, run, longest = state\n"
        "    run = run + 1 if x == letter else 1\n"
        "    return x, run, max(run, longest)",
        "letter, run, longest, *past = state\n"
        "    run = run + 1 if x == letter else 1\n"
        "    return x, run, max(run, longest), *past, x",
        {"test-run-size"},
    ),
    "state after the step": (
        "slopes",
        "        before.append(h)\n        h = w * h + x_t",
        "        h = w * h + x_t\n        before.append(h)",
        {"test-copies"},
    ),
    "later steps forgotten": (
        "slopes",
        " * w ** np.arange(T - 1, -1, -1.0)",
        "",
        {"test-copies"},
    ),
    "gradient not summed over time": ("slopes", "copies.sum()", "copies[-1]", {"test-shared"}),
    "mean over time": ("slopes", "copies.sum()", "copies.mean()", {"test-shared"}),
}

OTHER = {
    "torch and loops": {
        "seen": """
def seen_distances(kernels, gaps):
    far = sum((k - 1) * g for k, g in zip(kernels, gaps))
    reach = np.zeros(far + 1, dtype=bool)
    reach[0] = True
    for k, g in zip(kernels, gaps):
        wider = reach.copy()
        for j in range(1, k):
            wider[j * g :] |= reach[: len(reach) - j * g]
        reach = wider
    return np.flatnonzero(reach)
""",
        "depth": """
import math
doubling_layers = math.ceil(math.log2((n - 1) / (k - 1) + 1))
letters_seen = 1
for layer in range(doubling_layers):
    letters_seen += (k - 1) * 2**layer
plain_layers = math.ceil((n - 1) / (k - 1))
""",
        "step": """
def conv_step(state, x_t, W, b, gap):
    import torch
    to = lambda a: torch.tensor(np.asarray(a), dtype=torch.float32)
    k, width, _ = W.shape
    memory, now = to(state), to(x_t)
    answer = to(b).repeat(len(now), 1)
    for place in range(k):
        source = now if place == 0 else memory[len(memory) - place * gap]
        for i in range(len(now)):
            for unit in range(width):
                answer[i, unit] += (to(W)[place, unit] * source[i]).sum()
    if len(memory) == 0:
        return answer, memory
    return answer, torch.cat((memory[1:], now.unsqueeze(0)), dim=0)
""",
        "cone": """
def cone_parameters(T, I, H, O, k):
    total, width, view = 0, I, 1
    while view < T or view == 1:
        total += k * width * H + H
        width, view = H, view * k
    return total + H * O + O
""",
        "largest": """
def largest_state(budget, I, O):
    import math
    # H squared + (I + 1 + O) H + O - budget = 0
    p = I + 1 + O
    return (math.isqrt(p * p + 4 * (budget - O)) - p) // 2
""",
        "parity": """
w_x = [2.0, 2.0, 0.0]
W_h = [[2.0, -2.0, 0.0], [2.0, -2.0, 0.0], [0.0, 0.0, 0.0]]
b = [-1.0, -3.0, -1.0]
w_out = [1.0, -1.0, 5.0]
""",
        "run": """
run_start = {"last": -10**9, "now": 0, "best": 0}


def run_update(state, x):
    new = dict(state)
    new["now"] = new["now"] * (x == new["last"]) + 1
    new["best"] = max(new["best"], new["now"])
    new["last"] = x
    return new


def run_answer(state):
    return state["best"]
""",
        "slopes": """
def slopes(x, h0, w, y):
    import torch
    copies = torch.full((len(x),), float(w), requires_grad=True)
    h = torch.tensor(float(h0))
    for t in range(len(x)):
        h = copies[t] * h + float(x[t])
    ((h - y) ** 2 / 2).backward()
    return copies.grad, copies.grad.sum()
""",
    },
}
