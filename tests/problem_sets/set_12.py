"""Problem set 12: mistakes that students make, and solutions in another style."""

# name: (cell, what stands there, what the student writes, the test cells that must fail)
WRONG = {
    "slope in linear space": (
        "power",
        "np.polyfit(np.log(lengths[kept]), np.log(best[kept]), 1)",
        "np.polyfit(lengths[kept], best[kept], 1)",
        {"test-power"},
    ),
    "logarithm of c": (
        "power",
        "return alpha, np.exp(log_c)",
        "return alpha, log_c",
        {"test-power"},
    ),
    "fit over all lengths": ("power", "lengths >= T_min", "lengths > 0", {"test-power-long"}),
    "shortest length left out": ("power", ">= T_min", "> T_min", {"test-power-long"}),
    "warm-up counted": ("power", "[:, 1:]", "", {"test-power-runs"}),
    "mean of the runs": ("power", ".min(axis=1)", ".mean(axis=1)", {"test-power-runs"}),
    "keys without values": ("cache", "return 2 * layers", "return layers", {"test-cache"}),
    "heads counted twice": ("cache", "G * (E // N)", "G * E", {"test-cache"}),
    "shared heads ignored": ("cache", "G * (E // N)", "N * (E // N)", {"test-cache-shared"}),
    "window ignored": ("cache", "min(T, window)", "T", {"test-cache-window"}),
    "window always full": ("cache", "min(T, window)", "window", {"test-cache-window"}),
    "context without values": ("context", "= 2 * layers", "= layers", {"test-context"}),
    "numbers for bytes": ("context", "E * 2", "E", {"test-context"}),
    "output weights counted": ("size", "+ V\n", "+ V * E + V\n", {"test-size"}),
    "one bias vector in the GRU": ("size", "+ 2 * E),", "+ E),", {"test-size-mixers"}),
    "closest width": (
        "widest",
        "while count(E + multiple) <= budget:",
        "while abs(count(E + multiple) - budget) < abs(count(E) - budget):",
        {"test-widest"},
    ),
    "lamp of two positions alone": ("lamp", "-(m - 1)", "-1", {"test-counter"}),
    "threshold too high": ("lamp", "0.5 - np", "-np", {"test-lamp", "test-counter"}),
    "best loss for last": ("judge", "[-1, 2]", "[:, 2].min()", {"test-judge"}),
    "start-up counted": ("judge", " - log[0, column]", "", {"test-judge-clock"}),
    "mean over seeds": ("judge", "np.median", "np.mean", {"test-judge-seeds"}),
}

OTHER = {
    "loops and lists": {
        "power": """
import math


def fit_power(lengths, times, T_min):
    points = []
    for T, row in zip(lengths, times):
        if T >= T_min:
            points.append((math.log(T), math.log(min(float(s) for s in row[1:]))))
    n = len(points)
    x_mean = sum(x for x, _ in points) / n
    y_mean = sum(y for _, y in points) / n
    top = sum((x - x_mean) * (y - y_mean) for x, y in points)
    slope = top / sum((x - x_mean) ** 2 for x, _ in points)
    return np.float32(slope), np.float32(math.exp(y_mean - slope * x_mean))
""",
        "cache": """
def cache_numbers(T, B, layers, E, N, G, window=None):
    total = 0
    for symbol in range(T):
        if window is None or symbol >= T - window:
            for tensor in ("key", "value"):
                total += layers * B * G * E / N
    return total
""",
        "context": """
longest = 0
while (longest + 1) * B * layers * E * 4 <= M * 1_000_000:
    longest += 1
""",
        "size": """
def count_frame(mixer, V, E, layers):
    shapes = [(V, E), (V,), (2, E)]
    for _ in range(layers):
        shapes += [(2, E), (2, E), (4 * E, E), (4 * E,), (E, 4 * E), (E,)]
        if mixer == "attention":
            shapes += [(E, E)] * 4
        elif mixer == "GRU":
            shapes += [(3 * E, E), (3 * E, E), (3 * E,), (3 * E,)]
        else:
            shapes += [(2 * E, E), (2 * E,)]
    return sum(np.prod(shape) for shape in shapes)
""",
        "widest": """
def widest(count, budget, multiple):
    fitting = [E for E in range(multiple, 2000, multiple) if count(E) <= budget]
    return max(fitting)
""",
        "lamp": """
def counter(m):
    rows, bias = [], []
    for k in range(1, m + 1):
        rows.append([2.0] * (m - 1) + [2.0 * (1 - m)])
        bias.append(1.0 - 2 * k)
    return [[2.0] for _ in range(m)], rows, bias, [1.0] * (m - 1) + [1.0 - m]
""",
        "judge": """
def result(runs, budget, unit):
    ends = []
    for rows in runs:
        begin = rows[0][1]
        for update, seconds, loss in rows:
            spent = update if unit == "updates" else seconds - begin
            if spent <= budget:
                end = loss
        ends.append(end)
    return sorted(ends)[len(ends) // 2]
""",
    },
}
