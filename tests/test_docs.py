"""The pages hold together: links, paths, commands, names and versions that they mention are there."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import neurogames
from neurogames import bridge, lab
from neurogames.lab.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
PAPERS = ("2507.19143", "2512.22106", "2410.12264", "2105.03788")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as renderers of Markdown name them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def linked(page: Path) -> list[tuple[Path, str]]:
    """Files and anchors that a page links to, without the addresses of other sites."""
    targets = [target.partition("#") for target in LINK.findall(prose(page)) if "://" not in target]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in targets]


def paths_named(page: Path) -> list[str]:
    """Paths in the code spans of a page, from the root of the repository."""
    tops = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir() and path.name != ".git")
    return [span for span in re.findall(r"`([^`\n]+)`", prose(page)) if re.match(rf"(?:{tops})/", span)]


def commands(page: Path) -> list[list[str]]:
    """Lines of the shell blocks of a page that start the command ``neurogames``, in words."""
    lines = [
        line
        for kind, block in FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "sh"
        for line in block.splitlines()
    ]
    parts = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [words[1:] for words in parts if words[:1] == ["neurogames"]]


@by_page
def test_links_lead_somewhere(page):
    for path, anchor in linked(page):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), f"{path}#{anchor}"


@by_page
def test_a_page_has_one_title_and_no_html(page):
    text = prose(page)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    plain = re.sub(r"`[^`\n]*`", "", re.sub(r"^<!-- command: .* -->$", "", text, flags=re.MULTILINE))
    assert re.findall(r"</?[a-zA-Z!][^>\n]*>", plain) == []


@by_page
def test_paths_that_a_page_names_are_there(page):
    """NAME in a path is the reader's to choose: something of this form must be there."""
    for path in paths_named(page):
        found = list(ROOT.glob(path.rstrip("/").replace("NAME", "*")))
        assert found, path
        assert not path.endswith("/") or any(one.is_dir() for one in found), path


@by_page
def test_commands_of_a_page_have_these_options(page):
    known = typer.main.get_command(app).commands
    for name, *rest in commands(page):
        assert name in known, name
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, (name, rest)


def test_the_pages_show_commands():
    assert {words[0] for page in PAGES for words in commands(page)} >= {"compare", "units", "prune", "study"}


def test_every_page_is_found_from_the_index():
    reached, ahead = set(), [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        ahead += [path for path, _ in linked(page) if path.suffix == ".md" and path not in reached]
    assert reached >= set(PAGES)


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/architecture.md"])
def test_all_four_papers_are_cited(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert all(f"https://arxiv.org/abs/{paper}" in text for paper in PAPERS)


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert neurogames.__version__ == project["version"]
    for name, form in (("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## \[(\d\S*)\]")):
        assert re.findall(form, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)[0] == project["version"]


def migrations(heading: str) -> list[tuple[str, str]]:
    """Rows of a table of the changelog, old name and new name."""
    section = (
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition(f"\n#### {heading}\n")[2].partition("\n#")[0]
    )
    return re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", section, re.MULTILINE)


def is_module(name: str) -> bool:
    """Whether a module of this name can be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def test_modules_have_moved_as_the_changelog_says():
    rows = migrations("Modules")
    assert len(rows) > 20
    assert [new for _, new in rows if not is_module(new)] == []
    assert [old for old, _ in rows if is_module(old)] == []


def test_names_have_changed_as_the_changelog_says():
    rows = migrations("Public names")
    assert len(rows) >= 5
    for old, new in rows:
        assert any(hasattr(room, new) for room in (neurogames, bridge, lab)), new
        assert not any(hasattr(room, old) for room in (neurogames, bridge, lab)), old
