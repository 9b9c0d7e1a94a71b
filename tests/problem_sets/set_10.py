"""Problem set 10: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "bias of the scores forgotten": ("scores", " + b_a)", ")", {"test-scores"}),
    "bias outside the tanh": (
        "scores",
        "np.tanh(asks + offers + b_a) @ w",
        "(np.tanh(asks + offers) + b_a) @ w",
        {"test-scores"},
    ),
    "softmax over the steps": (
        "look",
        "e.sum(-1, keepdims=True)",
        "e.sum(1, keepdims=True)",
        {"test-look", "test-look-mask"},
    ),
    "mask ignored": (
        "look",
        "np.where(alive, scores, -np.inf)",
        "np.array(scores)",
        {"test-look-mask"},
    ),
    "mask after the softmax": (
        "look",
        "    weights = e / e.sum(-1, keepdims=True)",
        "    e = np.exp(scores - scores.max(-1, keepdims=True))\n"
        "    weights = np.where(alive, e / e.sum(-1, keepdims=True), 0)",
        {"test-look-mask"},
    ),
    "score of padding set to zero": ("look", "-np.inf", "0", {"test-look-mask"}),
    "overflow": ("look", "e - e.max(-1, keepdims=True)", "e", {"test-look-large"}),
    "no scaling": ("hand", " / np.sqrt(2)", "", {"test-hand"}),
    "mean of the weights not taken away": (
        "backward",
        "by_weights - (weights * by_weights).sum(1, keepdims=True)",
        "by_weights",
        {"test-grad-d"},
    ),
    "scale forgotten in the gradient": ("backward", "above / root", "above", {"test-grad-d"}),
    "states only as values": (
        "backward",
        "weights.T @ g + by_products.T @ d",
        "weights.T @ g",
        {"test-grad-h"},
    ),
    "precision by the true links": (
        "links",
        "both / max(len(found), 1)",
        "both / len(truth)",
        {"test-precision"},
    ),
    "recall by the links found": (
        "links",
        "recall = both / len(truth)",
        "recall = precision",
        {"test-recall"},
    ),
    "largest weight only": (
        "links",
        "np.argwhere(np.asarray(weights) >= least)",
        "enumerate(np.argmax(weights, 1)) if weights[t, s] >= least",
        {"test-precision", "test-recall"},
    ),
    "gate exchanged": (
        "copy",
        "gamma = np.asarray(gamma)[:, None]",
        "gamma = 1 - np.asarray(gamma)[:, None]",
        {"test-copy"},
    ),
    "copies counted once": (
        "copy",
        "np.add.at(p, (rows, source), (1 - gamma) * weights)",
        "p[rows, source] += (1 - gamma) * weights",
        {"test-copy-repeated"},
    ),
}

OTHER = {
    "loops and torch": {
        "scores": """
def additive_scores(d, h, W_q, W_k, b_a, w):
    steps, batch, _ = d.shape
    out = np.empty((batch, steps, len(h)), dtype=np.float32)
    for n in range(batch):
        for i in range(steps):
            query = W_q.dot(d[i, n])
            for j in range(len(h)):
                hidden = np.tanh(query + W_k.dot(h[j, n]) + b_a)
                out[n, i, j] = sum(u * v for u, v in zip(hidden, w))
    return out
""",
        "look": """
def look(scores, h, lengths):
    import torch
    e = torch.tensor(np.asarray(scores), dtype=torch.float64)
    states = torch.tensor(np.asarray(h))
    for n, length in enumerate(lengths):
        e[n, :, length:] = -1e9
    attention = torch.softmax(e, dim=2)
    contexts = torch.bmm(attention, states.permute(1, 0, 2))
    return contexts.permute(1, 0, 2), attention
""",
        "hand": """
import math
first = (my_d[0] * my_h_1[0] + my_d[1] * my_h_1[1]) / 2 ** 0.5
second = (my_d[0] * my_h_2[0] + my_d[1] * my_h_2[1]) / 2 ** 0.5
share = 1 / (1 + math.exp(second - first))
context_by_hand = np.round([b + share * (a - b) for a, b in zip(my_h_1, my_h_2)], 3)
""",
        "backward": """
def look_backward(d, h, g):
    import torch
    d, h, g = (torch.tensor(np.asarray(a), dtype=torch.float32) for a in (d, h, g))
    d.requires_grad_()
    h.requires_grad_()
    attention = torch.softmax(d @ h.T / h.shape[1] ** 0.5, 1)
    (attention @ h * g).sum().backward()
    return d.grad, h.grad
""",
        "links": """
def link_scores(weights, truth, least):
    right = wrong = missed = 0
    for i, row in enumerate(weights):
        for j, weight in enumerate(row):
            if weight >= least:
                if (i, j) in truth:
                    right += 1
                else:
                    wrong += 1
            elif (i, j) in truth:
                missed += 1
    return (right / (right + wrong) if right + wrong else 0), right / (right + missed)
""",
        "copy": """
def write_or_copy(p_write, weights, source, gamma, X):
    result = []
    for n in range(len(p_write)):
        row = [float(gamma[n] * p) for p in p_write[n]] + [0.0] * X
        for place, word in enumerate(source[n]):
            row[word] += float((1 - gamma[n]) * weights[n][place])
        result.append(row)
    return result
""",
    },
    "changes what it is given": {
        "look": """
def look(scores, h, lengths):
    for b, n in enumerate(lengths):
        scores[b, :, n:] = -np.inf
        h[n:, b] = 0
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return np.einsum("bts,sbh->tbh", scores, h), scores
""",
        "copy": """
def write_or_copy(p_write, weights, source, gamma, X):
    p_write *= gamma[:, None]
    weights *= 1 - gamma[:, None]
    p = np.hstack([p_write, np.zeros((len(p_write), X))])
    for b in range(len(p)):
        for s in range(source.shape[1]):
            p[b, source[b, s]] += weights[b, s]
    return p
""",
    },
}
