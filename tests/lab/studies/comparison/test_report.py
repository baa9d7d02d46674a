from __future__ import annotations

import html
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from neurogames.lab.runs.store import write_dataset
from neurogames.lab.studies.comparison import plots
from neurogames.lab.studies.comparison.page import COMPARISON
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.studies.study import FinishedStudy, settings_of_run, write_report


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.alternatives: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                self.sources.append(value or "")
            if name == "alt":
                self.alternatives.append(value or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_needs_nothing_but_itself(comparison: FinishedStudy) -> None:
    page = _Page()
    text = (comparison.folder / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    assert len(page.sources) == 11
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert all(page.alternatives)
    assert not re.search(r"https?://|<script|@import", re.sub(r"base64,[^\"]*", "", text))


def test_every_verdict_and_every_table_is_on_the_page(comparison: FinishedStudy) -> None:
    page = _Page()
    page.feed((comparison.folder / "report.html").read_text(encoding="utf-8"))
    words = " ".join(" ".join(page.texts).split())
    for sentence in comparison.verdicts:
        assert sentence in words
    for title in ("Gradient dropout against its controls", "Baselines", "Every setting", "How to run it again"):
        assert title in words


def test_the_same_results_give_the_same_page(
    comparison: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(comparison.folder.parent)
    write_report(COMPARISON, comparison.folder)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / comparison.folder.name
    folder.mkdir()
    shutil.copy(comparison.folder / "results.nc", folder)
    write_report(COMPARISON, folder)
    for name in ("report.html", "area.svg", "controls.csv"):
        assert (folder / name).read_bytes() == (comparison.folder / name).read_bytes()


def test_diverged_runs_are_said(comparison: FinishedStudy, tmp_path: Path) -> None:
    hurt = comparison.results.copy(deep=True)
    place = {"seed": 0, "training": "dropout", "keep_prob": 0.3}
    hurt["diverged"].loc[place] = True
    for name in ("curve", "area", "slope", "composition"):
        hurt[name].loc[place] = np.nan
    write_dataset(hurt, tmp_path / "results.nc")
    write_report(COMPARISON, tmp_path)
    assert "2 of 28 networks diverged" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("below", [True, False])
def test_the_command_to_run_it_again_works_from_where_the_user_stands(
    comparison: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: bool
) -> None:
    folder = tmp_path / "runs" / "my run"
    folder.mkdir(parents=True)
    shutil.copy(comparison.folder / "results.nc", folder)
    shutil.copy(comparison.folder / "settings.toml", folder)
    monkeypatch.chdir(tmp_path if below else Path(__file__).parent)
    page = html.unescape(write_report(COMPARISON, folder).report.read_text(encoding="utf-8"))
    words = shlex.split(re.search(r"<pre>(.*)</pre>", page)[1])
    expected = Path("runs/my run") if below else folder
    assert words == [
        "neurogames",
        *["study", "comparison", "--settings-from"],
        str(expected),
        "--out",
        f"{expected}-again",
    ]
    assert settings_of_run(COMPARISON, words[4]) == settings_of_run(COMPARISON, comparison.folder)


def test_at_most_six_sentences_stand_before_the_first_figure(comparison: FinishedStudy) -> None:
    text = (comparison.folder / "report.html").read_text(encoding="utf-8")
    before = re.sub(r"<[^>]*>", " ", text[text.index("<main>") : text.index("<img")])
    assert len(re.findall(r"[.?!](?=\s)", before)) <= 6
    assert "442 rows, 353 for training, 10 features, no missing values, no encoded columns" in before


def test_missing_values_and_encoded_columns_are_told(comparison: FinishedStudy) -> None:
    results = comparison.results.copy(deep=True)
    for fact, value in (("text_columns", 2), ("inputs", 14), ("missing", 7)):
        results[f"table_{fact}"][:] = value
    subtitle = COMPARISON.page(results, ComparisonSettings.from_dict(results.attrs["settings"])).subtitle
    assert "7 missing values filled in, 2 text columns encoded (14 inputs)" in subtitle


def test_no_panel_cuts_off_what_its_neighbour_has_room_for(planted: xr.Dataset) -> None:
    loud = planted.assign_coords(target_noise=["stable"])
    loud["area"] = 10 * loud["area"]
    both = xr.concat([planted, loud], dim="target_noise", data_vars="minimal", coords="minimal", compat="override")
    quiet, noisy = plots.plot_area(both, "mse").axes
    assert quiet.get_ylim() == noisy.get_ylim()
    assert quiet.get_ylim()[0] == 0.0
    assert noisy.get_ylim()[1] > float(loud["area"].max())


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"results\.nc"):
        write_report(COMPARISON, tmp_path)


def test_a_browser_shows_the_report(comparison: FinishedStudy, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    page = (comparison.folder / "report.html").as_uri()
    shown = subprocess.run(
        [browser, *quiet, "--virtual-time-budget=5000", "--dump-dom", page], capture_output=True, text=True, timeout=120
    )
    assert comparison.verdicts[0] in shown.stdout.replace("&amp;", "&")
    shot = tmp_path / "page.png"
    subprocess.run(
        [browser, *quiet, "--window-size=1100,2400", f"--screenshot={shot}", page],
        capture_output=True,
        timeout=120,
    )
    pixels = imread(shot)[..., :3]
    # The blue of the first curve is drawn, so images inside the page are shown and not only its text.
    blue = np.array([0x00, 0x72, 0xB2]) / 255
    assert (np.abs(pixels - blue).max(axis=-1) < 0.02).sum() > 500
