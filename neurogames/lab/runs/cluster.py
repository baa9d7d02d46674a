"""Jobs done by the workers of a dask cluster, which may be many machines that share a folder.

Needs the extra ``neurogames[cluster]``. The scheduler is started by ``dask scheduler``, a worker on each machine by
``dask worker ADDRESS --nthreads 1 --nworkers 8``, both where neurogames and the measured function can be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Any, TypeVar

from neurogames._arguments import invalid_argument

Gain = TypeVar("Gain")

_SECONDS = 15
"""How long to wait for the scheduler and its first worker."""


def finish_on_cluster(
    act: Callable[..., Gain], jobs: Iterable[tuple[Any, ...]], address: str
) -> Generator[Gain, None, None]:
    """Do jobs on a cluster and yield what each gives, in the order in which they are done.

    Closing the generator, or an error in a job, takes back the jobs that have not begun.

    Args:
        act: function at the top level of a module.
        jobs: its arguments, job by job.
        address: of the scheduler, such as ``tcp://192.168.0.1:8786``.

    Raises:
        ValueError: if dask is not installed, no scheduler answers, it has no worker, or a worker has several threads,
            which would share what one of them sets.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise invalid_argument("cluster", address, "the extra: pip install 'neurogames[cluster]'") from None
    try:
        client = distributed.Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        expected = f"the address of a dask scheduler that answers, such as tcp://192.168.0.1:8786 ({why})"
        raise invalid_argument("cluster", address, expected) from None
    with client:
        _check_workers(client, address)
        futures = [client.submit(_act_in_worker, act, *job, pure=False) for job in jobs]
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                yield future.result()
        finally:
            client.cancel(futures)


def _check_workers(client: Any, address: str) -> None:
    """Refuse a cluster that does not work, or whose workers do several jobs at once in one process."""
    try:
        client.wait_for_workers(1, timeout=_SECONDS)
    except TimeoutError:
        raise invalid_argument("cluster", f"{address}, without a worker", "at least one worker") from None
    threads = max(client.nthreads().values())
    if threads > 1:
        got = f"{address}, with a worker of {threads} threads"
        raise invalid_argument("cluster", got, "workers of one thread each: dask worker ADDRESS --nthreads 1")


def _act_in_worker(act: Callable[..., Gain], *job: Any) -> Gain:
    """Do one job in a worker of a cluster.

    Its files are its own, yet xarray would lock each under a name of the whole cluster, and files that are written in
    memory can have the same one: work and writing within a job know nothing of the cluster.
    """
    with import_module("dask").config.set(scheduler="synchronous"):
        return act(*job)
