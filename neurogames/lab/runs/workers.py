"""Jobs done by any number of processes, which end with the one that started them."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import joblib

from neurogames.lab.environment import environment_variable
from neurogames.lab.runs.errors import CellError

Gain = TypeVar("Gain")

_LOOK_SECONDS = 0.5
"""How often a worker looks whether the process that started it is there."""


def finish(act: Callable[..., Gain], jobs: Iterable[tuple[Any, ...]], workers: int) -> Generator[Gain, None, None]:
    """Do jobs and yield what each gives, in the order in which they are done.

    Closing the generator, or an error in a job, stops the workers.

    Args:
        act: function at the top level of a module.
        jobs: its arguments, job by job; taken as workers become free.
        workers: number of processes; 1 works in this process.

    Raises:
        CellError: a worker was killed.

    >>> list(finish(max, [(1, 2), (4, 3)], workers=1))
    [2, 4]
    """
    if workers == 1:
        for job in jobs:
            yield act(*job)
        return
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    with _quiet_tracker():
        gained = parallel(joblib.delayed(_act_in_worker)(os.getpid(), act, *job) for job in jobs)
    try:
        # Not "yield from": that would close joblib's generator before the warnings below are silenced.
        for result in gained:  # noqa: UP028
            yield result
    except BrokenProcessPool:
        # Its own words are many lines of advice.
        raise CellError("a worker process was ended from outside, perhaps for want of memory") from None
    finally:
        with warnings.catch_warnings():
            # joblib warns that it stops the workers, which is what is wanted here.
            warnings.simplefilter("ignore")
            gained.close()


def _quiet_tracker() -> contextlib.AbstractContextManager[None]:
    """Start processes that do not tell of what they clear away after one that was killed.

    It is of no use to whoever has killed it, and comes after the prompt is there again.
    """
    name = "PYTHONWARNINGS"
    return environment_variable(name, ",".join(filter(None, [os.environ.get(name), "ignore:resource_tracker"])))


def _act_in_worker(starter: int, act: Callable[..., Gain], *job: Any) -> Gain:
    """Do one job in a worker process, which leaves Ctrl-C to the process that started it, and ends with it."""
    if os.getpid() != starter and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if multiprocessing.current_process().name.startswith("LokyProcess"):
            # Others, such as those of a cluster, have not been started by the process that waits.
            _end_with(starter)
    return act(*job)


@functools.cache
def _end_with(starter: int) -> None:
    """Leave at once when the process that started this one is gone, however it was ended.

    Nobody else would tell: a killed process stops no workers, and they would compute on for hours.
    """

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="watch the starter", daemon=True).start()
