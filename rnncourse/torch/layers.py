"""What RNN, GRU and LSTM share: layouts of input, layers and directions, and which pass runs."""

import math
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncourse.checks import check_choice
from rnncourse.torch.inputs import Lengths, autocasts, check_input, true_lengths
from rnncourse.torch.private import watched
from rnncourse.torch.steps import Cell, Steps, by_hand

KERNELS = ("auto", "hand-derived", "torch")

State = TypeVar("State")
Data = TypeVar("Data", bound=Tensor | PackedSequence)


class DropIn(nn.RNNBase, Generic[State]):
    """Base of :class:`RNN`, :class:`GRU` and :class:`LSTM`: all but the step itself.

    The hand-derived pass keeps its output for the gradient: to change an output in place before
    ``backward``, which ``torch.nn`` allows for RNN and GRU on a CPU, copy it first. Where PyTorch
    must see each operation (:func:`rnncourse.torch.private.watched`) or chooses its precision
    (autocast), its own pass runs, whatever ``kernel`` says.

    ``torch.jit.script`` and ``torch.fx.symbolic_trace`` refuse these layers, and what looks for the
    exact class, such as ``quantize_dynamic(model, {nn.LSTM})`` in ``torch.ao.quantization``, passes
    over them without a word. Before that, give the weights back to a layer of ``torch.nn``, with
    its ``load_state_dict(ours.state_dict())``.

    Attributes
    ----------
    kernel
        Which pass runs: ``"hand-derived"``, ``"torch"`` (PyTorch's own) or ``"auto"``, the faster
        of the two. May be set at any time; :meth:`kernel_for` tells which pass an input gets.
    """

    state_names: ClassVar[tuple[str, ...]] = ("hx",)

    # The number of steps from which the hand-derived pass is faster. With fewer, its setup costs
    # more than it saves; and without a gradient PyTorch records nothing.
    fewest_to_train: ClassVar[float] = 8
    fewest_to_infer: ClassVar[float] = math.inf

    weight_ih_l0: Tensor

    def __init__(self, kernel: str, **settings: Any) -> None:
        check_choice("kernel", kernel, KERNELS)
        super().__init__(**settings)
        self.kernel = kernel

    @classmethod
    def from_torch(cls, module: nn.RNNBase, kernel: str = "auto") -> Self:
        """Return the layer that takes the place of one of ``torch.nn`` and shares its weights.

        The parameters are the same objects, so an optimizer that has them keeps training them.

        Parameters
        ----------
        module
            A ``torch.nn.RNN`` for :class:`RNN`, and so on.
        kernel
            As for the layer itself.

        Raises
        ------
        TypeError, ValueError
            If the module is of a different class, has projections, or has parameters other than
            those of its class, as with weight normalization.

        Examples
        --------
        >>> from rnncourse.torch import GRU
        >>> theirs = nn.GRU(3, 4, batch_first=True)
        >>> ours = GRU.from_torch(theirs)
        >>> ours, ours.weight_hh_l0 is theirs.weight_hh_l0
        (GRU(3, 4, batch_first=True), True)
        """
        theirs = next(c for c in cls.__mro__ if not issubclass(c, DropIn))
        if not isinstance(module, theirs):
            got = type(module).__name__
            raise TypeError(f"module: expected torch.nn.{theirs.__name__}, got {got}")
        make: Any = cls
        settings = {n: getattr(module, n) for n in signature(make).parameters if hasattr(module, n)}
        net: Self = make(**settings | {"kernel": kernel, "device": "meta"})
        parameters = dict(module.named_parameters(recurse=False))
        if (wanted := [n for n, _ in net.named_parameters()]) != [*parameters]:
            raise ValueError(f"module: expected the parameters {wanted}, got {[*parameters]}")
        for name, parameter in parameters.items():
            setattr(net, name, parameter)
        return net.train(module.training)

    def extra_repr(self) -> str:
        """Return the settings, for ``repr``."""
        text = super().extra_repr()
        return text if self.kernel == "auto" else f"{text}, kernel={self.kernel!r}"

    if TYPE_CHECKING:  # a module of torch.nn tells an editor nothing about its arguments

        def __call__(
            self, input: Data, hx: State | None = None, lengths: Lengths | None = None
        ) -> tuple[Data, State]:
            """Run the network: see :meth:`forward`."""

    def forward(
        self, input: Data, hx: State | None = None, lengths: Lengths | None = None
    ) -> tuple[Data, State]:
        """Run the network.

        Parameters
        ----------
        input
            ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``, or ``(T, I)`` for one sequence,
            or a ``PackedSequence``. B may be 0.
        hx
            Initial state, ``(num_layers * directions, B, H)``, without B for one sequence; for an
            LSTM a pair ``(h_0, c_0)`` of such tensors. Zeros if left out.
        lengths
            True length of each sequence of a padded batch, in any order: B whole numbers, in a
            tensor or a list. Steps after a sequence's end are ignored, and the output there is
            zero. (``torch.nn`` has no such argument: there you pack and unpack.)

        Returns
        -------
        out
            States of the last layer, laid out like the input, with ``directions * H`` features.
        h_n
            State after each sequence's last step, shaped like ``hx``; for an LSTM ``(h_n, c_n)``.

        Raises
        ------
        ValueError
            If a shape is wrong, a sequence is empty or a length lies outside 1 to T.
        TypeError
            If the input's or the state's dtype is not that of the weights, or an argument's type is
            wrong.
        """
        result: tuple[Data, State]
        result = self._run(input, hx) if lengths is None else self._run_padded(input, hx, lengths)
        return result

    def kernel_for(self, input: Tensor | PackedSequence) -> str:
        """Return which pass an input gets here and now: ``"hand-derived"`` or ``"torch"``.

        Raises
        ------
        ValueError
            If the input has no steps.
        """
        if isinstance(input, PackedSequence):
            data, shape, steps = input.data, input.data.shape, len(input.batch_sizes)
        else:
            data, shape = input, input.shape
            steps = shape[1 if self.batch_first and len(shape) == 3 else 0]
        if steps == 0:
            raise ValueError(f"input: expected at least one step, got shape {tuple(shape)}")
        kernel = self.kernel
        fewest = self.fewest_to_train if torch.is_grad_enabled() else self.fewest_to_infer
        if kernel == "torch" or (kernel == "auto" and steps < fewest):
            return "torch"
        if watched(data) or autocasts(data) or 0 in shape:  # in an empty batch nothing runs
            return "torch"
        return self._fastest(data, steps, data is not input) if kernel == "auto" else kernel

    def _fastest(self, data: Tensor, steps: int, packed: bool) -> str:
        """Choose the faster pass for many steps, by the measurements of ``make bench``.

        PyTorch runs an LSTM in float32 through oneDNN on a CPU, and all layers through cuDNN on a
        CUDA device: libraries that fuse the operations of a step. Elsewhere it records every step,
        and the hand-derived pass, which does not, trains faster: ``book/benchmarks.md`` has the
        ratio for each size.
        """
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        onednn = has_onednn and data.dtype == torch.float32 and not packed
        if data.device.type != "cpu" or (self.mode == "LSTM" and onednn):
            return "torch"
        weights = (w for group in self.all_weights for w in group)
        training = torch.is_grad_enabled() and (
            self.weight_ih_l0.requires_grad
            or data.requires_grad
            or any(w.requires_grad for w in weights)
        )
        return "hand-derived" if training or steps >= self.fewest_to_infer else "torch"

    def _run(self, input: Any, hx: Any) -> Any:
        """Run the network on an input without padding."""
        try:  # our checks would take a few percent of a small pass: they run if it fails
            if self.kernel_for(input) == "torch":
                return super().forward(input, hx)
        except Exception:
            self._check(input, hx)
            raise
        self._check(input, hx)
        return self._by_hand(input, hx)

    def _run_padded(self, input: Any, hx: Any, lengths: Any) -> Any:
        """Run the network on a padded batch, without the padding."""
        true = self._check(input, hx, lengths)
        if len(true) == 0:
            return self._run(input, hx)  # an empty batch cannot be packed
        packed = pack_padded_sequence(input, true, self.batch_first, enforce_sorted=False)
        out, last = self._run(packed, hx)
        steps = input.shape[1 if self.batch_first else 0]
        return pad_packed_sequence(out, self.batch_first, total_length=steps)[0], last

    def _by_hand(self, input: Any, hx: Any) -> Any:
        """Run the hand-derived pass: on the rows of all steps, whatever the layout."""
        packed = isinstance(input, PackedSequence)
        single = not packed and input.dim() == 2
        order = back = None
        if packed:
            x, sizes, order, back = input
            sizes = sizes.tolist()
        else:
            x = input[:, None] if single else input.transpose(0, 1) if self.batch_first else input
            x, sizes = x.flatten(0, 1), [x.shape[1]] * x.shape[0]

        states = [x.new_zeros(self._rows, sizes[0], self.hidden_size)] * len(self.state_names)
        if hx is not None:
            states = [hx] if isinstance(hx, Tensor) else list(hx)
            states = [s[:, None] if single else s for s in states]
        if order is not None:
            states = [s.index_select(1, order) for s in states]
        out, last = self._layers(x, sizes, states)
        if back is not None:
            last = [s.index_select(1, back) for s in last]
        if single:
            last = [s.squeeze(1) for s in last]

        if packed:
            laid_out: Any = PackedSequence(out, *input[1:])
        elif single:
            laid_out = out
        else:
            laid_out = out.view(len(sizes), sizes[0], -1)
            laid_out = laid_out.transpose(0, 1) if self.batch_first else laid_out
        return laid_out, last[0] if len(last) == 1 else tuple(last)

    def _layers(
        self, x: Tensor, sizes: list[int], initial: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers and directions on the rows of all steps."""
        directions = [("", Steps(sizes)), ("_reverse", Steps(sizes, reverse=True))]
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outs = []
            for suffix, steps in directions[: 2 if self.bidirectional else 1]:
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in names]
                if not self.bias:
                    weights += [x.new_zeros(len(weights[0]))] * 2
                states = [s[len(last)] for s in initial]
                out, *ends = by_hand(self._cell, steps, x, *states, *weights)
                outs.append(out)
                last.append(tuple(ends))
            x = torch.cat(outs, dim=-1) if self.bidirectional else outs[0]
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [torch.stack(ends) for ends in zip(*last, strict=True)]

    @property
    def _cell(self) -> Cell:
        """What the layer does at a step."""
        raise NotImplementedError

    @property
    def _rows(self) -> int:
        """How many initial states there are: one per layer and direction."""
        return self.num_layers * (2 if self.bidirectional else 1)

    def _check(self, input: Any, hx: Any, lengths: Any = None) -> Any:
        """Check what the user passes in, and return the true lengths."""
        check_choice("kernel", self.kernel, KERNELS)
        weight, H = self.weight_ih_l0, self.hidden_size
        batch: tuple[int, ...]
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: expected None with a PackedSequence, got a value")
            check_input("input.data", input.data, ("N", self.input_size), weight)
            batch = (int(input.batch_sizes[0]),)
        elif isinstance(input, Tensor):
            single = input.dim() == 2 and lengths is None
            axes = ("T",) if single else ("B", "T") if self.batch_first else ("T", "B")
            empty = input.dim() == 3 and input.shape[axes.index("B")] == 0
            shape = [0 if empty and axis == "B" else axis for axis in axes]
            check_input("input", input, (*shape, self.input_size), weight)
            batch = () if single else (input.shape[axes.index("B")],)
            if lengths is not None:
                lengths = true_lengths(lengths, input.shape[axes.index("T")], *batch)
        else:
            got = type(input).__name__
            raise TypeError(f"input: expected a Tensor or a PackedSequence, got {got}")
        if hx is None:
            return lengths
        names, states = self.state_names, (hx,)
        if len(names) > 1:
            if not isinstance(hx, tuple | list) or len(hx) != len(names):
                got = type(hx).__name__
                raise TypeError(f"hx: expected a pair ({', '.join(names)}) of Tensors, got {got}")
            states = tuple(hx)
        for name, state in zip(names, states, strict=True):
            check_input(name, state, (self._rows, *batch, H), weight)
        return lengths
