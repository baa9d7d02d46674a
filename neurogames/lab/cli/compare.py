"""The command compare: the study "comparison" with an option for each setting that is often changed.

``--protocol paper`` runs the study "paper-protocol" instead, by the same options as far as it has such settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from neurogames.lab.cli.study import chosen_settings
from neurogames.lab.cli.terminal import ends_plainly, run_and_say
from neurogames.lab.studies.registry import load_study


@ends_plainly(resumes=True)
def compare(
    data: Annotated[list[str] | None, Option(help="Dataset name, openml:NAME or a file; repeatable.")] = None,
    target: Annotated[str | None, Option(help="Target column of a file.")] = None,
    task: Annotated[str | None, Option(help="regression or classification; inferred if not given.")] = None,
    keep_prob: Annotated[list[float] | None, Option(help="Keep probability of the grid; repeatable.")] = None,
    target_noise: Annotated[
        list[str] | None, Option(help="none, uniform, gaussian or stable; paper: TDS6, Stable6A1B0; repeatable.")
    ] = None,
    noise_factor: Annotated[float | None, Option(help="Target noise in standard deviations of the target.")] = None,
    stable_alpha: Annotated[float | None, Option(help="Tail index of stable noise.")] = None,
    seeds: Annotated[int | None, Option(help="Independent repetitions.")] = None,
    first_seed: Annotated[int | None, Option(help="Seed of the first repetition.")] = None,
    hidden: Annotated[list[int] | None, Option(help="Units of a hidden layer; once per layer.")] = None,
    epochs: Annotated[int | None, Option(help="Epochs of the plain network.")] = None,
    batch_size: Annotated[int | None, Option(help="Rows of a mini-batch.")] = None,
    learning_rate: Annotated[float | None, Option(help="Learning rate of Adam.")] = None,
    n_players: Annotated[int | None, Option(help="Players of the simulated game.")] = None,
    cost: Annotated[float | None, Option(help="Cost of composing, c.")] = None,
    multiplier: Annotated[float | None, Option(help="Yield of full composition, kappa.")] = None,
    temperature: Annotated[float | None, Option(help="Temperature of the logit choice, tau.")] = None,
    sweeps: Annotated[int | None, Option(help="Length of the simulation.")] = None,
    protocol: Annotated[
        Literal["standard", "paper"], Option(help="paper: raw features, networks and noise levels of the paper; long.")
    ] = "standard",
    settings_from: Annotated[Path | None, Option(help="Folder of a run whose settings to start from.")] = None,
    out: Annotated[Path | None, Option(help="Folder of results; an unfinished one is resumed.")] = None,
    workers: Annotated[int | None, Option(help="Processes that train side by side; every core if not given.")] = None,
    quick: Annotated[bool, Option("--quick", help="A first look: fewer repetitions, epochs and noises.")] = False,
) -> None:
    """Predict training with gradient dropout, train, and set the simulated game beside it, in a report."""
    given = {
        "target": target,
        "task": task,
        "keep_probs": tuple(sorted(set(keep_prob or []))),
        "target_noises": tuple(target_noise or []),
        "noise_factor": noise_factor,
        "stable_alpha": stable_alpha,
        "seeds": seeds,
        "first_seed": first_seed,
        **({"hidden": tuple(hidden or [])} if protocol == "standard" else {"networks": _networks(hidden)}),
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "n_players": n_players,
        "cost": cost,
        "multiplier": multiplier,
        "temperature": temperature,
        "sweeps": sweeps,
    }
    values = {name: value for name, value in given.items() if value not in (None, ())}
    study = load_study("comparison" if protocol == "standard" else "paper-protocol")  # loads torch
    settings = chosen_settings(study, data=data, settings_from=settings_from, quick=quick, values=values)
    # Starting another process takes longer than all the training of a first look.
    run_and_say(study, settings, out, 1 if quick and workers is None else workers)


def _networks(hidden: list[int] | None) -> tuple[tuple[int, ...], ...]:
    """The one network that is asked for, if any."""
    return (tuple(hidden),) if hidden else ()
