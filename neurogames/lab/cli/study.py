"""The command study: any study by its name, with the settings that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from neurogames._arguments import invalid_argument
from neurogames.lab.cli.terminal import ends_plainly, run_and_say, say
from neurogames.lab.studies.registry import list_studies, load_study
from neurogames.lab.studies.settings import StudySettings, one_name, parse_setting

if TYPE_CHECKING:
    from neurogames.lab.studies.study import Settings, Study


@ends_plainly(resumes=True)
def study(
    name: Annotated[str | None, Argument(help="Name of the study; without it, the studies are listed.")] = None,
    data: Annotated[list[str] | None, Option(help="Name of the data, with the settings that suit them.")] = None,
    seeds: Annotated[int | None, Option(help="Independent repetitions; more may be asked for later.")] = None,
    epochs: Annotated[int | None, Option(help="Epochs of training.")] = None,
    given: Annotated[list[str] | None, Option("--set", help="NAME=VALUE of any other setting; repeatable.")] = None,
    settings_from: Annotated[Path | None, Option(help="Folder of a run whose settings to start from.")] = None,
    quick: Annotated[bool, Option("--quick", help="A first look.")] = False,
    out: Annotated[Path | None, Option(help="Folder of results; an unfinished one is resumed.")] = None,
    workers: Annotated[int | None, Option(help="Processes side by side; every core if not given.")] = None,
    cluster: Annotated[str | None, Option(help="Address of a dask scheduler whose workers share the folder.")] = None,
) -> None:
    """Run a study, and write a report; without a name, list the studies."""
    if name is None:
        _list_studies()
        return
    chosen = load_study(name)  # most load torch
    values = _values(chosen.settings, {"seeds": seeds, "epochs": epochs}, given or [])
    settings = chosen_settings(chosen, data=data, settings_from=settings_from, quick=quick, values=values)
    run_and_say(chosen, settings, out, workers, cluster)


def chosen_settings(
    study: Study[Settings],
    *,
    data: Sequence[str] | None,
    settings_from: Path | None,
    quick: bool,
    values: Mapping[str, Any],
) -> Settings:
    """Return the settings that the options of a command ask for.

    Args:
        study: what is to be run.
        data: names of data; they bring the settings that suit them, or only their name into those of a run.
        settings_from: folder of a run whose settings to start from.
        quick: whether to make the settings small.
        values: single settings by name, which go before all others.
    """
    from neurogames.lab.studies.study import settings_of_run  # loads torch

    if settings_from is not None:
        settings = settings_of_run(study, settings_from)
    else:
        settings = study.settings.for_data(*data) if data else study.settings()
    if quick:
        settings = settings.quick()
    named = {"data": tuple(data) if isinstance(settings.data, tuple) else one_name(data)} if data else {}
    return settings.updated(**named | dict(values))


def _values(kind: type[StudySettings], common: Mapping[str, int | None], given: Sequence[str]) -> dict[str, Any]:
    """Single settings by name, from options of their own and from ``--set``."""
    values: dict[str, Any] = {name: value for name, value in common.items() if value is not None}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            raise invalid_argument("set", text, "NAME=VALUE with each setting once")
        values[name] = parse_setting(kind, name, value)
    return values


def _list_studies() -> None:
    width = max(map(len, list_studies()))
    for name, question in list_studies().items():
        say(f"{name:<{width}}  {question}")
