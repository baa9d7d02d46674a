"""Public names, stubs, docstrings and the reference page say the same."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass

import pytest

import neurogames
from neurogames import bridge, engine, games
from tests.reference import FLOORS, PAGE, by_folder, reference, stub

PUBLIC = {name: getattr(floor, name) for floor in (games, engine, bridge) for name in floor.__all__}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
DOCUMENTED = FUNCTIONS | CLASSES

each_name = pytest.mark.parametrize("name", DOCUMENTED)
each_floor = pytest.mark.parametrize("title", FLOORS)


def is_protocol(value: object) -> bool:
    return getattr(value, "_is_protocol", False)


def parts(hint: object) -> Iterator[object]:
    """A type and everything inside its brackets."""
    yield hint
    for part in typing.get_args(hint):
        yield from parts(part)


def returned(function: object) -> set[type]:
    """Our own classes in the return type of a function."""
    hints = typing.get_type_hints(function, vars(inspect.getmodule(function)))
    found = {part for part in parts(hints.get("return")) if inspect.isclass(part)}
    return {part for part in found if part.__module__.startswith("neurogames")}


def methods(value: type) -> dict[str, object]:
    """Public methods and properties that a class defines."""
    own = {name: each for name, each in vars(value).items() if not name.startswith("_")}
    own = {name: each.fget if isinstance(each, property) else each for name, each in own.items()}
    return {name: getattr(each, "__func__", each) for name, each in own.items() if callable(each)}


def results() -> set[type]:
    """What public functions and methods return, and what these results hold."""
    functions = [*FUNCTIONS.values(), *(each for value in CLASSES.values() for each in methods(value).values())]
    found = {kind for function in functions for kind in returned(function)}
    held = [typing.get_type_hints(kind) for kind in found if is_dataclass(kind)]
    return found | {part for hints in held for hint in hints.values() for part in parts(hint) if inspect.isclass(part)}


RESULTS = results()


@each_floor
def test_each_name_of_a_stub_is_there(title):
    floor = FLOORS[title][0]
    listed = [name for names in by_folder(floor).values() for name in names]
    assert sorted(listed) == sorted(floor.__all__)
    assert stub(floor).count(" import ") == len(listed)
    for name in listed:
        value = getattr(floor, name)
        if name in DOCUMENTED:
            assert value.__module__.startswith(floor.__name__)
            assert value.__name__ == name


def test_no_name_means_two_things():
    floors = [set(floor.__all__) for floor in (games, engine, bridge)]
    assert len(set.union(*floors)) == sum(map(len, floors))
    assert set(neurogames.__all__) == {"games", "engine", *floors[0], *floors[1]}


@each_floor
def test_each_folder_stands_under_one_heading(title):
    floor, _, groups = FLOORS[title]
    listed = [folder for folders in groups.values() for folder in folders.split()]
    assert len(set(listed)) == len(listed)
    assert set(by_folder(floor)) <= set(listed)


def test_the_stub_of_the_bridge_has_the_headings_of_the_reference():
    groups = {}
    for line in stub(bridge).splitlines():
        if line.startswith("# "):
            heading = re.split(r"[:.]", line[2:])[0]
            groups[heading] = set()
        elif line:
            groups[heading].add(line.split(".")[1].split()[0])
    for heading, folders in FLOORS["Bridge"][2].items():
        assert groups.pop(heading) <= set(folders.split())
    assert not groups


@each_name
def test_every_argument_is_explained(name):
    value = DOCUMENTED[name]
    doc = inspect.getdoc(value)
    assert doc, "a docstring"
    if is_protocol(value):
        return
    sections = re.findall(r"^(?:Args|Attributes):\n((?:    .*\n|\n)*)", doc + "\n", re.MULTILINE)
    heads = [head for section in sections for head in re.findall(r"^    ([^\s:][^:]*):", section, re.MULTILINE)]
    explained = {word for head in heads for word in re.findall(r"\w+", re.sub(r"\(.*?\)", "", head))}
    expected = {argument for argument in inspect.signature(value).parameters if not argument.startswith("_")}
    assert expected <= explained


@each_name
def test_every_name_has_an_example(name):
    value = DOCUMENTED[name]
    docs = [
        inspect.getdoc(each) or "" for each in (value, *(methods(value).values() if inspect.isclass(value) else ()))
    ]
    # A protocol has nothing to show, and a result is shown where it is returned.
    assert any(">>>" in doc for doc in docs) or is_protocol(value) or value in RESULTS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_refuses_is_said(name):
    source = inspect.getsource(FUNCTIONS[name])
    if re.search(r"\braise\b|\b(invalid_argument|number|numbers|integer|finite_array|required)\(", source):
        assert re.search(r"^Raises:$", inspect.getdoc(FUNCTIONS[name]) or "", re.MULTILINE)


@each_name
def test_what_is_returned_is_public_too(name):
    value = DOCUMENTED[name]
    functions = methods(value).values() if inspect.isclass(value) else [value]
    hidden = {kind for function in functions for kind in returned(function)} - set(CLASSES.values())
    assert not hidden


def test_the_reference_lists_every_public_name():
    page = PAGE.read_text(encoding="utf-8")
    assert page == reference(), "docs/reference.md is old: run `python -m tests.reference`"
    assert set(re.findall(r"^- `(\w+)`: .", page, re.MULTILINE)) == set(PUBLIC)
