from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import prepare
from neurogames.lab.data.tables import dataset_from_frame

ROWS = 60


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mixed(task: str = "regression"):
    rng = generator(5)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(5, 3, ROWS)),
            "constant": 0.1,
            "colour": rng.choice(["red", "green", "blue", None], ROWS),
            "nothing": np.nan,
            "price": rng.normal(100, 20, ROWS) if task == "regression" else rng.choice(["a", "b", "b", "b"], ROWS),
        }
    )
    return dataset_from_frame("mixed", frame, "price")


def test_arrays_have_the_promised_kinds_and_shapes():
    found = prepare(mixed(), rng=generator())
    assert found.feature_names == ("size", "colour=blue", "colour=green", "colour=red")
    assert (found.train_inputs.shape, found.test_inputs.shape) == ((48, 4), (12, 4))
    for array in (found.train_inputs, found.test_inputs, found.train_targets, found.test_targets):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert array.flags.c_contiguous
    assert found.class_names == ()
    rows = np.concatenate([found.train_rows, found.test_rows])
    np.testing.assert_array_equal(np.sort(rows), np.arange(ROWS))
    classes = prepare(mixed("classification"), rng=generator())
    assert classes.class_names == ("a", "b")
    assert classes.train_targets.dtype == classes.test_targets.dtype == np.int64
    assert (classes.target_mean, classes.target_std) == (0.0, 1.0)


def test_the_arrays_are_those_of_a_calculation_by_hand():
    dataset = mixed()
    found = prepare(dataset, rng=generator())
    size = dataset.features["size"].to_numpy()
    filled = np.where(np.isnan(size), np.nanmedian(size[found.train_rows]), size)
    colour = dataset.features["colour"].astype(object)
    usual = colour.iloc[found.train_rows].value_counts().sort_index().idxmax()
    by_hand = [filled, *((colour.fillna(usual) == value).to_numpy(float) for value in ("blue", "green", "red"))]
    for column, values in enumerate(by_hand):
        train = values[found.train_rows]
        scaled = (values - train.mean()) / train.std()
        np.testing.assert_allclose(found.train_inputs[:, column], scaled[found.train_rows], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.test_inputs[:, column], scaled[found.test_rows], rtol=1e-5, atol=1e-6)
    target = dataset.target.to_numpy()
    np.testing.assert_allclose(
        found.test_targets * found.target_std + found.target_mean, target[found.test_rows], rtol=1e-5
    )
    assert found.target_mean == pytest.approx(target[found.train_rows].mean())


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_test_rows_have_no_part_in_the_training_arrays(task):
    dataset = mixed(task)
    found = prepare(dataset, rng=generator())
    features, target = dataset.features.copy(), dataset.target.copy()
    features.loc[found.test_rows, "size"] = 1e6
    features.loc[found.test_rows, "constant"] = 7.0
    features["colour"] = features["colour"].cat.add_categories(["another"])
    features.loc[found.test_rows, "colour"] = "another"
    features.loc[found.test_rows, "nothing"] = 3.0
    if task == "regression":
        target.loc[found.test_rows] = 1e6
    other = prepare(dataclasses.replace(dataset, features=features, target=target), rng=generator())
    assert other.feature_names == found.feature_names
    for name in ("train_rows", "train_inputs", "train_targets"):
        np.testing.assert_array_equal(getattr(other, name), getattr(found, name))
    assert (other.target_mean, other.target_std) == (found.target_mean, found.target_std)
    assert not np.array_equal(other.test_inputs, found.test_inputs)


def test_a_text_unknown_in_training_is_zero_in_every_column():
    dataset = mixed()
    found = prepare(dataset, rng=generator(), standardise=False)
    features = dataset.features.copy()
    features["colour"] = features["colour"].cat.add_categories(["another"])
    features.loc[found.test_rows, "colour"] = "another"
    other = prepare(dataclasses.replace(dataset, features=features), rng=generator(), standardise=False)
    assert (other.test_inputs[:, 1:] == 0).all()
    assert set(np.unique(found.test_inputs[:, 1:])) == {0.0, 1.0}
    np.testing.assert_array_equal(found.test_inputs[:, 1:].sum(axis=1), 1.0)


def test_without_standardising_everything_stays_in_its_unit():
    raw = load_dataset("diabetes")
    found = prepare(raw, rng=generator(), standardise=False)
    np.testing.assert_allclose(found.test_inputs, raw.features.to_numpy()[found.test_rows], rtol=1e-6)
    np.testing.assert_allclose(found.test_targets, raw.target.to_numpy()[found.test_rows], rtol=1e-6)
    assert (found.target_mean, found.target_std) == (0.0, 1.0)


def test_training_columns_and_targets_have_mean_zero_and_deviation_one():
    found = prepare(load_dataset("diabetes"), rng=generator())
    for array in (found.train_inputs, found.train_targets):
        np.testing.assert_allclose(array.mean(axis=0), 0.0, atol=1e-6)
        np.testing.assert_allclose(array.std(axis=0), 1.0, rtol=1e-5)


def test_a_split_keeps_the_shares_of_the_classes():
    dataset = load_dataset("breast_cancer")
    found = prepare(dataset, rng=generator())
    share = np.bincount(dataset.target.cat.codes) / len(dataset.target)
    for targets in (found.train_targets, found.test_targets):
        assert np.abs(np.bincount(targets) / len(targets) - share).max() < 1 / len(targets)


def test_the_generator_decides_the_split_and_nothing_else_does():
    dataset = load_dataset("wine")
    features, target = dataset.features.copy(), dataset.target.copy()
    one, same, other = (prepare(dataset, rng=generator(seed)) for seed in (1, 1, 2))
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert not np.array_equal(one.test_rows, other.test_rows)
    pd.testing.assert_frame_equal(dataset.features, features)
    pd.testing.assert_series_equal(dataset.target, target)


def test_every_row_is_a_test_row_about_equally_often():
    dataset = mixed()
    rng = generator(3)
    counts = np.zeros(ROWS)
    for _ in range(60):
        counts[prepare(dataset, rng=rng).test_rows] += 1
    assert np.abs(counts - 12).max() < 4.5 * np.sqrt(60 * 0.2 * 0.8)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), True, "half"])
def test_shares_outside_of_the_unit_interval_are_refused(share):
    with pytest.raises(ValueError, match=r"test_share: got .*, expected a share in \(0, 1\)"):
        prepare(load_dataset("wine"), test_share=share, rng=generator())


def test_splits_and_tables_that_leave_nothing_to_learn_are_refused():
    with pytest.raises(
        ValueError, match=r"test_share: got 0\.01, expected a share of 178 rows that leaves 3 on either"
    ):
        prepare(load_dataset("wine"), test_share=0.01, rng=generator())
    constant = pd.DataFrame({"a": 1.0, "b": [None] * 30, "y": np.arange(30.0)})
    with pytest.raises(ValueError, match="every column constant in the 24 training rows"):
        prepare(dataset_from_frame("c", constant, "y"), rng=generator())
    names = pd.DataFrame({"who": [f"person {row}" for row in range(30)], "y": np.arange(30.0)})
    with pytest.raises(ValueError, match="column 'who': got \"30 different texts in 30 rows, such as 'person 0'\""):
        prepare(dataset_from_frame("c", names, "y"), rng=generator())
    lonely = pd.DataFrame({"x": np.arange(30.0), "y": [0.5] * 29 + [1.5]})
    seeds = [seed for seed in range(20) if 29 in prepare(mixed_rows(30), rng=generator(seed)).test_rows]
    with pytest.raises(ValueError, match="one value in all 24 training rows"):
        prepare(dataset_from_frame("c", lonely, "y"), rng=generator(seeds[0]))


def mixed_rows(rows: int):
    return dataset_from_frame("r", pd.DataFrame({"x": np.arange(rows), "y": np.arange(rows) / 7}), "y")


def test_columns_of_tiny_and_of_large_numbers_are_features_too():
    frame = pd.DataFrame({"tiny": generator(1).normal(size=40) * 1e-15, "large": generator(2).normal(size=40) * 1e25})
    found = prepare(dataset_from_frame("s", frame.assign(y=np.arange(40) / 7), "y"), rng=generator())
    np.testing.assert_allclose(found.train_inputs.std(axis=0), 1.0, rtol=1e-4)


def test_names_that_collide_after_encoding_do_not_hinder():
    frame = pd.DataFrame({"a": ["x", "y"] * 20, "a=x": np.arange(40.0), "y": np.arange(40) / 7})
    found = prepare(dataset_from_frame("n", frame, "y"), rng=generator())
    assert found.feature_names == ("a=x", "a=x", "a=y")
