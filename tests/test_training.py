import copy
import functools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from tqdm import tqdm

from rnncourse import training
from rnncourse.training import DivergenceError, EarlyStopping, History, evaluate, fit


class Chain(nn.Module):
    """Two layers, so that gradients have an order: the second layer's come first."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 1)

    def forward(self, x):
        return self.second(self.first(x).tanh())


def mse(model, batch):
    x, y = batch
    return (model(x) - y).square().mean()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Chain()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 5, 3, generator=generator)
    return list(zip(x, x[..., :1] ** 2, strict=True))


def copy_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_the_steps_are_those_of_a_bare_loop(model, batches, clip_norm):
    torch.manual_seed(0)
    bare = Chain()
    optimizer = torch.optim.Adam(bare.parameters())
    losses, norms = [], []
    for batch in batches:
        optimizer.zero_grad()
        loss = mse(bare, batch)
        loss.backward()
        limit = torch.inf if clip_norm is None else clip_norm
        norms.append(nn.utils.clip_grad_norm_(bare.parameters(), limit).item())
        optimizer.step()
        losses.append(loss.item())
    history = fit(model, mse, batches, torch.optim.Adam(model.parameters()), clip_norm=clip_norm)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(history.grad_norms, norms, rtol=1e-5)
    for name, p in bare.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), p)


def test_the_history(model, batches):
    history = fit(model, mse, batches, torch.optim.SGD(model.parameters(), 0.1), progress=False)
    assert len(history) == 20
    assert history.losses.shape == history.seconds.shape == history.grad_norms.shape == (20,)
    assert history.names == [name for name, _ in model.named_parameters()]
    assert history.parameter_norms.shape == (20, 4)
    np.testing.assert_allclose(np.linalg.norm(history.parameter_norms, axis=1), history.grad_norms)
    assert (history.seconds > 0).all()


def test_training_goes_on_from_a_history(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    history = fit(model, mse, batches[:5], optimizer)
    assert fit(model, mse, batches[5:], optimizer, history=history) is history
    torch.manual_seed(0)
    other = Chain()
    whole = fit(other, mse, batches, torch.optim.SGD(other.parameters(), 0.1))
    np.testing.assert_array_equal(whole.losses, history.losses)
    empty = History()
    assert fit(model, mse, batches[:2], optimizer, history=empty) is empty
    assert empty.names == history.names
    with pytest.raises(ValueError, match="history: expected one of"):
        fit(model, mse, batches, torch.optim.SGD(model.first.parameters()), history=history)


def test_no_batch_is_an_empty_history(model):
    history = fit(model, mse, [], torch.optim.SGD(model.parameters(), 0.1))
    assert len(history) == 0
    assert history.losses.shape == history.grad_norms.shape == (0,)
    assert history.parameter_norms.shape == (0, 4)


def test_on_step_can_stop_and_the_scheduler_steps(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    seen = []

    def on_step(step, loss):
        seen.append((step, loss))
        return step == 2

    history = fit(model, mse, batches, optimizer, scheduler=scheduler, on_step=on_step)
    assert seen == list(enumerate(history.losses))
    assert len(history) == 3
    assert scheduler.get_last_lr() == [0.1 / 8]


def test_a_scheduler_that_looks_at_a_value_gets_the_loss(model, batches):
    def rates(make):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        scheduler = make(optimizer)
        shown = []
        history = fit(
            model,
            lambda m, b: 0 * mse(m, b) + 1,  # never better
            batches,
            optimizer,
            scheduler=scheduler,
            on_step=lambda *_: shown.append(optimizer.param_groups[0]["lr"]),
        )
        assert len(shown) == len(history)
        return shown

    schedulers = torch.optim.lr_scheduler
    found = rates(lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=1))
    assert found[:5] == [0.1, 0.1, 0.05, 0.05, 0.025]
    found = rates(lambda o: schedulers.ChainedScheduler([schedulers.StepLR(o, 1, 0.5)]))
    assert found[:3] == [0.05, 0.025, 0.0125]
    found = rates(lambda o: schedulers.SequentialLR(o, [schedulers.StepLR(o, 1, 0.5)] * 2, [3]))
    assert len(set(found)) > 1

    class Recorder:
        values = ()

        def step(self, loss):
            self.values += (loss,)

    recorder = Recorder()
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    history = fit(model, mse, batches, sgd, scheduler=recorder)
    assert list(recorder.values) == list(history.losses)


@pytest.mark.parametrize(
    "kind", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.AdamW]
)
def test_optimizers_that_take_a_closure_without_need(model, batches, kind):
    assert len(fit(model, mse, batches, kind(model.parameters()))) == 20


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulated_batches_are_one_large_batch(model, batches, clip_norm):
    large = [tuple(map(torch.cat, zip(*batches[i : i + 8], strict=True))) for i in (0, 8, 16)]
    whole = copy.deepcopy(model)
    options = {"clip_norm": clip_norm, "progress": False}
    expected = fit(whole, mse, large, torch.optim.SGD(whole.parameters(), lr=0.1), **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = fit(model, mse, iter(batches), optimizer, accumulate=8, **options)
    assert len(history) == len(expected) == 3  # the last of four batches
    np.testing.assert_allclose(history.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(history.parameter_norms, expected.parameter_norms, rtol=1e-4)
    for name, p in whole.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), p)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_scaler_changes_no_step_that_does_not_overflow(model, batches, accumulate):
    plain, found = copy.deepcopy(model), []
    for net, scaler in ((plain, None), (model, torch.amp.GradScaler("cpu", init_scale=2.0**20))):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        options = {"clip_norm": 0.1, "accumulate": accumulate, "scaler": scaler}
        found.append(fit(net, mse, batches, optimizer, **options, progress=False))
    assert np.array_equal(found[0].rows[0][2:], found[1].rows[0][2:])  # a power of two rounds none
    for name, p in plain.named_parameters():
        assert torch.equal(model.get_parameter(name), p)


def test_with_a_scaler_a_gradient_that_overflows_changes_the_scale_alone(model, batches):
    before = copy_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-20)
    x, y = batches[0]
    batch = (x, y + 100)  # a gradient well above 1
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    history = fit(model, mse, [batch], optimizer, scaler=scaler, progress=False)
    assert not np.isfinite(history.grad_norms[0])
    assert all(torch.equal(model.get_parameter(name), p) for name, p in before.items())
    assert scaler.get_scale() == 2.0**107
    history = fit(model, mse, [batch] * 9, optimizer, scaler=scaler, progress=False)
    assert np.isfinite(history.grad_norms).all()
    assert history.losses[-1] < history.losses[0]
    bad = (torch.full_like(x, torch.nan), y)
    with pytest.raises(DivergenceError):
        fit(model, mse, [bad], optimizer, scaler=scaler, progress=False)


def test_mixed_precision(batches):
    torch.manual_seed(0)
    model = Chain()

    def loss(model, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model(batch[0]).dtype == torch.bfloat16
            return mse(model, batch)

    history = fit(model, loss, batches * 9, torch.optim.Adam(model.parameters(), 0.01))
    assert history.losses[-20:].mean() < history.losses[:20].mean()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())


def test_an_optimizer_that_computes_the_loss_itself_is_refused(model, batches):
    before = copy_of(model)
    for scheduled in (False, True):
        optimizer = torch.optim.LBFGS(model.parameters())
        if scheduled:  # it wraps the optimizer's step
            torch.optim.lr_scheduler.StepLR(optimizer, 1)
        with pytest.raises(TypeError, match=r"optimizer: expected one .* no closure, got LBFGS"):
            fit(model, mse, batches, optimizer)
    for name, value in copy_of(model).items():
        assert value.equal(before[name])


def test_a_file_of_the_package_run_as_a_program_says_what_is_wrong():
    ran = subprocess.run([sys.executable, training.__file__], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "ImportError: This is rnncourse/torch, not PyTorch" in ran.stderr
    assert "python -m rnncourse.training" in ran.stderr


def test_a_loss_that_is_nan_stops_before_the_update(model, batches):
    before = []

    def loss(model, batch):
        before.append(copy_of(model))
        value = mse(model, batch)
        return value * torch.nan if len(before) == 8 else value

    with pytest.raises(DivergenceError) as caught:
        fit(model, loss, batches, torch.optim.SGD(model.parameters(), 0.1))
    error = caught.value
    assert error.step == 7
    assert np.isnan(error.loss)
    assert error.parameter in ("second.weight", "second.bias")
    assert error.group == 0
    assert len(error.history) == 8
    assert np.isfinite(error.history.losses[:7]).all()
    assert "step 7: the loss is nan" in str(error)
    assert f"the gradient of {error.parameter} (optimizer group 0)" in str(error)
    assert "One step before, the largest gradient was that of" in str(error)
    for name, value in copy_of(model).items():
        torch.testing.assert_close(value, before[-1][name], rtol=0, atol=0)
        assert value.isfinite().all()


class Overflow(torch.autograd.Function):
    """Passes values on and spoils the gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, dy):
        return dy * torch.inf


def test_a_gradient_that_overflows_is_named_though_the_loss_is_finite(model, batches):
    def loss(model, batch):
        x, y = batch
        return (model.second(Overflow.apply(model.first(x)).tanh()) - y).square().mean()

    before = copy_of(model)
    groups = [{"params": model.second.parameters()}, {"params": model.first.parameters()}]
    with pytest.raises(DivergenceError) as caught:
        fit(model, loss, batches, torch.optim.SGD(groups, 0.1))
    error = caught.value
    assert error.step == 0
    assert np.isfinite(error.loss)
    assert error.parameter in ("first.weight", "first.bias")
    assert error.group == 1
    assert "(optimizer group 1)" in str(error)
    assert "One step before" not in str(error)
    for name, value in copy_of(model).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_first_means_first_in_the_backward_pass_and_not_in_the_list(batches):
    """All gradients are spoiled; the order of the optimizer's list must not decide."""
    for order in ([0, 1], [1, 0]):
        model = Chain()
        parts = [model.first, model.second]
        parameters = [p for i in order for p in parts[i].parameters()]
        with pytest.raises(DivergenceError) as caught:
            fit(model, lambda m, b: mse(m, b) / 0, batches, torch.optim.SGD(parameters, 0.1))
        assert caught.value.parameter.startswith("second.")


def test_a_loss_that_is_not_finite_while_the_gradients_are(model, batches):
    with pytest.raises(
        DivergenceError, match="the loss is inf; all gradients are finite"
    ) as caught:
        fit(
            model,
            lambda m, b: mse(m, b) + torch.inf,
            batches,
            torch.optim.SGD(model.parameters(), 0.1),
        )
    assert caught.value.parameter is None
    assert caught.value.group is None


@pytest.mark.parametrize("copy_of_error", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_the_error_can_be_copied_and_pickled(copy_of_error):
    history = History(["w"], [(1.0, 0.1, 2.0), (torch.inf, 0.1, 3.0)])
    error = DivergenceError(torch.inf, "w", 0, history)
    copied = copy_of_error(error)
    assert type(copied) is DivergenceError
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_in_half_precision_rounds_no_norm(dtype):
    model, x = nn.Linear(1, 1, bias=False), torch.tensor([[100_001.0]])
    sgd = torch.optim.SGD(model.parameters(), 0.0)
    nn.init.zeros_(model.weight)
    history = fit(model, lambda m, b: m(b).sum().to(dtype), [x], sgd)
    assert history.grad_norms == [100_001.0]


def test_a_learning_rate_too_large(batches):
    model = nn.Linear(3, 1)
    with pytest.raises(DivergenceError) as caught:
        fit(model, mse, batches * 20, torch.optim.SGD(model.parameters(), lr=100.0))
    error = caught.value
    assert error.step > 0
    assert error.loss > 1e30
    assert all(p.isfinite().all() for p in model.parameters())


def test_hooks_are_removed_and_unused_parameters_count_as_zero(model, batches):
    def loss(model, batch):
        return model.first(batch[0]).square().mean()

    for n in (20, 3):
        history = fit(model, loss, batches[:n], torch.optim.SGD(model.parameters(), 0.1))
        assert (history.parameter_norms[:, 2:] == 0).all()
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
    with pytest.raises(DivergenceError):
        fit(model, lambda m, b: mse(m, b) / 0, batches, torch.optim.SGD(model.parameters(), 0.1))
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_a_parameter_outside_the_model_is_named_by_its_place(model, batches):
    h0 = nn.Parameter(torch.zeros(1))
    groups = [{"params": model.parameters()}, {"params": [h0]}]
    history = fit(
        model, lambda m, b: mse(m, b) + h0.square().sum(), batches, torch.optim.SGD(groups, 0.1)
    )
    assert history.names[-1] == "group 1, parameter 0"


def test_progress_bar(model, batches, capsys, monkeypatch):
    # The tests may run with TQDM_DISABLE=1.
    bar = functools.partial(tqdm, disable=False, mininterval=0)
    monkeypatch.setattr("rnncourse.training.tqdm", bar)

    def shown(**arguments):
        fit(model, mse, batches, torch.optim.SGD(model.parameters(), 0.1), **arguments)
        return capsys.readouterr().err

    first = mse(model, batches[0]).item()
    text = shown(desc="chapter")
    assert "chapter" in text
    assert f"loss {first:.3f}" in text
    assert shown().lstrip().startswith("0%")
    assert shown(progress=False) == ""


def test_bad_accumulation_is_refused(model, batches):
    with pytest.raises(ValueError, match="accumulate: expected at least 1, got 0"):
        fit(model, mse, batches, torch.optim.SGD(model.parameters()), accumulate=0)


def test_bad_input_is_refused(model, batches):
    def run(loss=mse, parameters=None, **arguments):
        optimizer = torch.optim.SGD(parameters or model.parameters(), 0.1)
        fit(model, loss, batches, optimizer, **arguments)

    with pytest.raises(ValueError, match="clip_norm: expected a positive number, got 0"):
        run(clip_norm=0)
    with pytest.raises(TypeError, match="loss: expected a scalar tensor, got float"):
        run(lambda m, b: 1.0)
    with pytest.raises(ValueError, match=r"loss: expected a scalar tensor, got shape \(5, 1\)"):
        run(lambda m, b: m(b[0]))
    with pytest.raises(ValueError, match="depends on parameters, got a constant"):
        run(lambda m, b: torch.tensor(1.0))
    with pytest.raises(ValueError, match="depends on the optimizer's parameters"):
        run(lambda m, b: m.first(b[0]).sum(), list(model.second.parameters()))
    table = nn.Embedding(3, 2, sparse=True)
    with pytest.raises(TypeError, match="loss: expected dense gradients, got a sparse one"):
        run(lambda m, b: table(torch.tensor([1])).sum(), list(table.parameters()))
    with pytest.raises(ValueError, match="optimizer: expected a parameter that requires"):
        run(parameters=[torch.zeros(1)])


def test_evaluate_weighs_by_tokens_and_leaves_the_model_alone(model):
    model.train()
    batches = [torch.zeros(3), torch.ones(1)]
    modes = []

    def loss(model, batch):
        modes.append((model.training, torch.is_grad_enabled()))
        return batch.mean()

    assert evaluate(model, loss, batches) == 0.5
    assert evaluate(model, loss, batches, count=len) == 0.25
    assert set(modes) == {(False, False)}
    assert evaluate(model, loss, [*batches, torch.zeros(0)], count=len) == 0.25
    model.first.eval()
    evaluate(model, loss, batches)
    assert (model.training, model.first.training, model.second.training) == (True, False, True)
    with pytest.raises(ValueError, match="batches: expected at least one token"):
        evaluate(model, loss, [])
    with pytest.raises(ValueError, match="batches: expected at least one token"):
        evaluate(model, loss, [torch.zeros(0)], count=len)
    with pytest.raises(TypeError, match="loss: expected a scalar tensor, got float"):
        evaluate(model, lambda m, b: 1.0, batches)


@pytest.mark.parametrize(
    "number", [int, np.int64, torch.tensor, lambda n: torch.tensor(float(n)), lambda n: np.array(n)]
)
def test_a_count_may_be_any_whole_number(model, number):
    found = evaluate(
        model,
        lambda model, batch: batch.mean(),
        [torch.zeros(3), torch.zeros(0), torch.ones(1)],
        count=lambda batch: number(len(batch)),
    )
    assert type(found) is float
    assert found == 0.25


def test_the_loop_does_not_depend_on_the_default_device(model, batches):
    def run():
        net = copy.deepcopy(model)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        return fit(net, mse, batches[:4], optimizer, accumulate=2).losses

    expected = run()
    with torch.device("meta"):
        found = run()
    np.testing.assert_array_equal(found, expected)


def test_early_stopping_restores_the_best_weights(model, batches):
    values = iter([3.0, torch.nan, 2.0, torch.tensor(2.5), 2.0, 1.0])
    kept = []

    def validate():
        kept.append(copy_of(model))
        return next(values)

    stop = EarlyStopping(model, validate, every=3, patience=2)
    with pytest.raises(RuntimeError, match="restore: expected a validation with a finite value"):
        stop.restore()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    history = fit(model, mse, batches, optimizer, on_step=stop)
    assert len(history) == 15
    assert [step for step, _ in stop.values] == [2, 5, 8, 11, 14]
    assert (stop.best, stop.best_step) == (2.0, 8)
    stop.restore()
    for name, value in copy_of(model).items():
        assert value.equal(kept[2][name])
        assert not value.equal(kept[4][name])


def test_early_stopping_waits_while_values_fall(model, batches):
    stop = EarlyStopping(model, lambda: evaluate(model, mse, batches), every=1, patience=1)
    history = fit(model, mse, batches, torch.optim.SGD(model.parameters(), 0.01), on_step=stop)
    falls = np.diff([value for _, value in stop.values]) < 0
    assert falls[:-1].all()
    assert len(history) == len(stop.values)
    for name in ("every", "patience"):
        with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
            EarlyStopping(model, float, **{"every": 1, "patience": 1, name: 0})


def test_a_progress_bar_goes_when_training_is_over():
    """Forty trainings in one cell of a notebook leave no forty bars."""
    code = """
import torch
from torch import nn
from rnncourse.training import fit
for _ in range(3):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, lambda m, x: m(x).square().mean(), [torch.ones(1, 1)] * 3, optimizer, desc="a")
"""
    environment = {key: value for key, value in os.environ.items() if key != "TQDM_DISABLE"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True
    )
    shown = ran.stderr.decode()
    assert shown.count("a: ") >= 3  # there were bars
    assert "\n" not in shown
    assert shown.split("\r")[-1].strip() == ""


def test_a_row_holds_loss_seconds_and_norms():
    history = History(["a", "b"], [(5.0, 0.5, 3.0, 4.0), (2.0, 0.25, 0.0, 1.0)])
    assert history.losses.tolist() == [5, 2]
    assert history.seconds.tolist() == [0.5, 0.25]
    assert history.parameter_norms.tolist() == [[3, 4], [0, 1]]
    assert history.grad_norms.tolist() == [5, 1]


def test_the_error_names_the_largest_gradient_of_the_step_before():
    history = History(["a", "b"], [(1.0, 0.1, 9.0, 8.0), (1.0, 0.1, 2.0, 3.0)])
    history.rows.append((torch.inf, 0.1, 7.0, 6.0))
    message = str(DivergenceError(torch.inf, None, None, history))
    assert "One step before, the largest gradient was that of b, with norm 3." in message
