from __future__ import annotations

from dataclasses import fields

import pytest

from neurogames.lab.studies.comparison.settings import ComparisonSettings


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("keep_probs", (0.0, 1.0), r"probability in \(0, 1\]"),
        ("keep_probs", (0.5, 1.2), r"probability in \(0, 1\]"),
        ("keep_probs", (0.5, float("nan")), r"probability in \(0, 1\]"),
        ("keep_probs", (0.9, 0.5, 1.0), "increasing"),
        ("keep_probs", (0.2, 0.5), "end at 1"),
        ("target_noises", ("none", "pink"), "stable"),
        ("target_noises", ("none", "none"), "once"),
        ("temperature", 0.0, "> 0"),
        ("cost", 0.0, "> 0"),
        ("temperature", -1.0, "> 0"),
        ("learning_rate", float("inf"), "> 0"),
        ("stable_alpha", 2.5, r"\(0, 2\]"),
        ("seeds", 1, r"in \[2, 100000\]"),
        ("epochs", 0, ">= 1"),
        ("epochs", 1.5, "integer"),
        ("hidden", (), "hidden layer"),
        ("hidden", (0,), ">= 1"),
        ("levels", (0.1, 1.0), "start at 0"),
        ("snapshots", (0.0, 0.5), "end at 1"),
        ("n_players", 1, ">= 2"),
        ("data", (), "at least one"),
        ("data", ("a", "a"), "once"),
        ("data", "wine", "sequence of names"),
        ("task", "clustering", "classification"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(argument: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: got .*{expected}"):
        ComparisonSettings(**{argument: value})


def test_settings_survive_the_way_through_plain_values() -> None:
    settings = ComparisonSettings(data=("wine", "iris"), task="classification", hidden=(8,))
    assert ComparisonSettings.from_dict(settings.to_dict()) == settings
    assert "target" not in settings.to_dict()


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps_prob.*keep_probs"):
        ComparisonSettings.from_dict({"keeps_prob": [0.5, 1.0]})


def test_a_first_look_is_never_longer_than_the_settings_it_is_made_from() -> None:
    small = ComparisonSettings(target_noises=("gaussian",), seeds=2, epochs=3, noise_repeats=1, replicas=20)
    quick = small.quick()
    assert (quick.target_noises, quick.seeds, quick.epochs) == (("gaussian",), 2, 3)
    assert (quick.noise_repeats, quick.replicas) == (1, 20)


def test_a_first_look_keeps_the_grid_and_the_data() -> None:
    settings = ComparisonSettings(data=("wine",))
    quick = settings.quick()
    assert quick.keep_probs == settings.keep_probs
    assert quick.data == settings.data
    changed = {
        field.name
        for field in fields(ComparisonSettings)
        if getattr(quick, field.name) != getattr(settings, field.name)
    }
    assert changed == {"target_noises", "seeds", "epochs", "noise_repeats", "snapshots", "replicas"}
