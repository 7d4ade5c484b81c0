"""Runs the chunks of an ensemble: on threads of this process, or on a Dask cluster."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from kuzbass.errors import InputError, KuzbassError
from kuzbass.sd.ensemble.quantiles import PILOT

if TYPE_CHECKING:
    from kuzbass.sd.ensemble.members import Members, Part
    from kuzbass.sd.ensemble.store import Store

__all__ = ["LOCAL", "Progress", "open_cluster", "processors", "run_ensemble"]

LOCAL = "local"
TIMEOUT = "10s"  # for the answer of a scheduler
_WAITING = 2  # chunks in work per worker: the next is at hand, and memory stays bounded
Progress = Callable[[str, int, int], None]
Task = tuple[int, int, int]  # case, first run, end


def run_ensemble(
    members: Members, store: Store, *, threads: int | None = None, scheduler: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Run every chunk that the store misses.

    Parameters
    ----------
    members : Members
    store : Store
        Of the same members.
    threads : int, optional
        Threads of this process, or workers of a local cluster; all processors if left out.
    scheduler : str, optional
        ``local`` starts a Dask cluster of processes on this machine, ``tcp://host:port`` uses one
        that runs.  The workers get object code and inputs; they need neither PySD nor the model.
    progress : callable, optional
        Told what is being done: text, runs done, runs in all.

    Raises
    ------
    InputError
        No such scheduler, or the store cannot be written.
    KuzbassError
        Workers die again and again on the same chunk.  The store keeps what is done.
    """
    tell = progress or _silent
    total = members.runs * len(members.cases)
    with _workers(members, threads, scheduler) as (executor, work, workers):
        pilots = [(case, 0, min(PILOT, members.runs)) for case in store.needs_pilot()]
        tell("first runs", 0, total)
        for part in _drive(executor, work, pilots, workers):
            store.pilot(part)
        missing = store.missing()
        done = total - sum(last - first for _, first, last in missing)
        tell("simulating", done, total)
        for part in _drive(executor, work, missing, workers):
            store.add(part)
            done += part.runs
            tell("simulating", done, total)


def _drive(
    executor: Executor, work: Callable[[Task], Part], tasks: Iterable[Task], workers: int
) -> Iterator[Part]:
    """Yield the parts as they are ready, a few ahead of whoever takes them."""
    running: set[Future[Part]] = set()
    left = iter(tasks)
    try:
        while True:
            for task in left:
                running.add(executor.submit(work, task))
                if len(running) >= workers * _WAITING:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in running:
            future.cancel()


@contextmanager
def _workers(
    members: Members, threads: int | None, scheduler: str | None
) -> Iterator[tuple[Executor, Callable[[Task], Part], int]]:
    if threads is not None and threads < 1:
        raise InputError("not a possible number of threads", key="threads", value=threads,
                         allowed="1 or more")
    if scheduler is None:
        count = threads or processors()
        with ThreadPoolExecutor(count) as pool:
            yield pool, lambda task: members.part(*task), count
        return
    with open_cluster(threads, scheduler) as (executor, count):
        yield executor, _Remote(pickle.dumps(members)), count


@dataclass(frozen=True)
class _Remote:
    """The work of a chunk in another process; carries everything that it needs."""

    content: bytes

    def __call__(self, task: Task) -> Part:
        return _members(self.content).part(*task)


@lru_cache(maxsize=2)
def _members(content: bytes) -> Members:
    return cast("Members", pickle.loads(content))  # noqa: S301 - made by this program


@contextmanager
def open_cluster(threads: int | None, scheduler: str) -> Iterator[tuple[Executor, int]]:
    """Give the workers of a scheduler, or of a local cluster that ends with the block.

    Parameters
    ----------
    threads : int, optional
        Workers of a local cluster; one a processor if left out.
    scheduler : str
        ``local``, or the address of a scheduler.

    Yields
    ------
    tuple of (Executor, int)
        The workers and their number.

    Raises
    ------
    InputError
        The scheduler does not answer.
    """
    # Here: Dask takes a second to import.
    import distributed  # noqa: PLC0415 - few need it
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - the same

    dask: Any = distributed  # untyped
    cluster: Any = None
    if scheduler == LOCAL:
        cluster = dask.LocalCluster(n_workers=threads or processors(), threads_per_worker=1,
                                    processes=True, dashboard_address=None)
    elif not scheduler.startswith(("tcp://", "tls://")):
        raise InputError("not a scheduler", key="--scheduler", value=scheduler,
                         allowed=f"{LOCAL}, or tcp://host:port of a running Dask scheduler")
    try:
        client = _client(dask.Client, cluster or scheduler, scheduler)
        try:
            count = sum(client.nthreads().values())
            if not count:
                raise InputError("has no workers", key="--scheduler", value=scheduler,
                                 allowed="a Dask scheduler with at least one worker")
            with client.get_executor() as executor:
                yield executor, count
        except KilledWorker as error:
            raise KuzbassError(f"{scheduler}: workers died again and again on the same runs; "
                               f"what was done is kept ({error})") from error
        finally:
            client.close()
    finally:
        if cluster is not None:
            cluster.close()


def _client(make: Any, address: Any, scheduler: str) -> Any:
    try:
        return make(address, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise InputError("cannot be reached", key="--scheduler", value=scheduler,
                         allowed="tcp://host:port of a running Dask scheduler") from error


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _silent(_text: str, _done: int, _total: int) -> None:
    """Tell nobody."""
