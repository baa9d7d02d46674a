"""What people bring to coalition games, participation games and Grad-CAM; one line says what was wrong."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import (
    activation_magnitude,
    attach_gradient_dropout,
    attach_mean_feedback,
    coalition_game,
    grad_cam,
    gradient_activation,
    participation_game,
)
from neurogames.lab.data.models import load_model, save_model


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def classifier(outputs=3):
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, outputs))


def rows(n=12, outputs=3):
    return torch.randn(n, 4), torch.arange(n) % outputs


class Cells(nn.Module):
    """A convolution on maps whose channels stand last, as in Swin."""

    def __init__(self, channels=5):
        super().__init__()
        self.embed, self.mix, self.head = nn.Conv2d(3, channels, 2, 2), nn.Linear(channels, channels), nn.Linear(5, 3)

    def forward(self, x):
        x = functional.gelu(self.mix(self.embed(x).permute(0, 2, 3, 1)))
        return self.head(x.mean((1, 2)))


class Block(nn.Module):
    """The block of ConvNeXt: channels go to the last axis and back."""

    def __init__(self):
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(5, 5, 3, padding=1, groups=5), nn.LayerNorm(5)
        self.wide, self.narrow = nn.Linear(5, 20), nn.Linear(20, 5)

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(functional.gelu(self.wide(y))).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(3, 5, 2, 2), Block(), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.block(self.stem(x)).mean((2, 3)))


class ViT(nn.Module):
    """Patches as tokens, one encoder layer, the mean token."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, 2)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


IMAGES = torch.randn(3, 3, 8, 6, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([0, 2, 1])


@pytest.mark.parametrize(
    ("model", "layer", "units"),
    [
        (Cells(), "embed", 5),
        (Cells(), "mix", 5),
        (ConvNeXt(), "block.wide", 20),
        (ConvNeXt(), "block.narrow", 5),
        (ConvNeXt(), "block.norm", 5),
        (ViT(), "encoder.linear1", 16),
        (ViT(), "encoder.norm2", 8),
        (ViT(), "patches", 8),
        (classifier(), "0", 6),
    ],
)
def test_units_stand_where_the_layer_has_them(model, layer, units):
    """Were taken from axis 1: a Linear on (rows, 9 tokens, 32 features) had 9 players."""
    images = IMAGES if not isinstance(model, nn.Sequential) else torch.randn(3, 4)
    game = coalition_game(model, layer, (images, CLASSES), metric="loss")
    assert game.n_players == units
    assert activation_magnitude(model, layer, images).shape == (units,)
    assert gradient_activation(model, layer, (images, CLASSES)).shape == (units,)
    loss = -functional.cross_entropy(model.eval()(images), CLASSES)
    assert float(game.value(np.ones(units, dtype=bool))) == pytest.approx(float(loss.detach()), rel=1e-5)


def test_heads_of_attention_are_players():
    """Heads come out of no module: they are told apart in the projection behind them."""
    game = participation_game(ViT(), functional.cross_entropy, (IMAGES, CLASSES), units="heads")
    assert game.n_players == 2


def reference_cam(model, layer, images, classes, to_channels):
    """Equations 1 and 2 of Grad-CAM with the channels brought to axis 1."""
    kept = []
    handle = layer.register_forward_hook(lambda _m, _i, output: kept.append(output))
    scores = model.eval()(images)
    handle.remove()
    (slope,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), kept)
    slope, maps = slope.permute(to_channels), kept[0].permute(to_channels)
    cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu()
    return functional.interpolate(cam[:, None], images.shape[-2:], mode="bilinear")[:, 0].detach()


@pytest.mark.parametrize(
    ("model", "layer", "order"),
    [(Cells(), "mix", (0, 3, 1, 2)), (Cells(), "embed", (0, 1, 2, 3)), (ConvNeXt(), "block.wide", (0, 3, 1, 2))],
)
def test_grad_cam_of_maps_with_channels_last(model, layer, order):
    """Was 99 % wrong: it took the height for the channels."""
    layer = model.get_submodule(layer)
    found = grad_cam(model, layer, IMAGES, CLASSES)
    torch.testing.assert_close(found, reference_cam(model, layer, IMAGES, CLASSES, order))
    assert found.abs().max() > 0


class Untraceable(nn.Module):
    """Whatever is inside, torch.fx cannot record it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) if bool(x.isfinite().all()) else x


def test_grad_cam_of_a_block_that_cannot_be_recorded():
    """Without a graph the axis is the only one as long as the last layer has units; where two are, it must be given."""
    for model, order in ((Cells(), (0, 3, 1, 2)), (ConvNeXt(), (0, 1, 2, 3))):
        layer = model.mix if isinstance(model, Cells) else model.block
        whole = Untraceable(model)
        found = grad_cam(whole, layer, IMAGES, CLASSES)
        torch.testing.assert_close(found, reference_cam(model, layer, IMAGES, CLASSES, order))
    square = torch.randn(3, 3, 10, 10)
    with pytest.raises(ValueError, match="unit_axis"):
        grad_cam(whole, whole.inner.block, square, CLASSES)
    found = grad_cam(whole, whole.inner.block, square, CLASSES, unit_axis=1)
    torch.testing.assert_close(found, reference_cam(model, model.block, square, CLASSES, (0, 1, 2, 3)))


class Answers(nn.Module):
    """Images, perhaps a second input, and an answer of the form asked for."""

    def __init__(self, form):
        super().__init__()
        self.conv, self.norm, self.head, self.form = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 3, 1), form

    def forward(self, x, shift=0.0):
        maps = self.head(torch.relu(self.norm(self.conv(x))))
        scores = maps.mean((2, 3)) + shift
        return {"dict": {"out": scores}, "maps": maps, "tuple": (scores, maps), "scores": scores}[self.form]


@pytest.mark.parametrize(("form", "got"), [("dict", "a dict"), ("maps", "shape"), ("tuple", "a tuple")])
def test_grad_cam_names_outputs_that_are_no_scores(form, got):
    """Were raw: "'dict' object has no attribute 'gather'", "Index tensor must have the same number of dimensions"."""
    model = Answers(form)
    with pytest.raises(ValueError, match=rf"^model: got .outputs of {got}.*forward="):
        grad_cam(model, model.conv, IMAGES, CLASSES)
    select = {
        "dict": lambda model, x: model(x)["out"],
        "maps": lambda model, x: model(x).mean((2, 3)),
        "tuple": lambda model, x: model(x)[0],
    }[form]
    plain = Answers("scores")
    plain.load_state_dict(model.state_dict())
    found = grad_cam(model, model.conv, IMAGES, CLASSES, forward=select)
    assert torch.equal(found, grad_cam(plain, plain.conv, IMAGES, CLASSES))


def test_grad_cam_names_a_class_that_is_not_there():
    """Was raw: "index 7 is out of bounds for dimension 1 with size 3"."""
    model = Answers("scores")
    for wrong in (7, -1):
        with pytest.raises(ValueError, match=rf"^classes: .*{wrong}.*in \[0, 2\]"):
            grad_cam(model, model.conv, IMAGES, torch.tensor([0, wrong, 1]))


def test_grad_cam_of_two_inputs():
    """Was raw: "'tuple' object has no attribute 'ndim'"."""
    model, shift = Answers("scores"), torch.randn(3, 3)
    with pytest.raises(ValueError, match=r"^inputs: .*forward="):
        grad_cam(model, model.conv, (IMAGES, shift), CLASSES)
    found = grad_cam(model, model.conv, (IMAGES, shift), CLASSES, forward=lambda model, both: model(*both))
    assert torch.equal(found, grad_cam(model, model.conv, IMAGES, CLASSES))


def test_grad_cam_in_inference_mode_and_of_a_model_in_training():
    """Was raw: "element 0 of tensors does not require grad"; statistics of BatchNorm must not move."""
    model = Answers("scores").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = grad_cam(model, model.conv, IMAGES, CLASSES)
    with torch.inference_mode():
        found = grad_cam(model, model.conv, IMAGES.clone(), CLASSES.clone())
        made_here = Answers("scores")
        with pytest.raises(ValueError, match="inference mode"):
            grad_cam(made_here, made_here.conv, IMAGES, CLASSES)
    assert torch.equal(found, expected)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("benefit", ["taylor", "ablation"])
def test_network_in_half_precision_has_a_game(kind, benefit):
    """Was refused: "outputs of a row that depend on the other rows"."""
    wide = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)).to(kind)
    data = torch.randn(64, 16).to(kind), torch.randint(0, 4, (64,))
    game = participation_game(wide, functional.cross_entropy, data, benefit=benefit)
    single = participation_game(wide.double(), functional.cross_entropy, (data[0].double(), data[1]), benefit=benefit)
    assert game.n_players == 128
    assert np.corrcoef(game.benefit, single.benefit)[0, 1] > 0.95


class Pair(nn.Module):
    """Two inputs, in another order than they are brought, and a dictionary as answer."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.hidden, self.head = (nn.Linear(*size) for size in ((4, 6), (2, 6), (6, 5), (5, 3)))

    def forward(self, *, first, second):
        return {"logits": self.head(torch.relu(self.hidden(torch.tanh(self.one(first) + self.two(second)))))}


class Joined(nn.Module):
    """The same network of one tensor and one answer, under the same names."""

    def __init__(self, pair):
        super().__init__()
        self.one, self.two, self.hidden, self.head = pair.one, pair.two, pair.hidden, pair.head

    def forward(self, x):
        return self.head(torch.relu(self.hidden(torch.tanh(self.one(x[:, :4]) + self.two(x[:, 4:])))))


def call(model, inputs):
    return model(**inputs)["logits"]


def test_several_inputs_and_a_dictionary_as_answer():
    """Were refused: a model of two inputs could not be given at all."""
    pair = Pair()
    whole, targets = torch.randn(20, 6), torch.arange(20) % 3
    parts = {"first": whole[:, :4], "second": whole[:, 4:].numpy()}
    joined = Joined(pair)
    before = {name: value.clone() for name, value in pair.state_dict().items()}
    for layer in ("hidden", "one"):
        ours = coalition_game(pair, layer, (parts, targets), metric="loss", forward=call)
        twin = coalition_game(joined, layer, (whole, targets), metric="loss")
        sets = np.random.default_rng(0).random((20, ours.n_players)) < 0.5
        np.testing.assert_allclose(ours.value(sets), twin.value(sets), rtol=1e-5)
        np.testing.assert_allclose(
            gradient_activation(pair, layer, (parts, targets), forward=call),
            gradient_activation(joined, layer, (whole, targets)),
            rtol=1e-4,
        )
        assert ours.n_components == 20  # not run as a whole, set by set
    for benefit in ("taylor", "ablation"):
        ours = participation_game(
            pair, functional.cross_entropy, (parts, targets), benefit=benefit, modules=["hidden"], forward=call
        )
        twin = participation_game(
            joined, functional.cross_entropy, (whole, targets), benefit=benefit, modules=["hidden"]
        )
        np.testing.assert_allclose(ours.benefit, twin.benefit, rtol=1e-3, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in pair.state_dict().items())
    with pytest.raises(ValueError, match=r"^data: .*forward="):
        coalition_game(pair, "hidden", (parts, targets))
    with pytest.raises(ValueError, match=r"^data: got 'parts of \[20, 3\] rows'"):
        coalition_game(pair, "hidden", (parts | {"second": torch.zeros(3, 2)}, targets), forward=call)


def test_mode_of_a_model_behind_a_function():
    """A model that draws in training mode is asked in evaluation mode, also when it is called by a function."""

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return (self.b(torch.relu(self.a(x))) + (torch.randn(len(x), 3) if self.training else 0),)

    model = Noisy().train()
    x, y = rows()
    game = coalition_game(model, "a", ((x,), y), metric="loss", forward=lambda model, inputs: model(*inputs)[0])
    expected = -functional.cross_entropy(model.b(torch.relu(model.a(x))), y)
    assert float(game.value(np.ones(6, dtype=bool))) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert model.training
    first, second = (
        participation_game(
            model, functional.cross_entropy, ((x,), y), benefit="ablation", forward=lambda f, i: f(*i)[0]
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.benefit, second.benefit)
    assert model.training


def test_arrays_and_loaders_are_data():
    """Were refused: "got 'inputs: ndarray'"."""
    model = classifier()
    x, y = rows()
    sets = np.random.default_rng(0).random((9, 6)) < 0.5
    expected = coalition_game(model, "1", (x, y), metric="loss").value(sets)
    benefit = participation_game(model, functional.cross_entropy, (x, y)).benefit
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=5)
    for data in ((x.double().numpy(), y.numpy().astype(np.int32)), loader, [x, y]):
        np.testing.assert_allclose(coalition_game(model, "1", data, metric="loss").value(sets), expected, rtol=1e-6)
    for data in ((x.double().numpy(), y.numpy()), loader):
        np.testing.assert_allclose(participation_game(model, functional.cross_entropy, data).benefit, benefit)
    with pytest.raises(ValueError, match="^data"):
        coalition_game(model, "1", torch.utils.data.DataLoader(x))
    with pytest.raises(ValueError, match="^data"):
        coalition_game(model, "1", (np.array([["a"] * 4] * 12), y))


WEIGHTS = torch.tensor([1.0, 5.0, 0.5])


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=WEIGHTS),
        nn.CrossEntropyLoss(ignore_index=1),
        nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1, ignore_index=2),
        partial(functional.cross_entropy, weight=WEIGHTS),
        functional.cross_entropy,
    ],
)
def test_weighted_means_are_means(loss):
    """Were refused ("1.388 on rows whose own losses have mean 1.348"), and NaN with ignored targets."""
    model = classifier()
    x, y = rows(700)  # more than are run at once
    y = y[torch.randperm(700)]
    y[::7] = 2 if getattr(loss, "ignore_index", -100) == 2 else getattr(loss, "ignore_index", -100)
    game = participation_game(model, loss, (x, y), benefit="ablation")
    with torch.no_grad():
        here = loss(model(x), y)
        for unit in range(6):
            hidden = torch.relu(model[0](x))
            hidden[:, unit] = 0
            ablated = np.ones(6)
            ablated[unit] = 0
            predicted = game.potential(np.ones(6)) - game.potential(ablated)
            assert predicted == pytest.approx(float(loss(model[2](hidden), y) - here), abs=2e-6)


def test_a_weighted_loss_of_unknown_make_is_refused_with_the_way_out():
    """A function that hides its weights is no mean over rows, and the error says which losses are known."""
    with pytest.raises(ValueError, match=r"^loss: .*CrossEntropyLoss"):
        participation_game(classifier(), lambda a, b: functional.cross_entropy(a, b, WEIGHTS), rows())


class Tagger(nn.Module):
    """A class for each token."""

    def __init__(self, classes=7, first=False):
        super().__init__()
        self.embed, self.hidden, self.head, self.first = (
            *(nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, classes)),
            first,
        )

    def forward(self, ids):
        scores = self.head(torch.relu(self.hidden(self.embed(ids))))
        return scores.transpose(1, 2) if self.first else scores


@pytest.mark.parametrize("first", [False, True])
def test_a_target_for_each_token(first):
    """Were refused: "expected at least two outputs, one for each class"."""
    model = Tagger(first=first)
    ids, targets = torch.randint(0, 9, (8, 5)), torch.randint(0, 7, (8, 5))
    targets[0, 2:], targets[3], targets[5, 0] = -100, -100, -100
    scores = model(ids) if first else model(ids).transpose(1, 2)
    everybody = np.ones(6, dtype=bool)
    kept = [row for row in range(8) if row != 3]
    losses = [-functional.cross_entropy(scores[row : row + 1], targets[row : row + 1]) for row in kept]
    right = [(scores[row].argmax(0) == targets[row])[targets[row] != -100].double().mean() for row in kept]
    for metric, expected in (("loss", torch.stack(losses).mean()), ("accuracy", torch.stack(right).mean())):
        game = coalition_game(model, "hidden", (ids, targets), metric=metric)
        assert float(game.value(everybody)) == pytest.approx(float(expected.detach()), rel=1e-5)
        assert game.n_components == 7
    assert gradient_activation(model, "hidden", (ids, targets)).shape == (6,)
    loss = nn.CrossEntropyLoss()
    extracted = participation_game(
        model, loss, (ids, targets), forward=lambda f, x: f(x) if first else f(x).transpose(1, 2)
    )
    assert extracted.n_players == 6
    with pytest.raises(ValueError, match=r"^metric: .*either axis"):
        coalition_game(Tagger(5), "hidden", (ids, targets.clamp(0, 4)), metric="loss")


@pytest.mark.parametrize("form", [nn.Identity(), nn.Flatten(0)])
def test_a_single_logit_for_two_classes(form):
    """Was refused: "expected at least two outputs, one for each class"."""
    model = nn.Sequential(*classifier(1), form)
    x, y = rows(outputs=2)
    z = model(x).detach().reshape(-1)
    expected = {
        "accuracy": ((z > 0) == (y == 1)).double().mean(),
        "loss": -functional.binary_cross_entropy_with_logits(z, y.float()),
        "logit": (z * (y - 0.5)).mean(),
    }
    for metric, value in expected.items():
        game = coalition_game(model, "1", (x, y), metric=metric)
        assert float(game.value(np.ones(6, dtype=bool))) == pytest.approx(float(value), rel=1e-5)
    with pytest.raises(ValueError, match="^targets"):
        coalition_game(model, "1", (x, y + 1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.hidden, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(self.cell(x)[0][:, -1])))


def test_recurrent_networks_have_coalition_games_and_a_clear_refusal_elsewhere():
    """torch.func has no rule for an LSTM: the error says so, in one line."""
    x, y = torch.randn(6, 5, 4), torch.arange(6) % 3
    assert coalition_game(Recurrent(), "hidden", (x, y)).n_players == 6
    with pytest.raises(ValueError, match=r"^model: got .*vmap refuses.*lstm") as caught:
        participation_game(Recurrent(), functional.cross_entropy, (x, y))
    assert "\n" not in str(caught.value)


def in_place(model):
    model.compile(backend="eager")
    return model


@pytest.mark.parametrize("compiled", [partial(torch.compile, backend="eager"), in_place])
def test_compiled_models_are_asked_as_they_were_written(compiled):
    """Were asked under other names ("_orig_mod.0"), and with hooks that what is compiled does not know."""
    model = classifier()
    x, y = rows()
    expected = coalition_game(model, "1", (x, y), metric="loss").value(np.eye(6, dtype=bool))
    benefit = participation_game(model, functional.cross_entropy, (x, y), benefit="ablation").benefit
    fast = compiled(model)
    fast(x)
    found = coalition_game(fast, "1", (x, y), metric="loss").value(np.eye(6, dtype=bool))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    game = participation_game(fast, functional.cross_entropy, (x, y), benefit="ablation")
    np.testing.assert_allclose(game.benefit, benefit, rtol=1e-6)
    torch.testing.assert_close(fast(x), model(x))


def test_activation_of_a_file_of_weights_is_never_guessed(tmp_path):
    """A perceptron with tanh was analysed as one with ReLU: accuracy 1.000 became .937."""
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    save_model(model, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"^activation: got None, expected .*tanh.*numbers only"):
        load_model(tmp_path / "state.pt")
    x, _ = rows()
    one, other = load_model(tmp_path / "model.pt").model, load_model(tmp_path / "state.pt", activation="tanh").model
    assert torch.equal(one(x), other(x))
    assert [name for name, _ in one.named_modules()] == [name for name, _ in other.named_modules()]


@pytest.mark.parametrize("compiled", [partial(torch.compile, backend="eager"), in_place])
def test_gradient_dropout_behind_compilation_warns(compiled):
    """Was silent, and then inert: what is compiled does not see hooks that come later."""
    fast = compiled(classifier())
    with pytest.warns(UserWarning, match=r"compiled.*before torch\.compile"):
        handle = attach_gradient_dropout(fast, 0.5, rng=torch.Generator())
    assert list(handle.layers) == ["0"]
    handle.remove()


def gradients(model, steps):
    """Gradients of the first layer in some steps, with what masks they met."""
    found = []
    for _ in range(steps):
        model.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        found.append(model[0].weight.grad.clone())
    return found


@pytest.mark.parametrize("taken_after", [0, 1, 3])
@pytest.mark.parametrize("units", [6, 3000])
def test_state_of_attached_gradient_dropout(taken_after, units, tmp_path):
    """Had no state_dict: a training that was resumed drew other masks."""
    model = nn.Sequential(nn.Linear(4, units), nn.Tanh(), nn.Linear(units, 3))

    def attach(seed):
        rng = torch.Generator().manual_seed(seed)
        return attach_gradient_dropout(model, lambda t: 0.3 + t / 2, rng=rng, granularity="sample")

    handle = attach(1)
    handle.progress = 0.25
    gradients(model, taken_after)
    torch.save(handle.state_dict(), tmp_path / "state.pt")
    expected = gradients(model, 4)
    handle.remove()
    again = attach(2)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.progress == 0.25
    for one, other in zip(gradients(model, 4), expected, strict=True):
        assert torch.equal(one, other)
    again.remove()
    with attach(2) as other:
        other.progress = 0.25
        assert not all(map(torch.equal, gradients(model, 4), expected))
    mean = attach_mean_feedback(model, 0.5)
    for wrong in (handle.state_dict(), {}, 3):
        with pytest.raises(ValueError, match="^state"):
            mean.load_state_dict(wrong)
    mean.load_state_dict(mean.state_dict())
