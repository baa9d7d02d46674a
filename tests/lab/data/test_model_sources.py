"""Models from functions and foreign files, of which none is unpickled."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.extraction.nash_gap import nash_gap
from neurogames.lab.data.model_sources import read_model
from neurogames.lab.data.models import save_model

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Touch:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network in every form."""
    folder, model = tmp_path_factory.mktemp("models"), net()
    torch.jit.script(model).save(str(folder / "script.pt"))
    rows = torch.export.Dim("rows")
    torch.export.save(torch.export.export(model, (torch.ones(5, 3),), dynamic_shapes=({0: rows},)), folder / "net.pt2")
    save_model(model, folder / "own.pt")
    torch.save(model.state_dict(), folder / "state.pt")
    (folder / "planted_builder.py").write_text(
        "from torch import nn\n"
        "net = lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))\n"
        "number = lambda: 3\n"
        "wants = lambda width: width\n"
    )
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.mark.parametrize("name", ["script.pt", "net.pt2", "own.pt"])
def test_every_form_is_the_same_network_and_has_the_same_curvatures_and_gains(files, name):
    model, rows = read_model(str(files / name)), (torch.randn(20, 3), torch.randn(20, 2))
    assert not model.training
    torch.testing.assert_close(model(rows[0]), net()(rows[0]))
    options = {"starts": 0, "steps": 60}
    found, own = (
        nash_gap(each, nn.functional.mse_loss, rows, rng=np.random.default_rng(0), **options) for each in (model, net())
    )
    assert found.players == own.players == ("0", "2")
    np.testing.assert_allclose(found.smallest_curvature, own.smallest_curvature, atol=1e-5)
    np.testing.assert_allclose(found.gain, own.gain, rtol=0.02)


def test_a_function_builds_the_network_and_a_file_has_its_weights(files):
    model = read_model("planted_builder:net", weights=files / "state.pt")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), net().parameters(), strict=True))


def test_what_would_have_to_be_unpickled_is_refused_unread(files, tmp_path):
    traps = {}
    for name in ("pickle", "torch", "export"):
        trap = tmp_path / f"{name}.touched"
        traps[name] = (tmp_path / f"{name}.pt", trap)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Touch(traps["pickle"][1]), protocol=2))
    torch.save(Touch(traps["torch"][1]), tmp_path / "torch.pt")
    torch.save(Touch(traps["export"][1]), tmp_path / "inner.pt")
    with zipfile.ZipFile(files / "net.pt2") as good, zipfile.ZipFile(tmp_path / "export.pt", "w") as bad:
        for member in good.namelist():
            poisoned = member.endswith("sample_inputs/model.pt")
            bad.writestr(member, (tmp_path / "inner.pt").read_bytes() if poisoned else good.read(member))
    for path, trap in traps.values():
        with pytest.raises(ValueError, match=r"^(path|model): got "):
            read_model(str(path))
        with pytest.raises(ValueError, match="^weights: got "):
            read_model("planted_builder:net", weights=path)
        assert not trap.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nowhere.at_all:net", {}, 'model: got "nowhere.at_all:net'),
        ("planted_builder:none", {}, 'model: got "planted_builder:none'),
        ("planted_builder:number", {}, "model: got 'planted_builder:number, which gives a int'"),
        ("planted_builder:wants", {}, "model: got .*, expected a function without arguments"),
        ("planted_builder:net", {"weights": "missing.pt"}, "weights: got 'missing.pt', expected a file that is there"),
        ("planted_builder:net", {"activation": "relu"}, "activation: got 'relu'"),
        ("missing.pt", {}, "model: got 'missing.pt', expected package.module:function"),
    ],
)
def test_wrong_sources_are_refused_in_one_line(files, source, options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        read_model(source, **options)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_refused(files, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="^weights: got .*expected a state dictionary of tensors that fits"):
        read_model("planted_builder:net", weights=tmp_path / "other.pt")
    with pytest.raises(ValueError, match="^weights: got .*, expected none"):
        read_model(str(files / "own.pt"), weights=files / "state.pt")
