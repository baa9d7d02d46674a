"""Laws that hold for everything the bridge does, on every network."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from dataclasses import fields, is_dataclass

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tests.bridge.laws
from neurogames import bridge
from neurogames.bridge import coalition_game, gate_curvature, insert_gates, participation_game, train_ensemble
from tests.bridge.cases import CASES, REPARAMETRIZED
from tests.bridge.laws import CHOOSY, ENSEMBLES, FUNCTIONS, OF_IMAGES, PARTICIPATION, TIMED, TRAINERS

NETWORKS = CASES | REPARAMETRIZED
MEMBERS = FUNCTIONS | TRAINERS | OF_IMAGES


def on_networks(names):
    """Every network with every member of these names that takes it."""
    pairs = [
        pytest.param(case, name, id=f"{name}-{label}")
        for label, case in NETWORKS.items()
        for name in names
        if name not in OF_IMAGES or len(case.row) == 3
    ]
    return pytest.mark.parametrize(("case", "name"), pairs)


by_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
by_settings = pytest.mark.parametrize("settings", ENSEMBLES.values(), ids=ENSEMBLES)
# vmap says so of the weight norm of torch.nn.utils.parametrizations; it is slower, and right.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def may_refuse(case, name) -> bool:
    """Whether a refusal in one line is an answer: weights that are computed cannot be cut, for instance."""
    return name in CHOOSY or case in REPARAMETRIZED.values()


def lived_in(case) -> nn.Module:
    """A network as a user has it: in a mode that differs from module to module, with gradients from before."""
    model = case.model()
    list(model.modules())[-1].eval()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    return model


def contents(value: object) -> object:
    """What an attribute of a module holds: tensors by their numbers, dictionaries by their entries, others by name."""
    if isinstance(value, Tensor):
        return id(value), value.requires_grad, value.detach().clone()
    if isinstance(value, dict):
        return {key: contents(entry) for key, entry in value.items()}
    return id(value) if callable(value) else repr(value)


def traces(model: nn.Module) -> list[object]:
    """Everything a call could leave behind in a model and in torch."""
    found: list[object] = [
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    ]
    for name, module in model.named_modules():
        found.append((name, type(module), {key: contents(value) for key, value in vars(module).items()}))
    found.extend((name, contents(p.grad)) for name, p in model.named_parameters())
    return found


def equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def assert_no_trace(before, model):
    for was, now in zip(before, traces(model), strict=True):
        assert equal(was, now), was[0] if isinstance(was, tuple) else was


def assert_like_new(model, case, data):
    """The model can be run, copied and trained like one that nobody touched."""
    with torch.no_grad():
        model.eval()(data[0])
    slopes = []
    for each in (copy.deepcopy(model), case.model().eval()):
        each.zero_grad()
        case.loss(each(data[0]), data[1]).backward()
        slopes.append([parameter.grad for parameter in each.parameters()])
    assert equal(*slopes)


@on_networks(MEMBERS)
def test_a_network_is_unchanged_and_can_be_copied_and_trained(case, name):
    model, data = lived_in(case), case.data()
    before, given = traces(model), [part.clone() for part in data]
    generator = torch.get_rng_state()
    refused = False
    try:
        MEMBERS[name](model, case, data)
    except ValueError:
        refused = True
    assert not refused or may_refuse(case, name)
    assert equal(given, list(data))
    if name not in TRAINERS:  # nn.Dropout draws from the global generator when it trains
        assert torch.equal(generator, torch.get_rng_state())
    assert_no_trace(before, model)
    assert_like_new(model, case, data)


@on_networks(MEMBERS)
def test_a_network_is_unchanged_after_an_interruption(case, name):
    """At the first call of the network, at the last, and halfway."""
    data = case.data()

    def run(stop: int) -> int:
        """Press Ctrl-C when a layer of the network, or of a copy of it, is called for that time; count the calls."""
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise KeyboardInterrupt

        model = lived_in(case)
        before = traces(model)
        handle = model.get_submodule(case.layer).register_forward_pre_hook(count)
        with torch.random.fork_rng(devices=[]), contextlib.suppress(KeyboardInterrupt):
            torch.manual_seed(0)  # nn.Dropout may decide how many calls there are
            try:
                MEMBERS[name](model, case, data)
            except ValueError:
                assert may_refuse(case, name)
        handle.remove()
        assert_no_trace(before, model)
        return calls

    calls = run(0)
    for call in sorted({int(place) for place in np.linspace(1, calls, 3)} if calls else ()):
        assert run(call) == call


def numbers(result: object) -> object:
    """The numbers of a result, whatever holds them, for comparison."""
    if isinstance(result, nn.Module):
        return numbers(result.state_dict())
    if isinstance(result, Tensor):
        return result.detach()
    if isinstance(result, nx.Graph):
        return [dict(result.nodes), list(result.edges(data=True))]
    if is_dataclass(result):
        return [numbers(getattr(result, each.name)) for each in fields(result)]
    if isinstance(result, dict):
        return {key: numbers(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [numbers(value) for value in result]
    return result


@on_networks([name for name in MEMBERS if name not in TIMED])
def test_the_same_seed_gives_the_same_whatever_the_modes_and_old_gradients(case, name):
    with torch.random.fork_rng(devices=[]):  # nn.Dropout draws from the global generator when it trains
        results = []
        for model in (lived_in(case), case.model().eval()):
            torch.manual_seed(0)
            try:
                results.append(numbers(MEMBERS[name](model, case, case.data())))
            except ValueError as error:
                results.append(str(error))
    assert equal(*results)


def axis_of(module: nn.Module) -> int:
    return 1 if isinstance(module, nn.Conv2d) else -1


@by_case
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_a_coalition_game_is_the_whole_network_run_with_its_units_replaced(case, baseline):
    """One coalition at a time, by a hook; and a batch of coalitions equals its rows."""
    model, (inputs, targets) = case.model().eval(), case.data()
    game = coalition_game(model, case.layer, (inputs, targets), metric="loss", baseline=baseline)
    assert game.n_players == case.units[case.layer]
    members = np.random.default_rng(0).random((3, 2, game.n_players)) < 0.6
    layer, values = model.get_submodule(case.layer), game.value(members)

    def replace(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        shape = [1] * output.ndim
        shape[axis_of(layer)] = -1
        filler = output.mean(dim=0, keepdim=True) if baseline == "mean" else torch.zeros_like(output)
        return torch.where(torch.from_numpy(inside).reshape(shape), output, filler)

    for place in np.ndindex(members.shape[:-1]):
        inside = members[place]
        handle = layer.register_forward_hook(replace)
        with torch.no_grad():
            loss = case.loss(model(inputs), targets)
        handle.remove()
        np.testing.assert_allclose(values[place], -float(loss), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(game.value(inside), values[place], rtol=1e-6, atol=1e-7)


def loss_at(model: nn.Module, case, data, profile) -> float:
    """L(s) by gates on a copy, one profile at a time."""
    copied = copy.deepcopy(model).eval()
    insert_gates(copied).assign(profile)
    with torch.no_grad():
        return float(case.loss(copied(data[0]), data[1]))


@by_case
def test_the_game_of_ablation_pays_each_unit_what_the_loss_rises_without_it(case):
    model, data = case.model(dtype=torch.float64), case.data(dtype=torch.float64)
    game = participation_game(model, case.loss, data, benefit="ablation")
    n = sum(case.units.values())
    assert game.n_players == n
    full = loss_at(model, case, data, np.ones(n))
    without = [loss_at(model, case, data, 1.0 - row) - full for row in np.eye(n)]
    gained = [game.potential(np.ones(n)) - game.potential(1.0 - row) for row in np.eye(n)]
    np.testing.assert_allclose(gained, without, rtol=1e-9, atol=1e-12)


@by_case
def test_the_slope_of_the_gates_is_that_of_finite_differences(case):
    model, data = case.model(dtype=torch.float64), case.data(dtype=torch.float64)
    found = gate_curvature(model, case.loss, data)
    n, step = len(found.slope), 1e-6
    # A gate cannot exceed 1, and a ReLU bends: from the left alone.
    ends = [loss_at(model, case, data, np.ones(n) - step * row) for row in np.eye(n)]
    np.testing.assert_allclose(found.loss, loss_at(model, case, data, np.ones(n)), rtol=1e-12)
    np.testing.assert_allclose(found.slope, (found.loss - np.array(ends)) / step, atol=2e-5)


@by_case
@pytest.mark.parametrize("name", PARTICIPATION)
def test_a_training_is_the_same_alone_and_in_company_and_its_certificate_is_what_the_loss_says(case, name):
    data = case.data()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        alone = TRAINERS[name](case.model(), case, data)
        if not has_dropout(case.model()):
            together = TRAINERS[name]([case.model(), case.model(seed=1)], case, data)
            assert equal(numbers(together.models[0]), numbers(alone.models[0]))
            np.testing.assert_array_equal(together.profile[0], alone.profile[0])
            for each in ("loss", "price", "residual"):
                np.testing.assert_array_equal(getattr(together, each)[:, 0], getattr(alone, each)[:, 0])
    certificate = alone.certificate[0]
    if certificate is None:
        return
    profile = alone.profile[0]
    full = loss_at(alone.models[0], case, data, profile)
    for i in np.flatnonzero(profile):
        rest = np.where(np.arange(profile.size) == i, 0.0, profile)
        worth = loss_at(alone.models[0], case, data, rest) - full
        np.testing.assert_allclose(certificate.worth[i], worth, rtol=1e-3, atol=1e-5)
    present = profile > 0
    assert certificate.regret == max(0.0, float((certificate.fee - certificate.worth)[present].max(initial=0.0)))


def has_dropout(model: nn.Module) -> bool:
    """Whether training draws from torch's global generator, in which each run has its own turn."""
    return any(isinstance(module, nn.Dropout) for module in model.modules())


def small_table() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 3, generator=generator)
    return inputs, inputs[:, :1] * inputs[:, 1:2]


def trained_ensemble(seeds, **settings):
    return train_ensemble(*small_table(), seeds=seeds, hidden=(4, 3), epochs=2, batch_size=4, **settings)


@by_settings
def test_an_ensemble_is_trained_the_same_again_alone_and_in_company(settings):
    first, again, alone = (trained_ensemble(seeds, **settings) for seeds in ([5, 6, 7], [5, 6, 7], [6]))
    assert equal(numbers(first), numbers(again))
    for part in ("weights", "biases"):
        for together, by_itself in zip(getattr(first.ensemble, part), getattr(alone.ensemble, part), strict=True):
            assert torch.equal(together[1], by_itself[0])
    assert not equal(numbers(first), numbers(trained_ensemble([5, 6, 8], **settings)))


@by_settings
def test_an_ensemble_leaves_rows_and_torch_alone_also_when_it_breaks_off(settings):
    inputs, targets = small_table()
    given, generator = [inputs.clone(), targets.clone()], torch.get_rng_state()

    def stop(_progress: float) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        train_ensemble(inputs, targets, seeds=[0, 1], hidden=(4,), batch_size=4, on_progress=stop, **settings)
    assert equal([inputs, targets], given)
    assert torch.equal(generator, torch.get_rng_state())
    assert torch.is_grad_enabled()


def test_every_public_function_of_a_network_is_in_the_tables():
    """``set_progress`` alone is meant to change the network it is given."""
    used = set(re.findall(r"\w+", inspect.getsource(tests.bridge.laws)))
    public = {name: getattr(bridge, name) for name in bridge.__all__}
    functions = {name: inspect.signature(each) for name, each in public.items() if inspect.isfunction(each)}
    of_networks = {
        name
        for name, signature in functions.items()
        if any("Module" in str(parameter.annotation) for parameter in signature.parameters.values())
    }
    assert of_networks - used == {"set_progress"}
