"""The backward sweep against linear-quadratic games solved exactly, and against dense matrices row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.dgnopt.rows import Rows
from neurogames.bridge.dgnopt.sweep import _before, sweep_back
from neurogames.bridge.dgnopt.value import Value
from neurogames.engine import solve_linear_quadratic
from neurogames.games import LinearQuadraticGame, LinearQuadraticStage
from tests.bridge.dgnopt.dense_game import (
    DenseCurvature,
    DenseMetric,
    Stage,
    affine,
    jacobians,
    record,
    sweep_arguments,
    weights_of,
)
from tests.bridge.dgnopt.networks import Cooperative, Residual

DAMPING = 0.3


def cooperative_stages(model: Cooperative) -> list[Stage]:
    def block(i):
        return Stage(
            lambda W, x: torch.tanh(affine(W[f"one.{i}"], x) + affine(W[f"two.{i}"], x)),
            {f"one.{i}": 0, f"two.{i}": 1},
        )

    return [block(i) for i in range(len(model.one))] + [Stage(lambda W, x: affine(W["head"], x), {"head": 0})]


def residual_stages(model: Residual, late: bool) -> list[Stage]:
    width = model.head.in_features
    stem = Stage(lambda W, x: torch.tanh(affine(W["stem"], x)), {"stem": 0})
    head = Stage(lambda W, x: affine(W["head"], x), {"head": 0})
    if late:
        one = Stage(lambda W, x: torch.cat([torch.tanh(affine(W["one"], x)), x]), {"one": 0})
        two = Stage(
            lambda W, x: torch.tanh(affine(W["two"], x[:width]) + affine(W["project"], x[width:])),
            {"two": 0, "project": 1},
        )
    else:
        one = Stage(
            lambda W, x: torch.cat([torch.tanh(affine(W["one"], x)), affine(W["project"], x)]), {"one": 0, "project": 1}
        )
        two = Stage(lambda W, x: torch.tanh(affine(W["two"], x[:width]) + x[width:]), {"two": 0})
    return [stem, one, two, head]


def linear_quadratic(stages, weights, x, target, players=None, damping=DAMPING):
    """The game around a pass of one row, of all layers or of those of some players, with costs |u|^2 damping / 2."""
    found, y = jacobians(stages, weights, x)
    made = []
    for stage, (_, F_x, F_u) in zip(stages, found, strict=True):
        controls = [F_u[name] for name, n in stage.players.items() if players is None or n in players]
        B = torch.cat(controls, dim=1) if controls else F_x.new_zeros(len(F_x), 0)
        size = F_x.shape[1] + B.shape[1]
        hessian = np.zeros((size, size))
        hessian[F_x.shape[1] :, F_x.shape[1] :] = damping * np.eye(B.shape[1])
        made.append(LinearQuadraticStage(F_x.numpy(), [B.numpy()], hessian[None]))
    n = len(y)
    slope = (2 / n * (y - target)).numpy()
    return LinearQuadraticGame(made, (2 / n * np.eye(n))[None], slope[None])


def laws(sweep, step, player=0):
    """Stage, layers, k and K of all groups; K, None at stage 0, from what feedback gives for unit deviations.

    K is right for the groups of the player; for all without own costs.
    """
    for stage, groups in enumerate(sweep.stages):
        for gains in groups:
            fed = [flat(gains.feedback(column)) for column in state_columns(step, stage, player)]
            K = torch.stack(fed, dim=1).numpy() if fed else None
            yield stage, gains.layers, flat(gains.opens).numpy(), K


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


def state_columns(step, stage, player=0):
    """Zbar'dx of the only row for a unit deviation of each entry of the state, in the order of tensors made."""
    recorded = step.recorded
    parts: dict = {}
    for (made, read), columns in recorded.crossings(player):
        if recorded.stages[made] < stage <= recorded.stages[read]:
            flat = torch.stack([column.flatten() for column in columns])
            parts[made] = parts.get(made, 0) + flat
    order = [node for node in recorded.operations.nodes if node in parts]
    return [column.unsqueeze(0) for node in order for column in parts[node].T]


@pytest.fixture(scope="module")
def one_row():
    torch.manual_seed(0)
    return torch.randn(1, 4, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)


@pytest.mark.parametrize("structure", ["feedback Nash", "own costs", "group rationality"])
def test_one_sweep_is_the_exact_solution_of_the_linear_quadratic_game(one_row, structure):
    """With the exact curvature, k and K of every stage are those of the coupled Riccati equations."""
    x, target = one_row
    torch.manual_seed(1)
    model = Cooperative().double()
    together = structure == "group rationality"
    targets = {0: target, 1: target - 1.0 if structure == "own costs" else target}

    def loss(y):
        costs = [functional.mse_loss(y, each) for each in targets.values()]
        return costs if structure == "own costs" else costs[0]

    step = record(model, x, loss, terminal="mse", rank=3)
    stages, weights = cooperative_stages(model), weights_of(model)
    sweep = sweep_back(
        *sweep_arguments(step),
        DenseCurvature(step.rows, DAMPING),
        feedback=True,
        cooperative=together,
        contracted=True,
    )
    assert sweep.clamped == 0
    for players in [{0, 1}] if together else [{0}, {1}]:
        game = linear_quadratic(stages, weights, x[0], targets[min(players)][0], players)
        solution = solve_linear_quadratic(game, "cooperative" if together else "feedback")
        assert solution.status == "ok"
        seen = 0
        for stage, names, k, K in laws(sweep, step, min(players)):
            if not together and {stages[stage].players[name] for name in names} != players:
                continue
            seen += 1
            np.testing.assert_allclose(k, solution.laws[stage].offset, rtol=1e-8, atol=1e-10)
            if K is not None:  # x_0 does not deviate
                np.testing.assert_allclose(K, solution.laws[stage].gain, rtol=1e-8, atol=1e-10)
        assert seen == (3 if together or 0 in players else 2)


def fixed_metrics(step, seed=0):
    """A positive definite matrix for any group of layers, the same for the same group, large so that nothing is cut."""
    made = {}

    def metric(names):
        shapes = [step.rows[name].slopes().shape[-2:] for name in names]
        if tuple(names) not in made:
            size = sum(shape.numel() for shape in shapes)
            generator = torch.Generator().manual_seed(seed + size)
            root = torch.randn(size, size, generator=generator, dtype=torch.float64)
            made[tuple(names)] = DenseMetric(root @ root.T + 30 * torch.eye(size, dtype=torch.float64), shapes)
        return made[tuple(names)]

    return metric


@pytest.mark.parametrize("cooperative", [False, True])
def test_without_feedback_each_stage_is_a_game_with_a_linear_cost_behind_it(one_row, cooperative):
    """Open loop, and cooperation without feedback: V_xx = 0, and curvature is what a layer's own move costs."""
    x, target = one_row
    torch.manual_seed(1)
    model = Cooperative().double()
    step = record(model, x, lambda y: functional.mse_loss(y, target))
    metric = fixed_metrics(step)
    sweep = sweep_back(
        *sweep_arguments(step),
        DenseCurvature(step.rows, 0.0, metric),
        feedback=False,
        cooperative=cooperative,
        contracted=True,
    )
    stages, weights = cooperative_stages(model), weights_of(model)
    found, y = jacobians(stages, weights, x[0])
    made = []
    for (_, F_x, F_u), groups in zip(found, sweep.stages, strict=True):
        n, B = F_x.shape[1], torch.cat(list(F_u.values()), dim=1)
        hessian = np.zeros((n + B.shape[1], n + B.shape[1]))
        own = torch.block_diag(*(metric(gains.layers).matrix for gains in groups))
        hessian[n:, n:] = own.numpy()
        made.append(LinearQuadraticStage(F_x.numpy(), [B.numpy()], hessian[None]))
    game = LinearQuadraticGame(made, np.zeros((1, 3, 3)), (2 / 3 * (y - target[0])).numpy()[None])
    solution = solve_linear_quadratic(game, "open_loop")
    assert solution.status == "ok"
    for groups, law in zip(sweep.stages, solution.laws, strict=True):
        k = torch.cat([flat(gains.opens) for gains in groups])
        np.testing.assert_allclose(k, law.offset, rtol=1e-8, atol=1e-10)
        assert all(gains.weights is None for gains in groups)


def dense_recursion(stages, weights, x, targets, metric, *, cooperative, contracted):
    """k and mean K dx of all layers from dense value matrices of each row, for deviations dx that are given."""
    rows = [jacobians(stages, weights, row) for row in x]
    p = [y.softmax(dim=0) for _, y in rows]
    onehot = torch.eye(len(p[0]), dtype=x.dtype)[targets]
    players = {0} if cooperative else {n for stage in stages for n in stage.players.values()}
    V = {
        n: [(each - hot, torch.diag(each) - torch.outer(each, each)) for each, hot in zip(p, onehot, strict=True)]
        for n in players
    }
    found = {}
    for t in reversed(range(len(stages))):
        for n in players:
            names = [name for name, player in stages[t].players.items() if cooperative or player == n]
            if not names:  # a player without a move: the state goes on
                pulled = []
                for (steps, _), (slope, hessian) in zip(rows, V[n], strict=True):
                    F_x = steps[t][1]
                    pulled.append((F_x.T @ slope, F_x.T @ hessian @ F_x))
                V[n] = pulled
                continue
            C = metric(names).matrix
            Q = []
            for (steps, _), (slope, hessian) in zip(rows, V[n], strict=True):
                F_x = steps[t][1]
                F_u = torch.cat([steps[t][2][name] for name in names], dim=1)
                Q.append((F_x.T @ slope, F_u.T @ slope, F_x.T @ hessian @ F_x, F_u.T @ hessian @ F_x))
            k = torch.linalg.solve(C, sum(q[1] for q in Q) / len(Q))
            K = [torch.linalg.solve(C, q[3]) for q in Q]
            found[t, tuple(names)] = (k, K)
            V[n] = [
                (Q_x - Q_ux.T @ k, Q_xx - Q_ux.T @ gain) if contracted else (Q_x, Q_xx)
                for (Q_x, _, Q_xx, Q_ux), gain in zip(Q, K, strict=True)
            ]
    return found


@pytest.mark.parametrize("contracted", [True, False])
@pytest.mark.parametrize("cooperative", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_each_row_of_a_residual_network_has_the_value_of_its_dense_twin(late, cooperative, contracted):
    """Low rank and backward passes against dense matrices and Jacobians, in both alignments of the projection."""
    torch.manual_seed(2)
    model = Residual().double()
    x, targets = torch.randn(3, 3, dtype=torch.float64), torch.tensor([0, 2, 1])
    alignment = {"stem": 0, "one": 1, "two": 2, "project": 2 if late else 1, "head": 3}
    step = record(model, x, lambda y: functional.cross_entropy(y, targets), alignment, terminal="cross_entropy", rank=2)
    metric = fixed_metrics(step)
    sweep = sweep_back(
        *sweep_arguments(step),
        DenseCurvature(step.rows, 0.0, metric),
        feedback=True,
        cooperative=cooperative,
        contracted=contracted,
    )
    assert sweep.clamped == 0
    stages = residual_stages(model, late)
    twin = dense_recursion(
        stages, weights_of(model), x, targets, metric, cooperative=cooperative, contracted=contracted
    )
    # Deviations: the states of another network, run through the sweep's own second pass.
    moved = Residual().double()
    seen = {}

    def before_stage(stage, new):
        seen[stage] = step._deviation(stage, new) if stage else torch.zeros(3, 2, dtype=torch.float64)

    step.recorded.model = moved
    with torch.no_grad():
        step.recorded.rerun(before_stage)
    before = [jacobians(stages, weights_of(model), row)[0] for row in x]
    after = [jacobians(residual_stages(moved, late), weights_of(moved), row)[0] for row in x]
    for stage, groups in enumerate(sweep.stages):
        for gains in groups:
            k, K = twin[stage, gains.layers]
            np.testing.assert_allclose(flat(gains.opens), k, rtol=1e-9, atol=1e-12)
            dx = [new[stage][0] - old[stage][0] for new, old in zip(after, before, strict=True)]
            expected = sum(gain @ each for gain, each in zip(K, dx, strict=True)) / len(x)
            np.testing.assert_allclose(flat(gains.feedback(seen[stage])), expected, rtol=1e-9, atol=1e-12)


def test_the_value_before_gains_of_another_matrix_than_the_inverse_is_the_quadratic_with_them_put_in():
    """U'HU + (U'HU)' - U'H'CHU and U'k + U'H'(Q - Ck) of each row, H not symmetric."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shapes, n, rank = [torch.Size((2, 3)), torch.Size((3, 2))], 4, 2
    rows = [Rows(draw(n, 1, d_in), 0.3 * draw(rank, n, 1, d_out)) for d_out, d_in in shapes]
    slopes, root = [draw(*shape) for shape in shapes], 0.3 * draw(12, 12)
    C = root @ root.T + torch.eye(12).double()
    H = torch.linalg.inv(C) + 0.1 * draw(12, 12)
    metric = DenseMetric(C, shapes, H)
    Q = flat(slopes)
    k = H @ Q
    U = torch.cat([own.slopes().flatten(2) for own in rows], dim=2).mT
    first = U.mT @ H @ U
    value = Value.terminal(n, rank, draw(rank, n, 1, 1))
    expected = value.before(first + first.mT - U.mT @ H.T @ C @ H @ U, (U.mT @ k + U.mT @ (H.T @ (Q - C @ k))))
    found = _before(value, metric, rows, slopes, metric.direction(slopes))
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.taken, expected.taken, rtol=1e-9, atol=1e-12)
    assert float(value.weights.sub(found.weights).abs().max()) > 0.05


@pytest.mark.parametrize("terminal", [("gradient", 1), ("mse", 3)])
def test_the_whole_network_as_one_stage_is_open_loop(terminal):
    """Figure 11: nothing happens before the only stage, so no layer sees a deviation, whatever the switches."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, target = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    step = record(model, x, lambda y: functional.mse_loss(y, target), terminal=terminal[0], rank=terminal[1])
    _, *arrays = sweep_arguments(step)
    metric = fixed_metrics(step)
    for cooperative in (False, True):
        curvature = DenseCurvature(step.rows, 0.0, metric)
        stage = [{"0": 0, "2": 1}]
        one = sweep_back(stage, *arrays, curvature, feedback=True, cooperative=cooperative, contracted=True)
        for gains in one.stages[0]:
            slopes = torch.cat([step._slope(name).flatten() for name in gains.layers])
            expected = torch.linalg.solve(metric(gains.layers).matrix, slopes)
            np.testing.assert_allclose(flat(gains.opens), expected, rtol=1e-10)


class Halves(nn.Module):
    """A network whose first layer is cut in two, each half reading half of the inputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 4), nn.Linear(2, 4, bias=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.left(x[:, :2]) + self.right(x[:, 2:])))


def test_parts_of_one_weight_that_cooperate_are_the_whole_weight():
    """Section 6: partitioning the weights of a layer under group rationality is the feedback game with N = 1."""
    torch.manual_seed(4)
    halves = Halves().double()
    whole = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        whole[0].weight.copy_(torch.cat([halves.left.weight, halves.right.weight], dim=1))
        whole[0].bias.copy_(halves.left.bias)
        whole[2].load_state_dict(halves.head.state_dict())
    x, target = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    switches = {"feedback": True, "contracted": True}
    found = []
    for model, cooperative in ((halves, True), (whole, False)):
        step = record(model, x, lambda y: functional.mse_loss(y, target), terminal="mse", rank=3)
        curvature = DenseCurvature(step.rows, DAMPING)
        found.append(sweep_back(*sweep_arguments(step), curvature, cooperative=cooperative, **switches))
    (parts,), (one,) = found[0].stages[0], found[1].stages[0]
    left, right = parts.opens
    together = torch.cat([left[:, :2], right, left[:, 2:]], dim=1)
    np.testing.assert_allclose(together, one.opens[0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found[0].stages[1][0].opens[0], found[1].stages[1][0].opens[0], rtol=1e-10)
