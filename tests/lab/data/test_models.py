"""A saved model comes back the same; other files are refused by name."""

from __future__ import annotations

import zipfile

import pytest
import torch
from torch import nn

from neurogames.bridge.gates.gates import insert_gates
from neurogames.lab.data.models import FORMAT, load_model, save_model


def everything():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, stride=(1, 2), bias=False), nn.BatchNorm2d(4, eps=1e-3), nn.GELU("tanh")
        ),
        *(
            nn.MaxPool2d(2, padding=1),
            nn.LeakyReLU(0.3),
            nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular", groups=2),
        ),
        *(nn.AvgPool2d(2, count_include_pad=False), nn.Tanh(), nn.AdaptiveAvgPool2d((2, None)), nn.Dropout(0.3)),
        *(nn.Identity(), nn.Flatten(2), nn.Conv1d(4, 3, 2, dilation=1), nn.BatchNorm1d(3, affine=False), nn.Sigmoid()),
        *(nn.Flatten(), nn.ReLU(inplace=True), nn.LazyLinear(5)),
    )


def test_every_known_layer_comes_back_with_its_settings(tmp_path):
    torch.manual_seed(0)
    model = everything()
    x = torch.randn(4, 64)
    model(x)
    save_model(model, tmp_path / "model.pt")
    loaded = load_model(tmp_path / "model.pt")
    assert loaded.source == "description"
    assert not loaded.model.training
    assert str(loaded.model) == str(model)
    torch.testing.assert_close(loaded.model(x), model.eval()(x), rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_names_and_precision_are_kept(tmp_path):
    model = nn.Sequential()
    model.add_module("first", nn.Linear(3, 2, dtype=torch.float64))
    model.add_module("act", nn.ReLU())
    save_model(model, tmp_path / "m.pt")
    loaded = load_model(tmp_path / "m.pt").model
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert loaded.first.weight.dtype == torch.float64


def test_bare_state_of_a_perceptron_keeps_its_names_and_gets_the_activation_named(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    loaded = load_model(tmp_path / "state.pt", activation="relu")
    assert loaded.source == "state_dict"
    assert [name for name, _ in loaded.model.named_modules()] == [name for name, _ in model.named_modules()]
    x = torch.randn(6, 5)
    torch.testing.assert_close(loaded.model(x), model(x), rtol=0, atol=0)
    save_model(model, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="activation: got 'relu', expected none"):
        load_model(tmp_path / "model.pt", activation="relu")
    with pytest.raises(ValueError, match="activation: got 'softmax'"):
        load_model(tmp_path / "state.pt", activation="softmax")


def test_names_of_a_state_are_those_of_its_groups(tmp_path):
    sizes = {"body.first": (2, 3), "body.second": (3, 4), "head": (4, 1)}
    state = {f"{name}.weight": torch.randn(size[1], size[0]) for name, size in sizes.items()}
    torch.save(state, tmp_path / "state.pt")
    model = load_model(tmp_path / "state.pt", activation="gelu").model
    assert list(model.state_dict()) == list(state)
    gelu, x = nn.functional.gelu, torch.randn(7, 2)
    first, second, head = (weight.T for weight in state.values())
    torch.testing.assert_close(model(x), gelu(gelu(x @ first) @ second) @ head)
    torch.save({f"{name}.weight": torch.eye(2) for name in ("a.one", "b", "a.two")}, tmp_path / "mixed.pt")
    torch.save({"forward.weight": torch.eye(2), "b.weight": torch.eye(2)}, tmp_path / "forward.pt")
    torch.save({"a.weight": torch.eye(2), "a.b.weight": torch.eye(2)}, tmp_path / "inside.pt")
    for name in ("mixed", "forward", "inside"):
        with pytest.raises(ValueError, match="^path"):
            load_model(tmp_path / f"{name}.pt", activation="tanh")


def test_one_layer_needs_no_activation(tmp_path):
    layer = nn.Linear(3, 2)
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    assert list(load_model(tmp_path / "state.pt").model.state_dict()) == ["weight", "bias"]


def test_unknown_layers_are_named_and_nothing_is_written(tmp_path):
    for model, what in (
        (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Softmax(1))), r"model\.1\.0.*Softmax"),
        (nn.TransformerEncoderLayer(4, 2), "TransformerEncoderLayer"),
    ):
        with pytest.raises(ValueError, match=what):
            save_model(model, tmp_path / "m.pt")
    gated = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    insert_gates(gated)
    with pytest.raises(ValueError, match="remove gates first"):
        save_model(gated, tmp_path / "m.pt")
    with pytest.raises(ValueError, match="path"):
        save_model(nn.Linear(2, 2), tmp_path / "nowhere" / "m.pt")
    assert not list(tmp_path.iterdir())


class Trap:
    """Something that would run code when it is unpickled."""

    def __reduce__(self):
        return (eval, ("1 / 0",))


def _linear(**more):
    return {"kind": "Linear", "arguments": {"in_features": 2, "out_features": 1, **more}}


def test_other_files_are_refused(tmp_path):
    good = {"format": FORMAT, "layers": {"kind": "Linear", "arguments": {"in_features": 2, "out_features": 1}}}
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    files = {
        "trap": Trap(),
        "module": nn.Linear(2, 2),
        "list": [1, 2],
        "number": {"a": 1},
        "future": {**good, "format": "neurogames model 9", "state": {}},
        "no state": good,
        "misfit": {**good, "state": nn.Linear(3, 1).state_dict()},
        "unknown": {**good, "layers": {"kind": "Softmax", "arguments": {}}, "state": {}},
        "convolution": nn.Conv2d(1, 2, 3).state_dict(),
        "norm": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict(),
        "device": {**good, "layers": _linear(device="cuda"), "state": nn.Linear(2, 1).state_dict()},
        "kind": {**good, "layers": _linear(dtype="uint8"), "state": nn.Linear(2, 1).state_dict()},
        "function": {**good, "layers": _linear(dtype="load"), "state": nn.Linear(2, 1).state_dict()},
        "huge": {**good, "layers": _linear(in_features=10**15), "state": nn.Linear(2, 1).state_dict()},
        "other kind": {**good, "state": nn.Linear(2, 1).double().state_dict()},
        "integers": {"weight": torch.ones(2, 3, dtype=torch.int64)},
        "sparse": {"weight": torch.ones(2, 3).to_sparse()},
        "gap": nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1)).state_dict(),
    }
    for name, content in files.items():
        torch.save(content, tmp_path / f"{name}.pt")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match="path") as caught:
            load_model(path)
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)
    for path in (tmp_path / "missing.pt", tmp_path):
        with pytest.raises(ValueError, match="a file that is there"):
            load_model(path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_with_a_long_name_is_refused_before_torch_searches_its_own_message(tmp_path, packed):
    path, name = tmp_path / "names.pt", b"c" + b"x" * 20_000 + b"\n" + b"y must be z to load\n."
    path.write_bytes(name)
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("names/data.pkl", name)
    with pytest.raises(ValueError, match="it holds a name of 20020 characters"):
        load_model(path)
