"""Train a model of characters, in one process or in several that share each batch.

    python -m rnncourse.train --out run
    torchrun --nproc-per-node 2 --max-restarts 3 -m rnncourse.train --out run

Without ``--text`` it reads Python's own manual. The same command goes on from the last checkpoint
in the folder. The loss does not depend on the number of processes, up to rounding: they share the
streams of each batch, and DistributedDataParallel takes the mean of their gradients.
"""

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from rnncourse.checkpoint import Checkpoint
from rnncourse.data.corpus import Corpus, Streams, encode_files, open_corpus
from rnncourse.data.text import python_manual
from rnncourse.torch import GRU, LSTM, RNN
from rnncourse.training import fit

CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
State = tuple[Tensor, ...]
Batch = tuple[Tensor, Tensor, bool]


class CharModel(nn.Module):
    """Embedding, recurrent layers, output.

    Parameters
    ----------
    n_chars
        Symbols V.
    cell
        ``"rnn"``, ``"gru"`` or ``"lstm"``.
    embed_size, hidden_size, num_layers
        Of the layers.
    """

    def __init__(
        self, n_chars: int, cell: str, embed_size: int, hidden_size: int, num_layers: int
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_chars, embed_size)
        self.rnn = CELLS[cell](embed_size, hidden_size, num_layers)
        self.out = nn.Linear(hidden_size, n_chars)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Score the next symbols: ``(T, B)`` to ``(T, B, V)``; states are ``(layers, B, H)``."""
        given = state if state is None or len(state) > 1 else state[0]
        h, new = self.rnn(self.embed(x), given)
        return self.out(h), new if isinstance(new, tuple) else (new,)


def _store_of_this_start() -> Any:
    """Return torchrun's store, under names that no earlier start of these workers has used.

    torchrun keeps one store over all restarts, and workers that find addresses of dead ones in it
    wait for them in vain. On one machine all workers know how often they were restarted. On
    several, set ``TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1`` for torchrun: each start then has a store
    of its own.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
    start = f"restart {os.environ['TORCHELASTIC_RESTART_COUNT']}"
    return dist.PrefixStore(start, store)  # type: ignore[attr-defined]


class Group:
    """The processes that train together; one alone is a group too.

    Attributes
    ----------
    rank, world
        Number of this process, and of all of them.
    device
        What this process computes on.
    """

    def __init__(self, device: str) -> None:
        self.rank, self.world = (
            int(os.environ.get(n, d)) for n, d in [("RANK", 0), ("WORLD_SIZE", 1)]
        )
        self.together = "RANK" in os.environ  # started by torchrun
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device(f"cuda:{local}" if device == "cuda" else device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.together:
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            store = (
                _store_of_this_start()
                if os.environ["LOCAL_WORLD_SIZE"] == str(self.world)
                else None
            )
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world)

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if not self.together:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.world

    def gather(self, share: Tensor) -> Tensor:
        """Put together the shares ``(layers, B / world, H)`` of a state, on all processes."""
        if not self.together:
            return share
        shares = [torch.empty_like(share) for _ in range(self.world)]
        dist.all_gather(shares, share.contiguous())
        return torch.cat(shares, dim=1)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.together:
            dist.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.together:
            dist.destroy_process_group()


class Carried:
    """The state that this process carries from batch to batch; a checkpoint has that of all."""

    def __init__(self, group: Group, mine: range) -> None:
        self.group, self.mine = group, mine
        self.state: State | None = None
        self.whole: State | None = None

    def gather(self) -> None:
        """Collect the whole state. All processes call this together, before a checkpoint."""
        if self.state is not None:
            self.whole = tuple(self.group.gather(part) for part in self.state)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all streams."""
        return {"whole": None if self.whole is None else [part.cpu() for part in self.whole]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take this process's share of the state of all streams."""
        whole, streams = state["whole"], slice(self.mine.start, self.mine.stop)
        if whole is not None:
            device = self.group.device
            self.state = tuple(part[:, streams].contiguous().to(device) for part in whole)


class Batches:
    """Batches from one training step to another, in as many passes as that takes."""

    def __init__(self, streams: Streams, start: int, stop: int, device: torch.device) -> None:
        self.streams, self.steps, self.device = streams, range(start, stop), device

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        """Yield ``x`` and ``y``, ``(T, B / world)`` each, and whether a pass begins."""
        for step in self.steps:
            n = step % self.streams.n_batches
            x, y = (torch.from_numpy(part).to(self.device) for part in self.streams[n])
            yield x, y, n == 0


def whole_number(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return int(text)


def positive(text: str) -> float:
    """Read a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


class _Help(argparse.RawDescriptionHelpFormatter):
    """Adds the default to what is said of an argument, where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        plain = action.help or ""
        given = action.default not in (None, argparse.SUPPRESS)
        return f"{plain} (default: %(default)s)" if given else plain


EPILOG = """\
examples:
  python -m rnncourse.train --out run
  python -m rnncourse.train --out tales --text a.txt b.txt --cell lstm --hidden 512
  torchrun --nproc-per-node 2 --max-restarts 3 -m rnncourse.train --out run

in the folder of --out:
  log.csv         loss of each step; validation loss at each checkpoint, in nats
  checkpoint.pt   what training needs to go on, the weights among it
  settings.json   the arguments; another model or text needs another folder
  corpus          the encoded text, read from the disk piece by piece

Stop it with Ctrl-C, or kill it: the same command goes on from the checkpoint.
Several processes share each batch, and the loss is that of one process.
"""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m rnncourse.train",
        usage="%(prog)s --out FOLDER [--text FILE ...] [options]",
        description="Train a model of characters. The same command goes on where it was stopped.",
        epilog=EPILOG,
        formatter_class=_Help,
    )
    add = made.add_argument_group("text and files").add_argument
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for checkpoint, log and encoded text; made if it is not there",
    )
    add(
        "--text",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="UTF-8 files of any size, read in this order; without it, Python's manual",
    )
    add(
        "--held-out",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="share of the text for validation, at its end",
    )
    add = made.add_argument_group("model").add_argument
    add("--cell", choices=CELLS, default="gru", help="recurrent layer")
    add("--embed", type=whole_number, default=64, metavar="N", help="features of a character")
    add("--hidden", type=whole_number, default=256, metavar="N", help="units of a layer")
    add("--layers", type=whole_number, default=1, metavar="N", help="recurrent layers")
    add = made.add_argument_group("training").add_argument
    add("--steps", type=whole_number, default=1000, metavar="N", help="updates in all")
    add(
        "--batch",
        type=whole_number,
        default=16,
        metavar="N",
        help="streams of text side by side, over all processes together",
    )
    add(
        "--length",
        type=whole_number,
        default=64,
        metavar="N",
        help="characters of each stream in one step",
    )
    add(
        "--rate",
        type=positive,
        default=6e-3,
        help="learning rate at the start; it falls to 0 along a cosine",
    )
    add("--clip", type=positive, default=1.0, metavar="NORM", help="longest gradient allowed")
    add("--seed", type=int, default=0, metavar="N", help="of the first weights")
    add("--every", type=whole_number, default=100, metavar="N", help="steps between checkpoints")
    add("--device", choices=("cpu", "cuda"), help="without it, a GPU where PyTorch finds one")
    return made


FIXED = (
    "held_out",
    "cell",
    "embed",
    "hidden",
    "layers",
    "steps",
    "batch",
    "length",
    "rate",
    "clip",
    "seed",
)
"""What may not change when training goes on."""


class UsageError(Exception):
    """The arguments do not fit together, or not to what is in the folder."""


def settle(options: argparse.Namespace) -> None:
    """Write down the settings, or refuse others than those that the folder was begun with."""
    wanted = {name: getattr(options, name) for name in FIXED}
    wanted["text"] = [str(path.resolve()) for path in options.text or []]
    file = options.out / "settings.json"
    if not file.exists():
        file.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
        return
    known = json.loads(file.read_text(encoding="utf-8"))
    for name, value in wanted.items():
        if known.get(name) != value:
            raise UsageError(
                f"--{name.replace('_', '-')}: expected {known.get(name)}, with which {options.out} "
                f"was begun, got {value}: choose another --out to begin anew"
            )


def corpus_of(options: argparse.Namespace, group: Group) -> Corpus:
    """Encode the text on the first process, and open it on all."""
    folder = options.out / "corpus"
    if group.rank == 0 and not (folder / "corpus.json").exists():
        texts = options.text
        if texts is None:
            manual = options.out / "manual.txt"
            manual.write_text(python_manual(), encoding="utf-8")
            texts = [manual]
        encode_files(texts, folder, options.held_out)
    group.wait()
    return open_corpus(folder)


def loss_of(model: nn.Module, batch: Batch, carried: Carried) -> Tensor:
    """Return the mean loss in nats, and carry the state on."""
    x, y, begins = batch
    scores, state = model(x, None if begins else carried.state)
    carried.state = tuple(part.detach() for part in state)
    return F.cross_entropy(scores.flatten(0, 1), y.flatten())


def validate(model: nn.Module, streams: Streams, group: Group) -> float:
    """Return the loss in nats on streams of held-out text, from an empty state."""
    carried, total = Carried(group, streams.mine), 0.0
    model.eval()
    with torch.no_grad():
        for batch in Batches(streams, 0, streams.n_batches, group.device):
            total += loss_of(model, batch, carried).item()
    model.train()
    return group.mean(total / streams.n_batches)


def train(options: argparse.Namespace, group: Group) -> None:
    """Train, or go on."""
    text = corpus_of(options, group)
    streams, held_out = (
        Streams(ids, options.batch, options.length, group.rank, group.world)
        for ids in (text.train, text.valid)
    )
    torch.manual_seed(options.seed)
    model = CharModel(
        len(text.vocabulary), options.cell, options.embed, options.hidden, options.layers
    ).to(group.device)
    shared = DistributedDataParallel(model) if group.together else model
    optimizer = torch.optim.Adam(model.parameters(), lr=options.rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    carried = Carried(group, streams.mine)
    checkpoint = Checkpoint(
        options.out / "checkpoint.pt",
        every=options.every,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        carried=carried,
    )
    history = checkpoint.load()
    done = len(history)
    first = group.rank == 0
    log = options.out / "log.csv"
    if first:
        if done:
            print(f"going on after {done} of {options.steps} steps", file=sys.stderr, flush=True)
        kept = list(csv.reader(log.open(encoding="utf-8")))[: done + 1] if done else []
        with log.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(kept or [["step", "loss", "valid", "seconds"]])
    began = time.perf_counter()

    def on_step(step: int, loss: float) -> None:
        loss = group.mean(loss)
        history.rows[-1] = (loss, *history.rows[-1][1:])
        valid = ""
        if (step + 1) % options.every == 0 or step + 1 == options.steps:
            valid = f"{validate(model, held_out, group):.6f}"
            carried.gather()
            if first:
                checkpoint.save()
        if first:
            with log.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow(
                    [step + 1, f"{loss:.8f}", valid, f"{history.rows[-1][1]:.4f}"]
                )

    fit(
        model,
        lambda _, batch: loss_of(shared, batch, carried),
        Batches(streams, done, options.steps, group.device),
        optimizer,
        clip_norm=options.clip,
        scheduler=scheduler,
        on_step=on_step,
        history=history,
        progress=first,
        desc=f"{group.world} process{'es' * (group.world > 1)}",
    )
    if first:
        seconds = time.perf_counter() - began
        valid = float(list(csv.reader(log.open(encoding="utf-8")))[-1][2])
        characters = (options.steps - done) * options.batch * options.length
        print(
            f"{valid / math.log(2):.3f} bits per character on the held-out text; "
            f"{characters / max(seconds, 1e-9):,.0f} characters per second, "
            f"{characters / max(seconds, 1e-9) / group.world:,.0f} per process"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    read = parser()
    options = read.parse_args(arguments)
    if options.device is None:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    elif options.device == "cuda" and not torch.cuda.is_available():
        read.error("--device: expected a GPU for cuda, PyTorch finds none")
    world = int(os.environ.get("WORLD_SIZE", 1))
    if options.batch % world:
        read.error(f"--batch: expected a multiple of the {world} processes, got {options.batch}")
    for path in options.text or []:
        if not path.is_file():
            read.error(f"--text: expected a file, got {path}")
    group = Group(options.device)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if group.rank == 0:
            settle(options)
        train(options, group)
    except (UsageError, ValueError) as error:
        print(f"{read.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    finally:
        group.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
