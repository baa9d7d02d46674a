"""How long does a population take to leave the detour, when each player gets its feedback with probability keep?

Twenty players of the club good (kappa = 1, c = 0.4) start with nobody composing and revise by logit choice (temperature
0.08) until at least 14 compose. "No feedback" can mean three things, and they disagree about whether that helps:

- hold, one at a time: a masked player keeps its action. Only time is stretched, by 1/keep.
- hold, all at once: a masked player keeps its action. Synchrony is broken; escape is fastest at intermediate keep.
- blind, one at a time: a masked player tosses a coin. This is extra temperature: escape is fast, composition less pure.

    python simulations/public_goods.py [FOLDER]

prints the table, exact beside simulated, and writes public_goods.csv, .png and .svg into FOLDER (default: here).
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from neurogames import Process, PublicGoodsGame, escape_times, logit, mean_field, population_chain

GAME = PublicGoodsGame(n_players=20, cost=0.4, multiplier=1.0)
CHOICE = logit(0.08)
START, TARGET = 0, 14
KEEP_PROBS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
REPLICAS, MAX_SWEEPS = 500, 1_000_000

# Name: (who revises, what a masked player does, colour of Okabe and Ito, line style, marker)
MEANINGS = {
    "hold, one at a time": ("one", "hold", "#0072B2", "-", "o"),
    "hold, all at once": ("all", "hold", "#D55E00", "--", "s"),
    "blind, one at a time": ("one", "blind", "#009E73", "-.", "^"),
}

Row = dict[str, str | float]


def escape_table(rng: np.random.Generator) -> list[Row]:
    """One row for each meaning and keep probability: exact and simulated escape time, and the share in the long run."""
    rows: list[Row] = []
    for meaning, (revision, masked, *_) in MEANINGS.items():
        for keep in KEEP_PROBS:
            process = Process(CHOICE, revision, keep, masked)
            chain = population_chain(GAME, process)
            seen = escape_times(
                GAME, process, start=START, target=TARGET, replicas=REPLICAS, max_sweeps=MAX_SWEEPS, rng=rng
            )
            rows.append(
                {
                    "masked player": meaning,
                    "keep_prob": keep,
                    "exact sweeps": chain.escape_time(START, TARGET).sweeps,
                    "simulated sweeps": seen.mean,
                    "standard error": seen.stderr,
                    "long-run share": float(chain.stationary().mean_share()),
                }
            )
    return rows


def draw(rows: list[Row]) -> Figure:
    """Escape time and long-run share of composers against the keep probability."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for meaning, (_, _, colour, line, marker) in MEANINGS.items():
        keep, exact, seen, error, share = (
            np.array([row[name] for row in rows if row["masked player"] == meaning], dtype=float)
            for name in ("keep_prob", "exact sweeps", "simulated sweeps", "standard error", "long-run share")
        )
        left.plot(keep, exact, line, color=colour)
        left.errorbar(keep, seen, 2 * error, fmt=marker, color=colour, markersize=5, mfc="white", capsize=2)
        left.plot([], [], line, marker=marker, color=colour, mfc="white", label=meaning)
        right.plot(keep, share, line, marker=marker, color=colour, markersize=5, mfc="white")
    critical = mean_field(GAME, Process(CHOICE, masked="blind")).critical_keep_prob()
    assert critical is not None
    left.axvline(critical, color="0.5", linewidth=1, linestyle=":")
    left.annotate(
        f"blind: no detour state\nbelow keep = {critical:.2f}\nin a large population",
        (critical, 200),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8.5,
        color="0.3",
    )
    left.set(yscale="log", ylabel=f"sweeps until {TARGET} of {GAME.n_players} compose", ylim=(3, 60_000))
    left.set_title("Time to leave the detour", loc="left")
    right.set(ylabel="share of composers", ylim=(0.45, 1.02))
    right.annotate("both meanings of hold", (0.05, 0.985), va="top", fontsize=8.5, color="0.3")
    right.set_title("Composition in the long run", loc="left")
    for axes in (left, right):
        axes.set(xlabel="probability of keeping feedback", xlim=(0, 1.03))
        axes.grid(color="0.9", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        title=f"what a masked player does (lines: exact; marks left: {REPLICAS} simulations, bars 2 standard errors)",
        loc="outside lower center",
        ncols=3,
        frameon=False,
        title_fontsize=9,
    )
    return figure


def main(folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path()) -> None:
    """Print the table and write it with its figure."""
    rows = escape_table(np.random.default_rng(20250719))
    print(f"{'masked player':<22}{'keep':>6}{'exact':>12}{'simulated':>12}{'+/-':>9}{'long run':>10}")
    for row in rows:
        exact, seen, error = row["exact sweeps"], row["simulated sweeps"], row["standard error"]
        print(
            f"{row['masked player']:<22}{row['keep_prob']:>6}{exact:>12,.1f}{seen:>12,.1f}{error:>9,.1f}"
            f"{row['long-run share']:>10.3f}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "public_goods.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    figure = draw(rows)
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"public_goods.{suffix}", dpi=160)
    plt.close(figure)


if __name__ == "__main__":
    typer.run(main)
