"""Weights in a file, with what must be known to use them; anything else is refused.

The file is in the format *safetensors*: a short description in JSON, then the numbers. Reading it
runs no code, which a pickle may.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

CHARACTER_RNN = Path(__file__).parent / "data" / "character_rnn.safetensors"
"""Chapter 3's character model, trained as there; in float16."""

MANUAL_TRANSFORMER = Path(__file__).parent / "data" / "manual_transformer.safetensors"
"""A transformer that writes like Python's manual, for chapter 11; in float16."""

_KEY = "rnncourse"  # of the facts, among the file's metadata


def save_weights(
    path: str | os.PathLike[str],
    weights: nn.Module | Mapping[str, Tensor],
    facts: Mapping[str, Any],
) -> None:
    """Write weights and facts into one file, which is complete or not there.

    Parameters
    ----------
    path
        The file. Another one is written and then renamed to it.
    weights
        A model, or tensors by name.
    facts
        What :func:`load_weights` compares, and what else is needed: settings, symbols. Numbers,
        texts, lists and dictionaries.

    Raises
    ------
    TypeError
        If a weight is not a tensor, or a fact cannot be written as JSON.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/model", nn.Linear(2, 3), {"layer": "linear"})
    ...     load_weights(f"{folder}/model", nn.Linear(2, 3), {"layer": "linear"})
    {'layer': 'linear'}
    """
    found = weights.state_dict() if isinstance(weights, nn.Module) else dict(weights)
    if not all(isinstance(w, Tensor) for w in found.values()):
        raise TypeError(f"weights: expected a model or tensors by name, got {weights!r}")
    try:
        text = json.dumps(dict(facts), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"facts: expected numbers, texts and lists, got {error}") from error
    target = Path(path)
    new = target.with_name(target.name + ".new")
    # Weights that share memory, or are views of others, are written as they are seen.
    save_file(
        {k: w.detach().cpu().clone().contiguous() for k, w in found.items()}, new, {_KEY: text}
    )
    os.replace(new, target)


def read_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and facts.

    Returns
    -------
    weights, facts
        Tensors by name, on the CPU, and what :func:`save_weights` was given.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is truncated, of another kind, or without facts.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"path: expected a complete safetensors file, got {path}, "
            f"{path.stat().st_size} bytes: {error}"
        ) from error
    try:
        facts = json.loads(metadata[_KEY])
    except (KeyError, ValueError) as error:
        raise ValueError(f"path: expected a file of save_weights, got {path}") from error
    return weights, facts


def load_weights(
    path: str | os.PathLike[str],
    model: nn.Module,
    expected: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> dict[str, Any]:
    """Give a model the weights of a file, all of them or none.

    Names and shapes do not say everything: a network with tanh and one with ReLU have the same. So
    name what matters in ``expected``.

    Parameters
    ----------
    path
        What :func:`save_weights` has written.
    model
        Its parameters and buffers are replaced, and keep their dtype and device.
    expected
        Facts that the file must state.
    dtype
        Of the numbers in the file, where it is not that of the model.

    Returns
    -------
    facts
        All facts of the file.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the file is damaged or of another kind, it states other facts, names or shapes are not
        the model's, or a number is not finite. The model stays as it was.
    TypeError
        If the numbers have another dtype. The model stays as it was.
    """
    weights, facts = read_weights(path)
    for name, value in (expected or {}).items():
        if name not in facts or facts[name] != value:
            got = repr(facts[name]) if name in facts else "nothing"
            raise ValueError(f"{name}: expected {value!r}, got {got} in {path}")
    own = model.state_dict()
    for names, word in ((own.keys() - weights, "without"), (weights.keys() - own, "with")):
        if names:
            raise ValueError(
                f"path: expected the weights of {type(model).__name__}, got {path} "
                f"{word} {', '.join(sorted(names))}"
            )
    for name, weight in weights.items():
        if weight.shape != own[name].shape:
            raise ValueError(
                f"{name}: expected shape {tuple(own[name].shape)}, got {tuple(weight.shape)} "
                f"in {path}"
            )
        wanted = own[name].dtype
        if dtype is not None and wanted.is_floating_point:
            wanted = dtype
        if weight.dtype != wanted:
            raise TypeError(f"{name}: expected dtype {wanted}, got {weight.dtype} in {path}")
        if bad := int((~weight.isfinite()).sum()):
            raise ValueError(f"{name}: expected finite numbers, got {bad} others in {path}")
    model.load_state_dict(weights)
    return facts
