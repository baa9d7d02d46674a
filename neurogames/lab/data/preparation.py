"""From a table to arrays a network can train on, looking at nothing but the training rows.

Rows are split first, in proportion to the classes if there are any. Then everything that is fitted is fitted on the
training rows alone: missing numbers become the median, missing texts the most frequent one; texts are encoded as one
column per value (an unknown value is a zero in each); columns that are constant are dropped; every column, and a
regression target, is brought to mean 0 and standard deviation 1. So one unit of input noise is one standard deviation
of every column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from neurogames._arguments import invalid_argument, number
from neurogames.lab.data.tables import Dataset, Task

Targets = NDArray[np.float32] | NDArray[np.int64]
"""Standardised numbers of a regression, or class numbers."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Training and test arrays of one split of one data set.

    Attributes:
        name: name of the data set.
        task: "regression" or "classification".
        train_inputs: (training rows, features) float32.
        test_inputs: (test rows, features) float32.
        train_targets: (training rows,) standardised float32, or int64 class numbers.
        test_targets: (test rows,) likewise.
        target_mean: what was subtracted from a regression target; 0 for classes.
        target_std: what it was divided by; 1 for classes.
        feature_names: name of each input column; "column=value" for an encoded text.
        class_names: name of each class number; empty for a regression.
        train_rows: (training rows,) rows of the table.
        test_rows: (test rows,) rows of the table.
    """

    name: str
    task: Task
    train_inputs: NDArray[np.float32]
    test_inputs: NDArray[np.float32]
    train_targets: Targets
    test_targets: Targets
    target_mean: float
    target_std: float
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    train_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]


def prepare(
    dataset: Dataset, *, test_share: float = 0.2, standardise: bool = True, rng: np.random.Generator
) -> Prepared:
    """Split a data set, encode, impute and standardise it.

    Args:
        dataset: what ``load_dataset`` returns.
        test_share: share of the rows kept for testing, in (0, 1).
        standardise: False leaves features and a regression target in their own units, as in the protocol of the
            gradient-dropout game, arXiv 2507.19143.
        rng: draws the split.

    Returns:
        The arrays, with the names and numbers needed to go back to the table.

    Raises:
        ValueError: if the split leaves too few rows, the training rows are constant, or a text column has a
            different value in most rows (numbers with a stray text among them, or names).

    >>> from neurogames.lab.data.datasets import load_dataset
    >>> iris = prepare(load_dataset("iris"), rng=np.random.default_rng(0))
    >>> iris.train_inputs.shape, iris.test_inputs.shape, iris.class_names
    ((120, 4), (30, 4), ('setosa', 'versicolor', 'virginica'))
    >>> bool(np.abs(iris.train_inputs.mean(axis=0)).max() < 1e-6), np.bincount(iris.test_targets).tolist()
    (True, [10, 10, 10])
    """
    number("test_share", test_share, "a share in (0, 1)", lambda share: 0.0 < share < 1.0)
    _refuse_names(dataset.features)
    train_rows, test_rows = _split(dataset, test_share, rng)
    train, test = dataset.features.iloc[train_rows], dataset.features.iloc[test_rows]
    filled = [column for column in train.columns if train[column].nunique() > 1]
    if not filled:
        raise invalid_argument(
            "features", f"every column constant in the {len(train)} training rows", "at least one that varies"
        )
    encoder = _encoder(train[filled], standardise=standardise)
    train_inputs = encoder.fit_transform(_plain(train[filled]))
    test_inputs = encoder.transform(_plain(test[filled]))
    names = [name.split("__", 1)[1] for name in encoder.get_feature_names_out()]
    mean, std = 0.0, 1.0
    if dataset.task == "regression":
        targets = dataset.target.to_numpy(dtype=np.float64)
        if np.ptp(targets[train_rows]) == 0.0:
            raise invalid_argument("target", f"one value in all {len(train_rows)} training rows", "at least two values")
        if standardise:
            mean, std = float(targets[train_rows].mean()), float(targets[train_rows].std())
        scaled: Targets = ((targets - mean) / std).astype(np.float32)
        class_names: tuple[str, ...] = ()
    else:
        scaled = dataset.target.cat.codes.to_numpy().astype(np.int64)
        class_names = tuple(str(name) for name in dataset.target.cat.categories)
    return Prepared(
        name=dataset.name,
        task=dataset.task,
        train_inputs=np.ascontiguousarray(train_inputs, dtype=np.float32),
        test_inputs=np.ascontiguousarray(test_inputs, dtype=np.float32),
        train_targets=scaled[train_rows],
        test_targets=scaled[test_rows],
        target_mean=mean,
        target_std=std,
        feature_names=tuple(names),
        class_names=class_names,
        train_rows=train_rows,
        test_rows=test_rows,
    )


def _split(
    dataset: Dataset, test_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows for training and for testing, in proportion to the classes."""
    rows = np.arange(len(dataset.features), dtype=np.int64)
    fewest = 2
    codes = None
    if dataset.task == "classification":
        codes = dataset.target.cat.codes.to_numpy()
        fewest = max(fewest, len(dataset.target.cat.categories))
    tests = int(np.ceil(test_share * len(rows)))
    if tests < fewest or len(rows) - tests < fewest:
        raise invalid_argument(
            "test_share", test_share, f"a share of {len(rows)} rows that leaves {fewest} on either side"
        )
    seed = int(rng.integers(2**31))
    train_rows, test_rows = train_test_split(rows, test_size=tests, random_state=seed, stratify=codes)
    return np.sort(train_rows), np.sort(test_rows)


def _encoder(features: pd.DataFrame, *, standardise: bool) -> Pipeline:
    """The chain of fitted steps for columns of these kinds."""
    numbers = [column for column in features.columns if features[column].dtype == np.float64]
    texts = [column for column in features.columns if column not in set(numbers)]
    one_per_value = OneHotEncoder(
        handle_unknown="ignore", sparse_output=False, feature_name_combiner=lambda column, value: f"{column}={value}"
    )
    columns = ColumnTransformer(
        [
            ("number", SimpleImputer(strategy="median"), numbers),
            ("text", make_pipeline(SimpleImputer(strategy="most_frequent"), one_per_value), texts),
        ]
    )
    steps = [columns, VarianceThreshold()] + ([StandardScaler()] if standardise else [])
    return make_pipeline(*steps)


def _plain(features: pd.DataFrame) -> pd.DataFrame:
    """Text columns as plain objects, the one form that every supported pandas hands to scikit-learn alike."""
    texts = features.columns[features.dtypes != np.float64]
    return features.astype(dict.fromkeys(texts, object))


def _refuse_names(features: pd.DataFrame) -> None:
    """Refuse a text column whose values hardly ever repeat: it would become a column per row."""
    for column in features.columns[features.dtypes != np.float64]:
        different = features[column].nunique()
        if 2 * different > len(features):
            example = features[column].cat.categories[0]
            raise invalid_argument(
                f"column {column!r}",
                f"{different} different texts in {len(features)} rows, such as {example!r}",
                "numbers, or a category with at most half as many values as rows",
            )
