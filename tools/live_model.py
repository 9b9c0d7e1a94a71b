"""Make the weights of chapter 3's network that travel with the package, and those for the page.

    python -m tools.live_model            train, and write all files
    python -m tools.live_model --page     write the page's files from the package's

The first trains the network, which takes a minute: seed 0, as in the chapter. The same versions of
Python and PyTorch on the same kind of processor write the same files.
"""

import argparse
import base64
import json
import sys
from collections.abc import Sequence

import torch

from rnncourse.interact import live_network
from rnncourse.weights import CHARACTER_RNN, read_weights, save_weights
from tools.notebooks import ROOT

PAGE = ROOT / "book" / "_static" / "live-rnn-weights.js"
SNIPPET = PAGE.with_name("live-rnn.html")  # for a page without code: {raw} html with :file:


def make() -> None:
    """Train the network, and write it to the package with half the digits."""
    from rnncourse.experiments import quantized_rnn as trainer

    torch.set_num_threads(1)
    model, (_, _, symbols) = trainer.trained(6, 0, "cpu"), trainer.manual()
    facts = {
        "cell": "rnn",
        "nonlinearity": "tanh",
        "symbols": list(symbols.tokens),
        "trained": "six passes over the training part of Python's manual, seed 0",
        "python": sys.version.split()[0],
    }
    CHARACTER_RNN.parent.mkdir(exist_ok=True)
    halves = {name: w.half() for name, w in model.state_dict().items()}
    save_weights(CHARACTER_RNN, halves, facts)


def page() -> str:
    """Return a script that defines the weights: float16, little endian, in base64."""
    weights, facts = read_weights(CHARACTER_RNN)
    parts = {}
    for name, weight in sorted(weights.items()):
        numbers = weight.numpy().astype("<f2")
        code = base64.b64encode(numbers.tobytes()).decode()
        parts[name] = {"shape": list(numbers.shape), "float16": code}
    content = json.dumps({"symbols": facts["symbols"], "weights": parts}, separators=(",", ":"))
    return f"// Written by `python -m tools.live_model`.\nwindow.liveRnnWeights={content};\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", action="store_true", help="keep the package's weights")
    if not parser.parse_args(arguments).page:
        make()
    PAGE.write_text(page(), encoding="utf-8")
    SNIPPET.write_text(live_network()._repr_html_(), encoding="utf-8")


if __name__ == "__main__":
    main()
