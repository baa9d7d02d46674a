"""Jobs done by any number of processes, which end with the one that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
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
    parallel = joblib.Parallel(
        n_jobs=workers,
        return_as="generator_unordered",
        batch_size=1,
        initializer=_begin_worker,
        initargs=(os.getpid(),),
    )
    with contextlib.ExitStack() as ending, warnings.catch_warnings():
        # A worker whose memory has grown is replaced. joblib warns of it in the thread that hands out the answers. That
        # thread ends where warnings are errors, and all would wait for ever.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        with _quiet_tracker(), _started_deaf():
            gained = parallel(joblib.delayed(act)(*job) for job in jobs)
            ending.callback(_close, gained)
        try:
            # Not "yield from": that would close joblib's generator before its warnings are silenced.
            for result in gained:  # noqa: UP028
                yield result
        except BrokenProcessPool:
            # Its own words are many lines of advice.
            raise CellError("a worker process was ended from outside, perhaps for want of memory") from None


def _close(gained: Generator[Any, None, None]) -> None:
    """Stop the workers of joblib, which warns that it does so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gained.close()


def _quiet_tracker() -> contextlib.AbstractContextManager[None]:
    """Start processes that do not tell of what they clear away after one that was killed.

    It is of no use to whoever has killed it, and comes after the prompt is there again.
    """
    name = "PYTHONWARNINGS"
    return environment_variable(name, ",".join(filter(None, [os.environ.get(name), "ignore:resource_tracker"])))


@contextlib.contextmanager
def _started_deaf() -> Iterator[None]:
    """Put Ctrl-C off while processes are started, which inherit that; a terminal sends it to all of them.

    They would show a traceback each where it comes before they can ignore it.
    """
    if os.name != "posix":
        yield
        return
    # Python 3.11 starts its tracker with signals let through again, the workers after it too.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(starter: int) -> None:
    """Leave Ctrl-C to the process that started this one, and end at once when that is gone, however it was ended.

    Nobody else would tell: a killed process stops no workers, and they would compute on for hours.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="watch the starter", daemon=True).start()
