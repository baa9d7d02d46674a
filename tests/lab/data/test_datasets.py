from __future__ import annotations

import gzip
import os
import pickle
import urllib.error
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from neurogames.lab.data import datasets
from neurogames.lab.data.datasets import BUNDLED, list_datasets, load_dataset
from neurogames.lab.data.tables import dataset_from_frame

ROWS = 30


def table(rows: int = ROWS) -> pd.DataFrame:
    number = np.arange(rows)
    return pd.DataFrame(
        {
            "size": number / 3,
            "count": number % 7,
            "colour": np.array(["red", "green", "blue"])[number % 3],
            "new": number % 2 == 0,
            "price": np.sqrt(number + 1.0),
        }
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "data"
    place.mkdir()
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(place))
    return place


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv(datasets.FOLDER_VARIABLE, raising=False)


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert ": got " in message
    assert ", expected " in message
    return message


# Finding.


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_table_loads_without_a_network(name):
    found = load_dataset(name)
    assert found.name == name
    assert found.source == ("generated" if name == "planted" else "bundled with scikit-learn")
    assert found.task == ("regression" if name in ("diabetes", "linnerud") else "classification")
    assert len(found.features) == len(found.target) >= 20
    assert found.features.dtypes.eq(np.float64).all()
    assert found.target.notna().all()


def test_classes_of_bundled_tables_have_their_names_in_order():
    wine = load_dataset("iris")
    raw = sklearn.datasets.load_iris()
    assert wine.target.cat.categories.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(wine.target.cat.codes, raw.target)
    np.testing.assert_array_equal(wine.features, raw.data)
    assert load_dataset("digits").target.cat.categories.tolist() == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "CSV"])
def test_a_file_given_by_path_is_read_whole(tmp_path, ending):
    path = tmp_path / f"houses.{ending}"
    table().to_parquet(path) if ending == "parquet" else table().to_csv(path, index=False)
    for asked in (path, str(path)):
        found = load_dataset(asked, target="price")
        assert (found.name, found.task, found.source) == ("houses", "regression", f"file {path}")
        assert found.features.columns.tolist() == ["size", "count", "colour", "new"]
        assert found.features.dtypes.astype(str).tolist() == ["float64", "float64", "category", "float64"]
        np.testing.assert_allclose(found.target, table()["price"], rtol=1e-15)


def test_a_path_beside_the_user_is_a_path(tmp_path, monkeypatch):
    table().to_csv(tmp_path / "diabetes.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert load_dataset("diabetes.csv", target="price").features.shape == (ROWS, 4)
    assert load_dataset("./diabetes.csv", target="price").features.shape == (ROWS, 4)
    assert load_dataset("diabetes").features.shape == (442, 10)


def test_a_file_needs_its_target_named_and_lists_its_columns(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        ValueError, match=r"target: got None, expected a column of t\.csv: size, count, colour, new, price"
    ):
        load_dataset(tmp_path / "t.csv")


def test_tables_of_the_folder_go_by_their_names_with_the_last_column_as_target(folder):
    table().to_csv(folder / "houses.csv.gz", index=False)
    table().iloc[:, :3].to_parquet(folder / "colours.parquet")
    assert load_dataset("houses").target.name == "price"
    assert load_dataset("houses", target="new").target.cat.categories.tolist() == ["False", "True"]
    assert load_dataset("colours").task == "classification"
    assert load_dataset("houses").source == f"file houses.csv.gz of the folder {datasets.FOLDER_VARIABLE}"


def test_bundled_names_win_over_the_folder(folder):
    table().to_csv(folder / "diabetes.csv", index=False)
    assert load_dataset("diabetes").source == "bundled with scikit-learn"
    assert load_dataset(folder / "diabetes.csv", target="price").features.shape == (ROWS, 4)


def test_an_unknown_name_gets_near_names_and_the_list_of_sources(folder):
    table().to_csv(folder / "houses.csv", index=False)
    with pytest.raises(ValueError, match="did you mean") as caught:
        load_dataset("diabetis")
    message = one_line(caught)
    assert "data: got 'diabetis', expected a known name (did you mean diabetes?): one of diabetes" in message
    for word in ("openml:NAME", datasets.FOLDER_VARIABLE, "path", "breast_cancer"):
        assert word in message
    with pytest.raises(ValueError, match="did you mean houses"):
        load_dataset("house")
    for wrong in ("", None, 3):
        with pytest.raises(ValueError, match="the name of a data set or the path"):
            load_dataset(wrong)


def test_a_folder_that_is_none_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"NEUROGAMES_DATA: got '.*nowhere', expected an existing folder"):
        load_dataset("houses")
    assert load_dataset("wine").task == "classification"


# OpenML, by a stand-in for the network.


def answer(**changes):
    values = {"frame": table(), "target_names": ["price"], "details": {"name": "houses", "version": "3"}}
    return SimpleNamespace(**{**values, **changes})


def test_openml_is_asked_by_name_or_number(monkeypatch):
    asked = []

    def fetch(**options):
        asked.append(options)
        warnings.warn("Multiple active versions", stacklevel=1)
        return answer()

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    found = load_dataset("openml:houses")
    assert (found.name, found.task, found.target.name) == ("openml:houses", "regression", "price")
    assert found.source == "openml.org, houses version 3"
    load_dataset("openml:42", target="colour")
    keys = [{key: value for key, value in options.items() if key in ("name", "data_id")} for options in asked]
    assert keys == [{"name": "houses"}, {"data_id": 42}]
    assert all(options["as_frame"] for options in asked)


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        ConnectionError("refused"),
        TimeoutError("slow"),
        ValueError("Dataset houses\nnot found"),
    ],
)
def test_openml_without_a_network_is_one_clear_line(monkeypatch, error):
    def fetch(**options):
        raise error

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(ValueError, match=r"data: got 'openml:houses .*needs a network") as caught:
        load_dataset("openml:houses")
    one_line(caught)


def test_openml_with_several_targets_asks_which(monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda **_: answer(target_names=["size", "price"]))
    with pytest.raises(ValueError, match="target: got None, expected a column of openml:houses: size"):
        load_dataset("openml:houses")
    assert load_dataset("openml:houses", target="size").task == "regression"
    with pytest.raises(ValueError, match="openml:NAME"):
        load_dataset("openml:")


# Files that are no tables.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("junk.csv", np.random.default_rng(0).bytes(4000)),
        ("zeros.csv", b"\0" * 4000),
        ("model.csv", pickle.dumps({"a": np.arange(100)})),
        ("empty.csv", b""),
        ("blank.csv", b"\n\n\n"),
        ("one.csv", b"a\n1\n2\n"),
        ("semicolons.csv", b"a;b;c\n1;2;3\n"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n"),
        ("plain.csv.gz", b"a,b\n1,2\n"),
        ("cut.csv.gz", gzip.compress(table(2000).to_csv().encode())[:-2000]),
        ("junk.parquet", b"PAR1" + b"\7" * 100),
        ("empty.parquet", b""),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a table with at least two columns") as caught:
        load_dataset(path, target="b")
    assert name in one_line(caught)


def test_missing_files_folders_and_other_endings_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("a,b\n1,2\n")
    for path, there in ((tmp_path / "no.csv", "nothing"), (tmp_path, "a folder")):
        with pytest.raises(ValueError, match=rf"an existing file \({there} is there\)"):
            load_dataset(path, target="b")
    with pytest.raises(ValueError, match=r"a file that ends in \.csv, \.csv\.gz, \.parquet"):
        load_dataset(tmp_path / "notes.txt", target="b")


def test_a_table_of_the_folder_without_a_header_is_refused(folder):
    table()[["size", "count", "price"]].to_csv(folder / "bare.csv", index=False, header=False)
    with pytest.raises(ValueError, match=r"bare\.csv with the first row 0\.0, 0, 1\.0', expected a header row"):
        load_dataset("bare")


# Tables that are no task.


def change(**columns) -> pd.DataFrame:
    return table().assign(**columns)


@pytest.mark.parametrize(
    ("frame", "target", "message"),
    [
        (table(), "prise", r"target: got 'prise', .*toy \(did you mean 'price'\?\): size, count"),
        (table()[["price"]], "price", "at least one feature beside the target"),
        (table(19), "price", "data: got '19 rows in toy', expected at least 20 rows"),
        (change(price=[np.nan] * 3 + [1.0, 2.0, 3.0] * 9), "price", "3 of 30 rows of 'price' missing"),
        (change(price=[None] + ["a", "b"] * 14 + ["a"]), "price", "1 of 30 rows"),
        (change(price=2.5), "price", r"the one value 2\.5 in all rows of 'price'"),
        (change(price="a"), "price", "the one value a in all"),
        (change(price=["a"] * 29 + ["b"]), "price", r"1 classes of 'price' with one row \(b\)"),
        (change(price=[np.inf] + [1.5] * 29), "price", "column 'price': got '1 infinite or huge entries'"),
        (change(size=[-np.inf, 1e300] + [1.5] * 28), "price", "column 'size': got '2 infinite or huge entries'"),
        (change(size=pd.date_range("2020", periods=30)), "price", "column 'size': got 'values of the kind datetime64"),
        (change(size=1j), "price", "values of the kind complex"),
        (table().set_axis(["a", "a", "b", "c", "d"], axis="columns"), "d", "a twice"),
        (table().set_axis([1, "1", "b", "c", "d"], axis="columns"), "d", "1 twice"),
    ],
)
def test_a_table_that_is_no_task_is_refused_in_one_line(frame, target, message):
    with pytest.raises(ValueError, match=message) as caught:
        dataset_from_frame("toy", frame, target)
    one_line(caught)


def test_a_forced_task_must_fit_the_target():
    with pytest.raises(ValueError, match="'regression' for the texts of 'colour'"):
        dataset_from_frame("toy", table(), "colour", task="regression")
    with pytest.raises(ValueError, match="30 classes of 'price' with one row"):
        dataset_from_frame("toy", table(), "price", task="classification")
    with pytest.raises(ValueError, match="task: got 'ranking', expected 'regression' or 'classification'"):
        dataset_from_frame("toy", table(), "price", task="ranking")


# Kinds.


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a"], "classification", ["a", "b"]),
        ([True, False], "classification", ["False", "True"]),
        (pd.Categorical(["y", "x"] * 15, categories=["y", "x", "unused"]), "classification", ["x", "y"]),
        ([10, 9, 1], "classification", ["1", "9", "10"]),
        ([2.0, -1.0], "classification", ["-1", "2"]),
        (list(range(10)), "classification", [str(value) for value in range(10)]),
        (list(range(15)), "regression", None),
        ([0.5, 1.5], "regression", None),
        (pd.array([1, 2] * 15, dtype="Int64"), "classification", ["1", "2"]),
        (pd.array(["u", "v"] * 15, dtype="string"), "classification", ["u", "v"]),
        (["x", 1, "y"], "classification", ["1", "x", "y"]),
    ],
)
def test_the_task_is_inferred_from_the_target(values, task, classes):
    column = (
        values
        if isinstance(values, (pd.Categorical, pd.api.extensions.ExtensionArray))
        else values * (30 // len(values))
    )
    found = dataset_from_frame("toy", change(price=column), "price")
    assert found.task == task
    if classes is not None:
        assert found.target.cat.categories.tolist() == classes
        expected = {name: position for position, name in enumerate(classes)}
        names = [f"{value:g}" if isinstance(value, float) else str(value) for value in column]
        assert found.target.cat.codes.tolist() == [expected[name] for name in names]
        forced = pd.api.types.is_numeric_dtype(pd.Series(column)) and not isinstance(column[0], (bool, np.bool_))
        if forced:
            assert (
                dataset_from_frame("toy", change(price=column), "price", task="regression").target.dtype == np.float64
            )


def test_feature_kinds_and_missing_values_survive():
    frame = change(
        size=pd.array([None, 2] * 15, dtype="Int64"),
        colour=["red", None, "blue"] * 10,
        new=[True, None] * 15,
        count=pd.array([True, None] * 15, dtype="boolean"),
    )
    before = frame.copy()
    features = dataset_from_frame("toy", frame, "price").features
    pd.testing.assert_frame_equal(frame, before)
    assert features.dtypes.astype(str).tolist() == ["float64", "float64", "category", "category"]
    assert features.isna().sum().tolist() == [15, 15, 10, 15]
    assert features["colour"].cat.categories.tolist() == ["blue", "red"]


def test_the_index_of_a_table_does_not_matter():
    shuffled = table().set_index(pd.Index([7] * ROWS))
    found = dataset_from_frame("toy", shuffled, "price")
    assert found.features.index.equals(pd.RangeIndex(ROWS))
    assert found.target.index.equals(found.features.index)


# Listing.


def test_the_list_agrees_with_what_loading_finds(folder):
    table().to_csv(folder / "houses.csv.gz", index=False)
    table().iloc[:, :3].to_parquet(folder / "colours.parquet")
    table().to_csv(folder / "wine.csv", index=False)
    (folder / "notes.md").write_text("no table")
    (folder / "broken.csv").write_bytes(b"\xff\xfe\0junk")
    (folder / "images.csv").mkdir()
    listed = list_datasets()
    assert listed.columns.tolist() == ["name", "source", "task", "rows", "features", "target"]
    assert listed["name"].tolist() == [*BUNDLED, "broken", "colours", "houses"]
    for row in listed[listed["name"] != "broken"].itertuples():
        found = load_dataset(row.name)
        assert (row.task, row.rows, row.features, row.target) == (
            found.task,
            len(found.target),
            found.features.shape[1],
            found.target.name,
        )
    assert listed.set_index("name").loc["broken", ["task", "rows"]].isna().all()


def test_large_files_are_listed_without_being_read(folder, monkeypatch):
    table().to_csv(folder / "houses.csv", index=False)
    table().to_parquet(folder / "other.parquet")
    monkeypatch.setattr(datasets, "LISTED_IN_FULL", 100)
    listed = list_datasets().set_index("name")
    assert pd.isna(listed.loc["houses", "rows"])
    assert listed.loc[["houses", "other"], "features"].tolist() == [4, 4]
    assert listed.loc["other", "rows"] == ROWS


PUBLIC = Path(os.environ.get(datasets.FOLDER_VARIABLE, ""))


@pytest.mark.skipif(not (PUBLIC / "car_evaluation.csv").is_file(), reason="needs the public tables in NEUROGAMES_DATA")
def test_the_tables_of_the_folder_have_their_published_shapes(monkeypatch):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(PUBLIC))
    shapes = {name: load_dataset(name).features.shape for name in ("car_evaluation", "wine_quality", "auto_mpg")}
    assert shapes == {"car_evaluation": (1728, 6), "wine_quality": (6497, 11), "auto_mpg": (398, 7)}
    assert load_dataset("car_evaluation").target.cat.categories.tolist() == ["acc", "good", "unacc", "vgood"]
    assert load_dataset("wine_quality", task="regression").target.dtype == np.float64
    copy = load_dataset(PUBLIC / "diabetes.csv", target="progression")
    np.testing.assert_allclose(copy.features, load_dataset("diabetes").features)
