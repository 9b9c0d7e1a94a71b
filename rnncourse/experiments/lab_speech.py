"""Who understands spoken digits: stored templates, or a network that nobody showed the words.

Strings of three to five digits, synthesized. *templates* compares with words that somebody cut out,
by dynamic time warping over log-mel frames. *both* is an LSTM that reads in both directions,
trained with CTC, and *forward* an LSTM of equal size that reads in one.

What varies
    The model, its knob and the seed. Besides: the number of voices in training (16 or 2), and the
    noises in training (``"quiet hiss hum"``, or with ``babble`` besides).

What is held equal
    A seed draws the voices, the recordings, the noises and the tests; all models get the same. The
    features are 24 log-mel bands, 50 frames a second, minus each recording's mean. The networks
    have about 15000 weights, Adam, 200 updates of 32 recordings, one learning-rate cycle, clipping
    at norm 1, and 400 recordings whatever the number of voices. The templates are each training
    voice's ten digits, said once.

How each side is tuned
    A network has one knob with three values, the highest learning rate. Templates have two: how
    many copies are stored (``knob``; 1 is quiet, 2 has one in hiss of 15 dB besides, 3 one of 5 dB
    too) and, chosen inside of each run, the penalty of a word. Both choose by ``valid``, voices
    that nobody heard in hiss and hum. With 2 voices, and with babble in training, networks have the
    one rate 0.02.

What this leaves open
    No dropout, no larger network, no longer training. The language model's weight is 1, not tuned.
    The voices are a synthesizer's, with one way to say each word.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.speech import (
    PRONUNCIATIONS,
    Speaker,
    Utterance,
    draw_noise,
    draw_speaker,
    log_mel,
    mix,
    speak,
)
from rnncourse.decoding import ctc_beam_search, ctc_greedy
from rnncourse.metrics import error_rate
from rnncourse.ngram import NGram
from rnncourse.templates import Templates
from rnncourse.torch import LSTM
from rnncourse.training import DivergenceError, fit

__all__ = ["KNOBS", "SEEDS", "SETTINGS", "Listener", "run"]

RATES = (0.01, 0.02, 0.04)
KNOBS = {"both": RATES, "forward": RATES, "templates": (1, 2, 3)}
PENALTIES = (-2, 0, 2)
USUAL, MORE = "quiet hiss hum", "quiet hiss hum babble"
SETTINGS = [
    {"model": model, "voices": 16, "noises": USUAL, "knob": knob}
    for model, knobs in KNOBS.items()
    for knob in knobs
]
SETTINGS += [
    {"model": "templates", "voices": 2, "noises": USUAL, "knob": knob}
    for knob in KNOBS["templates"]
]
SETTINGS += [
    {"model": "both", "voices": 2, "noises": USUAL, "knob": 0.02},
    {"model": "both", "voices": 16, "noises": MORE, "knob": 0.02},
]
SEEDS = range(5)

CHEAP = {"model": "templates", "voices": 2, "noises": USUAL, "knob": 2}
TOLERANCE = {"parameters": 0, "valid": 0.5, "new": 0.5, "hiss10": 1, "babble10": 1}

HOP = 160  # samples from frame to frame: 20 ms
UNITS = {"both": 32, "forward": 49}
UPDATES, BATCH, RECORDINGS, TESTS = 200, 32, 400, 40
LEVELS = (20, 10, 5, 0)  # dB

Frames = NDArray[np.float32]


class Said(NamedTuple):
    """A recording as the models get it, and what is said in it."""

    x: Frames  # (T, 24)
    digits: list[int]
    spans: NDArray[np.int64]  # (S, 2): first frame of each digit, and the one after its last
    waveform: NDArray[np.float32]


class Listener(nn.Module):
    """One LSTM layer and an output layer: ``(T, B, 24)`` to log probabilities ``(T, B, 11)``."""

    def __init__(self, H: int, bidirectional: bool) -> None:
        super().__init__()
        self.layer = LSTM(24, H, bidirectional=bidirectional)
        self.out = nn.Linear(H * (1 + bidirectional), 11)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return log probabilities of the blank, 0, and of the digits, from 1."""
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        h = nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0])[0]
        log_probs: Tensor = self.out(h).log_softmax(-1)
        return log_probs


def features(waveform: NDArray[np.float32]) -> Frames:
    """Return 24 log-mel bands, 50 frames a second, each band minus its mean, over 2."""
    bands = log_mel(waveform, 24, hop=HOP)
    return np.asarray((bands - bands.mean(0)) / 2, np.float32)


def words_of(said: Utterance) -> NDArray[np.int64]:
    """Return the first frame of each digit, and the one after its last, ``(S, 2)``."""
    ends = np.cumsum([len(PRONUNCIATIONS[d]) for d in said.digits])
    starts = np.concatenate([[0], ends[:-1]])
    first, last = said.spans[starts, 0] // HOP, said.spans[ends - 1, 1] // HOP
    return np.stack([first, np.maximum(last, first + 2)], 1)


def prepare(said: Utterance, waveform: NDArray[np.float32] | None = None) -> Said:
    """Return the features of an utterance, or of the same with noise."""
    wave = said.waveform if waveform is None else waveform
    return Said(features(wave), list(said.digits), words_of(said), wave)


def draw_child(rng: np.random.Generator, pitch: bool = True, formants: bool = True) -> Speaker:
    """Draw a voice beyond those of training: higher, or from a shorter throat, or both."""
    voice = draw_speaker(rng)
    if pitch:
        voice = voice._replace(pitch=rng.uniform(250, 320))
    if formants:
        voice = voice._replace(formants=rng.uniform(1.17, 1.25))
    return voice


def draw_time(rng: np.random.Generator) -> list[int]:
    """Draw a time of departure: any hour, and a minute that is a multiple of five."""
    return [int(d) for d in f"{rng.integers(24):02d}{5 * rng.integers(12):02d}"]


def any_digits(rng: np.random.Generator) -> list[int]:
    """Draw three to five digits."""
    drawn: list[int] = rng.integers(10, size=rng.integers(3, 6)).tolist()
    return drawn


@cache
def language() -> NGram:
    """Return five-grams of 1000 times of departure, as labels; 0 stands between them."""
    rng = np.random.default_rng(0)
    text = [label for _ in range(1000) for label in (0, *(d + 1 for d in draw_time(rng)))]
    return NGram(order=5, n_symbols=11).fit([*text, 0])


def next_label(text: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the language model's log probabilities of the next label; 0 is the end."""
    found: NDArray[np.float64] = np.log(language().probs([0, *text]))
    return found


@cache
def training_set(voices: int, noises: str, seed: int) -> tuple[list[Speaker], list[Said]]:
    """Return the voices, and recordings with the noises in turn, at 0 to 30 dB."""
    rng = np.random.default_rng([seed, voices])
    speakers = [draw_speaker(rng) for _ in range(voices)]
    kinds, said = noises.split(), []
    for i in range(RECORDINGS):
        spoken = speak(any_digits(rng), speakers[rng.integers(voices)], rng)
        kind, wave = kinds[i % len(kinds)], spoken.waveform
        if kind != "quiet":
            wave = mix(wave, draw_noise(len(wave), rng, kind), rng.uniform(0, 30))
        said.append(prepare(spoken, wave))
    return speakers, said


@cache
def tests(seed: int) -> dict[str, list[Said]]:
    """Return the tests whose voices nobody has heard, and ``valid``."""
    rng = np.random.default_rng([seed, 77])
    found, valid = {}, []
    for i in range(TESTS):
        spoken = speak(any_digits(rng), draw_speaker(rng), rng)
        noise = draw_noise(len(spoken.waveform), rng, ("hiss", "hum")[i % 2])
        valid.append(prepare(spoken, mix(spoken.waveform, noise, (0, 5, 10, 20)[i // 2 % 4])))
    found["valid"] = valid
    new = [speak(any_digits(rng), draw_speaker(rng), rng) for _ in range(TESTS)]
    found["new"] = [prepare(spoken) for spoken in new]
    for name, pitch, formants in (("child", True, True), ("pitch", True, False),
                                  ("throat", False, True)):  # fmt: skip
        voices = [draw_child(rng, pitch, formants) for _ in range(TESTS)]
        found[name] = [prepare(speak(any_digits(rng), voice, rng)) for voice in voices]
    for kind, levels in (("hiss", LEVELS), ("babble", LEVELS), ("hum", (10,))):
        noises = [draw_noise(len(spoken.waveform), rng, kind) for spoken in new]
        for snr in levels:
            found[f"{kind}{snr}"] = [
                prepare(spoken, mix(spoken.waveform, noise, snr))
                for spoken, noise in zip(new, noises, strict=True)
            ]
    for name in ("times", "others"):  # four digits each, in the hiss that is hardest
        found[name] = []
        for _ in range(TESTS):
            digits = draw_time(rng) if name == "times" else rng.integers(10, size=4).tolist()
            spoken = speak(digits, draw_speaker(rng), rng)
            noise = draw_noise(len(spoken.waveform), rng)
            found[name].append(prepare(spoken, mix(spoken.waveform, noise, 0)))
    return found


def pad(said: Sequence[Said], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Put recordings side by side, ``(T, B, 24)``, and return their lengths, on the CPU."""
    lengths = torch.tensor([len(one.x) for one in said])
    x = nn.utils.rnn.pad_sequence([torch.from_numpy(one.x) for one in said])
    return x.to(device), lengths


def build(model: str, seed: int) -> Listener:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Listener(UNITS[model], model == "both")


def train(net: Listener, said: Sequence[Said], rate: float, seed: int, device: str) -> bool:
    """Train a network; return whether its losses and gradients stayed finite."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=UPDATES)
    batches = (
        [said[i] for i in rng.choice(len(said), BATCH, replace=False)] for _ in range(UPDATES)
    )

    def loss(net: Listener, batch: list[Said]) -> Tensor:
        x, lengths = pad(batch, device)
        targets = torch.tensor([d + 1 for one in batch for d in one.digits])
        counts = torch.tensor([len(one.digits) for one in batch])
        return F.ctc_loss(net(x, lengths), targets.to(device), lengths, counts)

    try:
        fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=cycle, progress=False)
    except DivergenceError:
        return False
    return True


def listen(net: Listener, said: Sequence[Said], device: str) -> list[NDArray[np.float32]]:
    """Return the log probabilities of each recording, ``(T, 11)``."""
    x, lengths = pad(said, device)
    with torch.no_grad():
        scores = net(x, lengths).cpu().numpy()
    return [scores[:n, b] for b, n in enumerate(lengths)]


def percent(heard: Sequence[Sequence[int]], said: Sequence[Said]) -> float:
    """Return the error rate of labels, which start at 1, in percent."""
    return 100 * error_rate([[c - 1 for c in text] for text in heard], [s.digits for s in said])


def spikes(scores: NDArray[np.float32]) -> list[int]:
    """Return where the best path enters each label and is surest of it, one frame per label."""
    path = scores.argmax(1)
    found: list[int] = []
    edges = np.flatnonzero(np.diff(path, prepend=0, append=0))
    for a, b in pairwise(edges):
        if path[a]:
            found.append(int(a + scores[a:b, path[a]].argmax()))
    return found


def places(scores: Sequence[NDArray[np.float32]], said: Sequence[Said]) -> NDArray[np.float64]:
    """Return where in its word each spike is, 0 at the start and 1 at the end.

    Only of recordings whose digits are all right.
    """
    found = [
        (t + 0.5 - start) / (stop - start)
        for score, one in zip(scores, said, strict=True)
        if [c - 1 for c in ctc_greedy(score)] == one.digits
        for t, (start, stop) in zip(spikes(score), one.spans, strict=True)
    ]
    return np.array(found)


def store(speakers: Sequence[Speaker], copies: int, seed: int) -> Templates:
    """Let each voice say the ten digits once, and cut them at the true edges.

    Copies with hiss are stored besides: one of 15 dB if there are two, one of 5 dB too if three.
    """
    rng = np.random.default_rng([seed, 78])
    frames: list[Frames] = []
    words: list[int] = []
    for speaker in speakers:
        spoken = speak(list(range(10)), speaker, rng)
        noise = draw_noise(len(spoken.waveform), rng)
        noisy = [mix(spoken.waveform, noise, snr) for snr in (15, 5)]
        for wave in [spoken.waveform, *noisy][:copies]:
            said = prepare(spoken, wave)
            frames += [said.x[a:b] for a, b in said.spans]
            frames.append(said.x[:2])  # what is heard before the first word
            words += [*range(10), -1]
    return Templates(frames, words)


def run(
    model: str, voices: int, noises: str, knob: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train or store one model, and test it.

    Returns
    -------
    figures
        Digit error rates in percent: ``known`` voices, ``new`` ones, a ``child``, its ``pitch`` or
        its ``throat`` alone, and new voices in noise of so many dB. Of networks also ``place`` and
        ``inside``: where in its word the spike of a digit is, and the share that is within it; of
        *both* ``greedy``, ``beam`` and ``language`` for times of departure in hiss of 0 dB, and
        the same for ``others``, which are any four digits.
    """
    speakers, training = training_set(voices, noises, seed)
    asked = dict(tests(seed))
    rng = np.random.default_rng([seed, 79])
    asked["known"] = [
        prepare(speak(any_digits(rng), speakers[i % voices], rng)) for i in range(TESTS)
    ]
    strings = {"times": asked.pop("times"), "others": asked.pop("others")}
    figures: dict[str, float] = {}
    if model == "templates":
        stored = store(speakers, int(knob), seed)
        figures["parameters"] = stored.stored.size

        def errors(said: list[Said], penalty: float) -> float:
            heard = [stored.recognize(one.x, penalty).words for one in said]
            return percent([[d + 1 for d in text] for text in heard], said)

        valid = {penalty: errors(asked["valid"], penalty) for penalty in PENALTIES}
        penalty = min(valid, key=valid.__getitem__)
        figures["penalty"] = penalty
        figures |= {name: errors(said, penalty) for name, said in asked.items()}
        return figures
    net = build(model, seed).to(device)
    figures["parameters"] = sum(p.numel() for p in net.parameters())
    if not train(net, training, knob, seed, device):
        return figures
    net.eval()
    scores = {name: listen(net, said, device) for name, said in asked.items()}
    for name, found in scores.items():
        figures[name] = percent([ctc_greedy(score) for score in found], asked[name])
    where = places(scores["new"], asked["new"])
    figures |= {"place": where.mean(), "inside": 100 * ((where > 0) & (where < 1)).mean()}
    if model == "both":
        for name, said in strings.items():
            found = listen(net, said, device)
            start = "" if name == "times" else "others_"
            figures[f"{start}greedy"] = percent([ctc_greedy(score) for score in found], said)
            for kind, helper in (("beam", None), ("language", next_label)):
                texts = [
                    ctc_beam_search(score, 8, language=helper, end=0 if helper else None)[0].labels
                    for score in found
                ]
                figures[start + kind] = percent(texts, said)
    return figures
