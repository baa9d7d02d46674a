"""Tests of the tests: one operator, comparison or constant of a module is changed, and its tests have to notice.

    python -m tests.attacks.mutants 40 --seed 1 --out mutants.jsonl

draws 40 changes from all of games, engine and bridge, and runs against each the examples of the changed module, the
tests of the same name, and those of defaults, ranges and borders of arguments (``test_interface``, ``test_borders``);
where there is none of that name, the eight files that are nearest to it. Before a mutant runs, numpy, scipy, numba and
torch are loaded once, and every mutant is a fork of that process: tools that start a process for each mutant spend
their time on these imports, and tools that put a switch around each function stop numba from compiling it. What has
been run is in the file, one line a mutant, and is not run again.

A mutant is "killed" if a test fails, "late" if the tests take more processor time than LIMIT, and "survived" otherwise.
At the end, every test that has killed is run once without any change: one that fails then has killed nobody.
"""

from __future__ import annotations

import argparse
import ast
import importlib.machinery
import json
import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLOORS = ("games", "engine", "bridge")
LIMIT = 150
"""Seconds of processor time for the tests of one mutant."""
WAIT = 1200
"""Seconds until a fork that does nothing is given up, undecided; it is tried again when the command is."""
MOST_FILES = 8
BORDERS = "tests/attacks/test_borders.py"
MEMORY = 12 * 2**30
_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}


def changes(source: str) -> list[tuple[int, int]]:
    """Every change that can be made to a source: the place of a part of it, and the place of an operator in that."""
    parts = enumerate(_changeable(ast.parse(source)))
    return [(place, k) for place, part in parts for k in range(len(part.ops) if isinstance(part, ast.Compare) else 1)]


def mutant(source: str, change: tuple[int, int]) -> tuple[str, ast.Module]:
    """A source with one change: the line with what it became, and the tree.

    >>> half = "def half(x: int | None) -> float:\\n    return x / 2 if x > 0 else 0.0"
    >>> for change in changes(half):
    ...     print(mutant(half, change)[0])
    2: x > 0 -> x >= 0
    2: x / 2 -> x * 2
    2: 0.0 -> 1.0
    2: 0 -> 1
    2: 2 -> 3
    """
    tree = ast.parse(source)
    part = next(each for place, each in enumerate(_changeable(tree)) if place == change[0])
    before = ast.unparse(part)
    _change(part, change[1])
    return f"{part.lineno}: {before} -> {ast.unparse(part)}", ast.fix_missing_locations(tree)


def _changeable(tree: ast.Module) -> Iterator[Any]:
    """Nodes that can be changed, each part of the tree in turn, without annotations and errors that are raised."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Raise):
            continue
        swapped = isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp, ast.UnaryOp)) and type(node.op) in _SWAPS
        turned = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        counted = isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float))
        if swapped or turned or counted or isinstance(node, ast.Compare):
            yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            waiting += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST)]


def _change(node: Any, choice: int) -> None:
    """Change one node in its place."""
    if isinstance(node, ast.Compare):
        node.ops[choice] = _SWAPS[type(node.ops[choice])]()
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node.op, ast.Not):
        node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand, lineno=node.lineno, col_offset=0)
    else:
        node.op = _SWAPS[type(node.op)]()


def files_of_tests(module: Path, importers: dict[Path, set[Path]]) -> list[Path]:
    """Files of tests of a module: the one of its name, or those that are nearest.

    Near are files of the same folder that name what the module defines, then those of the modules that import it, then
    others that name what it defines, then others of the folder.
    """
    if _same_name(module).is_file():
        return [_same_name(module)]
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names = {each.name for each in tree.body if isinstance(each, (ast.FunctionDef, ast.ClassDef))} | {module.stem}
    files = [
        path for path in sorted(Path("tests").rglob("test_*.py")) if path.parts[1] not in ("attacks", "benchmarks")
    ]
    count = {path: len(names & _imported(path)) for path in files}
    named = sorted((path for path in files if count[path]), key=lambda path: -count[path])
    folder = _same_name(module).parent
    layer, seen = {module}, {module}
    users: list[Path] = []
    while layer:
        layer = {other for each in layer for other in importers.get(each, ())} - seen
        seen |= layer
        users += sorted({path for each in layer if (path := _same_name(each)).is_file()})
    beside = [path for path in files if path.parent == folder]
    far = [path for path in named if path.parent != folder]
    near = [*(path for path in named if path.parent == folder), *(path for path in users if path.parent == folder)]
    return list(dict.fromkeys([*near, *users[:2], *far[:2], *beside, *users, *far]))[:MOST_FILES]


def tests_of_interface(module: Path) -> list[str]:
    """Tests of borders, and of the defaults and ranges of what a module defines and a floor exports."""
    stub = Path(*module.parts[:2], "__init__.pyi").read_text(encoding="utf-8")
    exported = {alias.name for each in ast.parse(stub).body if isinstance(each, ast.ImportFrom) for alias in each.names}
    tree = ast.parse(module.read_text(encoding="utf-8"))
    defined = {each.name for each in tree.body if isinstance(each, (ast.FunctionDef, ast.ClassDef))}
    file = "tests/attacks/test_interface.py"
    numbers = [f"{file}::test_numbers_are_taken_as_written_down[{name}]" for name in sorted(exported & defined)]
    return [*([f"{file}::test_defaults_are_those_written_down", *numbers] if numbers else []), BORDERS]


def _imported(test: Path) -> set[str]:
    """Names that a file of tests takes from the package."""
    imports = [each for each in ast.walk(ast.parse(test.read_text("utf-8"))) if isinstance(each, ast.ImportFrom)]
    return {alias.name for each in imports if (each.module or "").startswith("neurogames") for alias in each.names}


def _same_name(module: Path) -> Path:
    return Path("tests", *module.parts[1:-1], f"test_{module.name}")


def importers_of(modules: list[Path]) -> dict[Path, set[Path]]:
    """Who imports each module, by name."""
    by_name = {".".join(path.with_suffix("").parts): path for path in modules}
    found: dict[Path, set[Path]] = {}
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    if name in by_name:
                        found.setdefault(by_name[name], set()).add(path)
    return found


def attempt(module: Path, tree: ast.Module | None, tests: list[str]) -> dict[str, Any]:
    """Run tests in a fork in which one module has another tree; say what came out, and which tests failed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with tempfile.TemporaryDirectory() as folder:
            failed = _tested(module, tree, tests, Path(folder))
        os.write(write, json.dumps(failed).encode())
        os._exit(0)
    os.close(write)
    said = b"".join(iter(lambda: os.read(read, 2**16), b""))
    os.close(read)
    _, status, used = os.wait4(child, 0)
    seconds = round(used.ru_utime + used.ru_stime, 1)
    if os.WIFSIGNALED(status):
        late = "late" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"
        return {
            "outcome": "undecided" if os.WTERMSIG(status) == signal.SIGALRM else late,
            "by": [f"signal {os.WTERMSIG(status)}"],
            "seconds": seconds,
        }
    if not said:
        return {"outcome": "undecided", "by": [], "seconds": seconds}
    failed = json.loads(said)
    return {"outcome": "killed" if failed else "survived", "by": failed, "seconds": seconds}


def _tested(module: Path, tree: ast.Module | None, tests: list[str], folder: Path) -> list[str]:
    """Tests that fail, the first only where there is a mutant."""
    import hypothesis
    import pytest

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT if tree is not None else 20 * LIMIT,) * 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WAIT if tree is not None else 0)
    changed: list[str] = []
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if tree is not None:
        usual = importlib.machinery.SourceFileLoader.get_code
        target = str(module.resolve())

        def get_code(self: Any, name: str) -> Any:
            if os.path.realpath(self.path) == target:
                changed.append(name)
                return compile(tree, target, "exec", dont_inherit=True)
            return usual(self, name)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
        if any(word in module.read_text(encoding="utf-8") for word in ("compiled", "njit", "numba")):
            # A compiled function that is kept on the disk is found again although a constant has changed.
            import numba

            numba.config.CACHE_DIR = str(folder)

    failed: list[str] = []

    class Note:
        """What fails; failing examples are not made smaller."""

        def pytest_sessionstart(self) -> None:
            phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
            hypothesis.settings.register_profile("mutants", hypothesis.settings(phases=phases, database=None))
            hypothesis.settings.load_profile("mutants")

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

    # Plain, as pytest would load by its own means what it is told to look at.
    words = ["--assert=plain", "-n", "0", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/pytest"]
    words += ["-x"] if tree is not None else []
    status = pytest.main([*words, *tests], plugins=[Note()])
    if not failed and status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        failed.append(f"pytest ends with {status!r}")
    assert changed or tree is None, f"{module} was not loaded"
    return failed


def main() -> None:
    """Draw a sample of mutants, run what is not in the file yet, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    options = parser.parse_args()
    sys.path.insert(0, str(Path.cwd()))
    modules = [path for floor in FLOORS for path in sorted(Path("neurogames", floor).rglob("*.py"))]
    modules = [path for path in modules if path.name != "__init__.py"]
    importers = importers_of(modules)
    places = [(path, change) for path in modules for change in changes(path.read_text(encoding="utf-8"))]
    random.Random(options.seed).shuffle(places)
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known = {(each["module"], *each["change"]) for each in done}
    import hypothesis.strategies
    import numba
    import numpy
    import pytest
    import scipy.optimize
    import scipy.stats
    import torch

    assert all((hypothesis, numba, numpy, pytest, scipy, torch))
    print(f"{len(places)} mutants in {len(modules)} modules", flush=True)
    for path, change in places[: options.count]:
        if (str(path), *change) in known:
            continue
        what, tree = mutant(path.read_text(encoding="utf-8"), change)
        tests = [str(path), *map(str, files_of_tests(path, importers)), *tests_of_interface(path)]
        result = {"module": str(path), "change": change, "what": what, **attempt(path, tree, tests)}
        done.append(result)
        print(f"{result['outcome']:8} {result['seconds']:6} {path}:{what}", flush=True)
        if result["outcome"] != "undecided":
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
    killers = sorted({by for each in done for by in each["by"] if "::" in by})
    failing = set(attempt(Path(), None, killers)["by"]) if killers else set()
    for each in done:
        if failing & set(each["by"]):
            each["outcome"] = "undecided"
    for outcome in ("killed", "late", "undecided", "survived"):
        print(f"{outcome}: {sum(each['outcome'] == outcome for each in done)}")


if __name__ == "__main__":
    main()
