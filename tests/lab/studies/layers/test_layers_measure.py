"""What the study of layers measures, against the same written out by hand."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import nash_gap
from neurogames.lab.studies.layers import freezing
from neurogames.lab.studies.layers.gains import LayerGains, layer_gains
from neurogames.lab.studies.layers.networks import build_network, cut, study_rows, trained_network
from neurogames.lab.studies.layers.settings import CERTIFICATE, LAYERS, NETWORKS, LayersSettings
from neurogames.lab.studies.layers.steps import largest_step, predicted_ratios
from neurogames.lab.studies.layers.tuning import SHIFTS, _adam_of, shifted

SETTINGS = LayersSettings(rows=300, test_rows=50, freezing_epochs=7, freezing_checks=6, certificate_rows=20)
ROWS = study_rows(SETTINGS, 0)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def small_rows(count=30):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, generator=rng, dtype=torch.float64), torch.randint(3, (count,), generator=rng)


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_have_four_layers_and_one_choice_moves_one_of_them(kind):
    model = build_network(kind, ROWS, 0)
    assert len(list(model.parameters())) == 2 * LAYERS
    for choice, moved in {"2": [1], "all": [0, 1, 2, 3]}.items():
        tuned = trained_network(
            model,
            cut(ROWS.training, 0, 40),
            optimizer=functools.partial(_adam_of, choice=choice, rate=0.01),
            epochs=1,
            seed=0,
        )
        pairs = list(zip(model.parameters(), tuned.parameters(), strict=True))
        changed = [not torch.equal(*pair) for pair in pairs]
        assert [place for place in range(LAYERS) if changed[2 * place]] == moved


def test_shifts_change_inputs_or_classes_and_rows_are_split():
    assert len(SHIFTS) >= 8
    assert len(ROWS.training[0]) + len(ROWS.further[0]) == 300
    for shift in SHIFTS:
        inputs, classes = shifted(ROWS.test, shift, torch.Generator().manual_seed(0), 10)
        same = torch.equal(inputs, ROWS.test[0]), torch.equal(classes, ROWS.test[1])
        assert same == ((True, False) if shift.startswith("classes") else (False, True))
    assert set(shifted(ROWS.test, "classes merged", torch.Generator(), 10)[1].tolist()) <= {0, 2, 4, 6, 8}


def test_gains_are_those_of_nash_gap_where_it_searches():
    model, rows, others = small(), small_rows(), (small_rows(60)[0][30:], small_rows(60)[1][30:])
    found = layer_gains(model, rows, others, steps=8, layers=[0])
    whole = nash_gap(
        model,
        functional.cross_entropy,
        rows,
        held_out=others,
        starts=0,
        steps=8,
        epsilon=1e-3,
        rng=np.random.default_rng(0),
    )
    assert found.gain[0] == pytest.approx(whole.gain[0], rel=1e-9)
    assert found.held_out_gain[0] == pytest.approx(whole.held_out_gain[0], rel=1e-9)
    assert found.held_out_stderr[0] == pytest.approx(whole.held_out_stderr[0], rel=1e-9)
    np.testing.assert_allclose(found.relative_gradient, whole.relative_gradient, rtol=1e-9)
    assert np.isnan(found.gain[1])


def test_predicted_ratios_are_those_of_the_dense_hessian():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    rows = small_rows()[0].float(), small_rows()[1]
    trained = trained_network(model, rows, epochs=30, seed=0)
    names = [name for name, _ in trained.named_parameters()]
    values = [value.detach().double() for _, value in trained.named_parameters()]
    sizes = [value.numel() for value in values]

    def loss(vector):
        parts = {
            name: part.reshape(value.shape)
            for name, part, value in zip(names, vector.split(sizes), values, strict=True)
        }
        outputs = torch.func.functional_call(trained.double(), parts, (rows[0].double(),))
        return functional.cross_entropy(outputs, rows[1])

    vector = torch.cat([value.flatten() for value in values])
    hessian = torch.autograd.functional.hessian(loss, vector)
    slope = torch.autograd.functional.jacobian(loss, vector)
    first = sum(sizes[:2])
    blocks = [hessian[:first, :first], hessian[first:, first:]]
    whole = float(slope @ hessian @ slope)
    apart = sum(
        float(part @ block @ part)
        for part, block in zip(slope.split([first, len(vector) - first]), blocks, strict=True)
    )
    tops = [float(torch.linalg.eigvalsh(block)[-1]) for block in (hessian, *blocks)]
    expected = whole / apart, tops[0] / max(tops[1:]), 2 * float(slope @ slope) / whole, 2 / tops[0]
    np.testing.assert_allclose(predicted_ratios(trained.float(), rows), expected, rtol=2e-3)


@pytest.mark.parametrize("in_turn", [False, True])
def test_the_largest_step_is_where_the_loss_begins_to_rise(in_turn):
    model, rows = small(), small_rows()

    def loss_after(step):
        weights = [value.detach().clone().requires_grad_() for value in model.parameters()]
        groups = [weights[:2], weights[2:]] if in_turn else [weights]

        def loss():
            hidden = torch.tanh(rows[0] @ weights[0].T + weights[1])
            return functional.cross_entropy(hidden @ weights[2].T + weights[3], rows[1])

        for group in groups:
            slopes = torch.autograd.grad(loss(), group)
            with torch.no_grad():
                for weight, slope in zip(group, slopes, strict=True):
                    weight -= step * slope
        return float(loss().detach())

    found = largest_step(model, rows, 0.01, 1, in_turn=in_turn)
    before = loss_after(0.0)
    assert loss_after(found / 1.1) <= before < loss_after(found * 1.1)
    assert all(loss_after(step) <= before for step in np.geomspace(0.01, found / 1.1, 20))


def trained_with(rule, monkeypatch, gains=(1.0, -1.0, 1.0, 0.05)):
    def planted(*_, layers, **__):
        values = np.full(LAYERS, np.nan)
        values[list(layers)] = np.array(gains)[list(layers)]
        return LayerGains(values, values, np.full(LAYERS, 0.1), values)

    monkeypatch.setattr(freezing, "layer_gains", planted)
    model = build_network("MLP", ROWS, 0)
    training = freezing._Training(model, ROWS, SETTINGS, 0, rule)
    if rule == "random order":
        training.wanted = np.array([1 / 7, 1 / 7, 1.0, 1.0])
    training.run()
    return model, training


def test_the_certificate_freezes_layers_whose_gain_is_below_its_error(monkeypatch):
    _, training = trained_with(CERTIFICATE, monkeypatch)
    np.testing.assert_allclose(training.frozen_at, [1, 1 / 7, 1, 1 / 7], atol=0.01)
    assert [layer[0].requires_grad for layer in training.layers] == [True, False, True, False]
    _, stopped = trained_with(CERTIFICATE, monkeypatch, gains=(0.0,) * LAYERS)
    np.testing.assert_allclose(stopped.frozen_at, 1 / 7, atol=0.01)


def test_controls_freeze_by_their_own_rules(monkeypatch):
    model, training = trained_with("FreezeOut", monkeypatch)
    assert all(part.requires_grad for part in model.parameters())
    ends = (0.8 + 0.2 * np.arange(LAYERS) / 3) ** 3
    np.testing.assert_allclose(training.frozen_at[:-1], ends[:-1], atol=0.05)
    assert training.frozen_at[-1] == 1
    _, training = trained_with("random order", monkeypatch)
    assert (training.frozen_at < 0.2).sum() == 2
    assert (training.frozen_at == 1).sum() == 2
    _, training = trained_with("no freezing", monkeypatch)
    assert (training.frozen_at == 1).all()


def test_a_frozen_layer_stands_still(monkeypatch):
    model, whole = trained_with(CERTIFICATE, monkeypatch, gains=(-1.0,) * LAYERS)
    seen = freezing._Training(model, ROWS, SETTINGS, 0, "no freezing")
    steps = -(-200 // 64) * SETTINGS.freezing_epochs
    seen.run(most_steps=round(steps / 7))
    for frozen, there in zip(whole.model.parameters(), seen.model.parameters(), strict=True):
        assert torch.equal(frozen, there)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"checkpoints": (1, 5)}, "^checkpoints: got"),
        ({"checkpoints": (0, 99)}, "^checkpoints: got"),
        ({"adaptation_rates": (0.0,)}, "^adaptation_rates"),
        ({"freezing_epochs": 3}, "^freezing_epochs"),
        ({"keep_prob": 0.0}, "^keep_prob"),
        ({"rows": 5}, "^rows"),
    ],
)
def test_settings_out_of_range_are_refused(changed, expected):
    with pytest.raises(ValueError, match=expected):
        replace(LayersSettings(), **changed)
