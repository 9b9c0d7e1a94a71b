"""Problem set 1: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "merges in reverse order": (
        "encode",
        "in enumerate(merges)",
        "in reversed(list(enumerate(merges)))",
        {"test-encode"},
    ),
    "a letter joined twice": ("encode", "place += 2", "place += 1", {"test-encode"}),
    "characters for bytes": (
        "encode",
        "list(text.encode())",
        "[ord(c) for c in text]",
        {"test-encode-bytes"},
    ),
    "bytes decoded one by one": (
        "decode",
        'b"".join(pieces[i] for i in ids).decode()',
        '"".join(pieces[i].decode(errors="replace") for i in ids)',
        {"test-decode"},
    ),
    "target one step late": (
        "examples",
        "ahead = T - 1 + horizon",
        "ahead = T + horizon",
        {"test-examples"},
    ),
    "batch first": (
        "examples",
        "return x, series",
        "return x.swapaxes(0, 1), series",
        {"test-examples"},
    ),
    "no gap": ("split", "starts[targets <= now]", "starts[ends < now]", {"test-split"}),
    "shuffled split": (
        "split",
        "return starts[targets <= now], starts[ends >= now]",
        "starts = np.random.default_rng(0).permutation(starts)\n"
        "    return np.sort(starts[len(starts) // 5 :]), np.sort(starts[: len(starts) // 5])",
        {"test-split"},
    ),
    "scaled on the whole series": (
        "scale",
        "known = series[: now + 1]",
        "known = series",
        {"test-scale", "test-scale-constant"},
    ),
    "scaled one step short": ("scale", "now + 1", "now", {"test-scale"}),
    "divided by zero": (
        "scale",
        "np.where(np.ptp(known, axis=0) > 0, std, 1)",
        "1 * std",
        {"test-scale-constant"},
    ),
    "rounding taken for change": (
        "scale",
        "np.ptp(known, axis=0) > 0",
        "std > 0",
        {"test-scale-constant"},
    ),
    "padded on the right": (
        "pad",
        "slice(T - len(row), T)",
        "slice(len(row))",
        {"test-pad"},
    ),
    "mask from the ids": ("pad", "return ids, mask", "return ids, ids != pad", {"test-pad"}),
    "end of sequence forgotten": ("pad", "[*sequence, eos]", "[*sequence]", {"test-pad-eos"}),
    "batches not sorted": ("batches", "in sorted(lengths)", "in lengths", {"test-batches"}),
    "smoothing in the numerator alone": (
        "table",
        "keepdims=True) + k * (V + 1))",
        "keepdims=True) + k)",
        {"test-table"},
    ),
    "end not counted": ("table", "[V, *sentence, V]", "[V, *sentence]", {"test-table"}),
    "nats for bits": ("bits", "np.log2", "np.log", {"test-bits"}),
    "end not predicted": ("bits", "[V, *sentence, V]", "[V, *sentence]", {"test-bits-end"}),
}

OTHER = {
    "lists and float32": {
        "encode": """
def encode(text, merges):
    tokens = [int(byte) for byte in bytes(text, "utf-8")]
    new = 256
    for left, right in merges:
        joined = []
        for token in tokens:
            if joined and joined[-1] == left and token == right:
                joined[-1] = new
            else:
                joined.append(token)
        tokens = joined
        new += 1
    return np.array(tokens, dtype=int)
""",
        "decode": """
def decode(ids, merges):
    def expand(token):
        if token < 256:
            return [token]
        left, right = merges[token - 256]
        return expand(left) + expand(right)

    raw = []
    for token in ids:
        raw.extend(expand(int(token)))
    return str(bytes(raw), "utf-8")
""",
        "examples": """
def examples(series, T, horizon, stride):
    import torch
    windows, answers = [], []
    start = 0
    while start + T + horizon <= len(series):
        windows.append(torch.tensor(series[start : start + T], dtype=torch.float32))
        answers.append(float(series[start + T + horizon - 1][0]))
        start = start + stride
    return torch.stack(windows, dim=1), answers
""",
        "split": """
def split(N, T, horizon, now):
    past, future = [], []
    for first in range(N):
        final = first + T - 1
        if final + horizon >= N:
            break
        if final + horizon <= now:
            past.append(first)
        if final >= now:
            future.append(first)
    return past, future
""",
        "scale": """
def scale(series, now):
    columns = []
    for column in np.asarray(series, dtype=np.float32).T:
        seen = column[: now + 1]
        center, spread = np.mean(seen), np.std(seen)
        columns.append((column - center) / (spread if max(seen) > min(seen) else 1))
    return np.stack(columns, axis=1)
""",
        "pad": """
def pad_left(sequences, pad, eos):
    longest = 1 + max(map(len, sequences))
    ids, mask = [], []
    for s in sequences:
        n = longest - len(s) - 1
        ids.append(n * [pad] + list(s) + [eos])
        mask.append(n * [0] + (len(s) + 1) * [1])
    return [list(row) for row in zip(*ids)], [list(row) for row in zip(*mask)]
""",
        "batches": """
rest = sorted(lengths)
n_batches, total = 0, 0
while rest:
    size = 1
    while size < len(rest) and (size + 1) * rest[size] <= 2000:
        size += 1
    total += size * rest[size - 1]
    rest = rest[size:]
    n_batches += 1
padding = float(total - sum(lengths))
""",
        "table": """
def pair_table(sentences, V, k):
    rows = []
    for a in range(V + 1):
        row = [float(k)] * (V + 1)
        for s in sentences:
            before = V
            for token in list(s) + [V]:
                if before == a:
                    row[token] += 1
                before = token
        rows.append([entry / sum(row) for entry in row])
    return rows
""",
        "bits": """
def bits_per_token(p, sentences):
    import math
    border = len(p) - 1
    total, n = 0.0, 0
    for s in sentences:
        before = border
        for token in list(s) + [border]:
            total -= math.log(p[before][token])
            before = token
            n += 1
    return total / n / math.log(2)
""",
    },
    "changes what it is given": {
        "pad": """
def pad_left(sequences, pad, eos):
    for sequence in sequences:
        sequence.append(eos)
    longest = max(map(len, sequences))
    missing = [longest - len(sequence) for sequence in sequences]
    for sequence, n in zip(sequences, missing):
        sequence[:0] = n * [pad]
    return np.transpose(sequences), np.arange(longest)[:, None] >= np.array(missing)
""",
    },
}
