"""Problem set 9: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "targets not shifted": (
        "forcing",
        "goals[:n, b] = [*words, eos]",
        "goals[:n, b] = [bos, *words]",
        {"test-forcing"},
    ),
    "ends at the end of the batch": (
        "forcing",
        "goals[:n, b] = [*words, eos]",
        "goals[: n - 1, b] = words; goals[-1, b] = eos",
        {"test-forcing-pad"},
    ),
    "end not learned": (
        "forcing",
        "mask[:n, b] = 1",
        "mask[: n - 1, b] = 1",
        {"test-forcing-mask"},
    ),
    "padding in the mask": ("forcing", "mask[:n, b] = 1", "mask[:, b] = 1", {"test-forcing-mask"}),
    "mean over the steps": (
        "log-p",
        "(chosen * mask).sum(axis=0)",
        "(chosen * mask).sum(axis=0) / np.sum(mask, axis=0)",
        {"test-log-p"},
    ),
    "loss over padding": ("log-p", "chosen * mask", "chosen * 1", {"test-log-p-mask"}),
    "padding at the price of a guess": (
        "log-p",
        "(chosen * mask)",
        "(chosen * mask - (1 - mask) * np.log(scores.shape[-1]))",
        {"test-log-p-mask"},
    ),
    "reads the begin mark at each step": (
        "greedy",
        "step(words, state)",
        "step(np.full(B, bos), state)",
        {"test-greedy"},
    ),
    "state not handed on": ("greedy", "scores, state =", "scores, _ =", {"test-greedy"}),
    "end does not stop a sentence": (
        "greedy",
        "np.where(ended, pad, words)",
        "words",
        {"test-greedy-eos"},
    ),
    "goes on to the last step": ("greedy", "if ended.all():", "if False:", {"test-greedy-stop"}),
    "first end stops all": ("greedy", "ended.all()", "ended.any()", {"test-greedy-stop"}),
    "no clipping by hand": (
        "by-hand",
        "min(written.count(word), right.count(word))",
        "written.count(word)",
        {"test-hits"},
    ),
    "lengths exchanged": (
        "by-hand",
        "len(right) / len(written)",
        "len(written) / len(right)",
        {"test-penalty"},
    ),
    "no clipping": (
        "clip",
        "min(mine.count(piece), allowed)",
        "mine.count(piece) if allowed else 0",
        {"test-clip"},
    ),
    "references added up": ("clip", "allowed = max(", "allowed = sum(", {"test-clip"}),
    "first reference only": (
        "clip",
        "for words in references)",
        "for words in references[:1])",
        {"test-clip-many"},
    ),
    "last reference that has the piece": (
        "clip",
        "max(pieces(words).count(piece) for words in references)",
        "[0, *filter(None, (pieces(words).count(piece) for words in references))][-1]",
        {"test-clip-many"},
    ),
    "first reference that has the piece": (
        "clip",
        "max(pieces(words).count(piece) for words in references)",
        "[*filter(None, (pieces(words).count(piece) for words in references)), 0][0]",
        {"test-clip-many"},
    ),
    "long texts rewarded": ("brevity", "min(0, 1 - r / m)", "1 - r / m", {"test-brevity"}),
    "scores not accumulated": (
        "beam",
        "total = log_p[:, None] + next_log_p",
        "total = next_log_p.copy()",
        {"test-beam", "test-beam-ended"},
    ),
    "ended text goes on": (
        "beam",
        "total[ended] = -np.inf\n    total[ended, eos] = log_p[ended]",
        "pass",
        {"test-beam-ended"},
    ),
    "ended text for nothing": (
        "beam",
        "total[ended, eos] = log_p[ended]",
        "total[ended, eos] = 0.0",
        {"test-beam-ended"},
    ),
    "length penalty upside down": (
        "choose",
        "/ np.asarray(lengths)",
        "* np.asarray(lengths)",
        {"test-choose"},
    ),
}

OTHER = {
    "lists and torch": {
        "forcing": """
def teacher_batch(sentences, bos, eos, pad):
    steps = 1 + max(map(len, sentences))
    columns = [[], [], []]
    for s in sentences:
        rest = steps - len(s) - 1
        columns[0].append([bos] + list(s) + [pad] * rest)
        columns[1].append(list(s) + [eos] + [pad] * rest)
        columns[2].append([True] * (len(s) + 1) + [False] * rest)
    return tuple([list(row) for row in zip(*c)] for c in columns)
""",
        "log-p": """
def sentence_log_p(scores, goals, mask):
    import torch
    z = torch.tensor(scores, dtype=torch.float32).log_softmax(-1)
    result = []
    for i in range(z.shape[1]):
        steps = [t for t in range(z.shape[0]) if mask[t, i]]
        result.append(sum(z[t, i, int(goals[t, i])] for t in steps))
    return torch.stack(result)
""",
        "greedy": """
def greedy(step, state, B, bos, eos, pad, n):
    last, rows, running = [bos] * B, [], set(range(B))
    while len(rows) < n and running:
        scores, state = step(np.array(last), state)
        last = [int(row.argmax()) for row in scores]
        rows.append([last[i] if i in running else pad for i in range(B)])
        running -= {i for i in range(B) if last[i] == eos}
    return rows
""",
        "by-hand": """
import math
from collections import Counter
both = Counter(written) & Counter(right)
hits = np.array([float(both[word]) for word in "la de es casa y mesa".split()])
penalty = round(min(1, math.exp(1 - len(right) / len(written))), 4)
""",
        "clip": """
def clipped_hits(translation, references, n):
    from collections import Counter
    def table(text):
        return Counter(" ".join(text[i:i + n]) for i in range(len(text) + 1 - n))
    most = Counter()
    for reference in references:
        most |= table(reference)
    return [(table(translation) & most).total(), max(0, len(translation) + 1 - n)]
""",
        "brevity": """
def brevity_penalty(m, reference_lengths):
    best = None
    for r in sorted(reference_lengths):
        if best is None or abs(r - m) < abs(best - m):
            best = r
    return 1.0 if m >= best else np.float32(np.exp(1 - best / m))
""",
        "beam": """
def beam_step(log_p, ended, next_log_p, eos):
    found = []
    for i, (score, done) in enumerate(zip(log_p, ended)):
        if done:
            found.append((float(score), i, eos))
        else:
            found += [(float(score + q), i, w) for w, q in enumerate(next_log_p[i])]
    found.sort(key=lambda one: -one[0])
    found = found[:len(log_p)]
    return [f[1] for f in found], [f[2] for f in found], np.float32([f[0] for f in found])
""",
        "choose": """
def choose(log_p, lengths, alpha):
    values = [p / float(t) ** alpha for p, t in zip(log_p, lengths)]
    return values.index(max(values))
""",
    },
}
