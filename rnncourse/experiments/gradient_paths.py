"""What carries a gradient to a word far back, and what carries it to a layer far down.

``steps``: how large is the gradient of a loss at the last step with respect to the inputs 1, 2, 4
and up to 64 steps before? Networks differ in two ways that are often mixed up. They compute the
steps of a sequence *one after the other* or all at the *same time*; and they have a *direct* path
to each step, by attention to all, or only paths from neighbor to neighbor.

``layers``: how large is the gradient with respect to the embeddings, in transformers of 1 to 32
layers, as they are, and with the sums (residual connections) or the norms or both taken out?

What varies
    The network, and the seed, which draws weights and inputs.

What is held equal
    64 features or units, 4 heads, 65 steps, 16 sequences of numbers with mean 0 and variance 1, and
    a loss that is the product of the output with random numbers. Weights have the start that they
    have before training: nothing is trained here.
"""

import torch
from torch import nn

from rnncourse.experiments._paths import FORGET, Recurrent, drawn, transformer

E, STEPS, SEQUENCES = 64, 65, 16
DISTANCES = (1, 2, 4, 8, 16, 32, 64)
OVER_STEPS = {
    "RNN": lambda: Recurrent(E, E, "RNN"),
    "LSTM, forget bias 0": lambda: Recurrent(E, E, "LSTM"),
    "LSTM, forget bias 5": lambda: Recurrent(E, E, "LSTM", FORGET),
    "transformer of neighbors": lambda: transformer(E, 64, reach=1),
    "RNN that looks": lambda: Recurrent(E, E, "RNN", looks=True),
    "transformer": lambda: transformer(E, 2),
}
SETTINGS = [
    *({"over": "steps", "network": network, "layers": 0} for network in OVER_STEPS),
    *(
        {"over": "layers", "network": without, "layers": layers}
        for without in ("nothing", "sums", "norms", "both")
        for layers in (1, 2, 4, 8, 16, 32)
    ),
]
SEEDS = range(5)

CHEAP = {"over": "steps", "network": "transformer", "layers": 0}
TOLERANCE = {"at_1": 0.01, "at_64": 0.01}


def run(over: str, network: str, layers: int, *, seed: int, device: str) -> dict[str, float]:
    """Measure one network.

    Returns
    -------
    figures
        ``at_1`` to ``at_64``, the mean length of the gradient so many steps before the last one,
        relative to that at the last step; or ``left``, the length of the gradient that arrives at
        the embeddings, relative to that at the output of the last layer; ``spread``, how different
        the steps of the output are: the standard deviation over the steps, relative to the root
        mean square.
    """
    make = OVER_STEPS[network] if over == "steps" else lambda: transformer(E, layers, None, network)
    model: nn.Module = drawn(seed, make).to(device)
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(STEPS, SEQUENCES, E, generator=chance).to(device).requires_grad_()
    u = torch.randn(STEPS, SEQUENCES, E, generator=chance).to(device)
    if over == "steps":
        loss = (model(x)[-1] * u[-1]).sum()
        lengths = torch.autograd.grad(loss, x)[0].norm(dim=-1).mean(1)  # (T,)
        return {f"at_{d}": float(lengths[-1 - d] / lengths[-1]) for d in DISTANCES}
    blocks, last = model[:-1], model[-1]  # type: ignore[index]
    out = blocks(x)
    above = torch.autograd.grad((last(out) * u).sum(), out, retain_graph=True)[0]
    below = torch.autograd.grad((last(out) * u).sum(), x)[0]
    spread = (out - out.mean(0)).square().mean().sqrt() / out.square().mean().sqrt()
    return {"left": (below.norm() / above.norm()).item(), "spread": spread.item()}
