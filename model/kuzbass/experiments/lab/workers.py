"""Work in blocks, on threads of this process or on a Dask cluster, with the same result."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from kuzbass.errors import InputError
from kuzbass.sd.ensemble import drive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.experiments.run import Progress

    Array = NDArray[np.float64]

__all__ = ["Map", "Work", "chunked", "done", "same_plan", "workers", "write_whole"]

Map = Callable[[Sequence[tuple[Any, ...]]], Iterator["Array"]]


class Work(Protocol):
    """Something that turns a task into numbers; it can be pickled."""

    def __call__(self, *task: Any) -> Array:
        """Return the result of a task."""


@contextmanager
def workers(work: Work, threads: int | None, scheduler: str | None) -> Iterator[Map]:
    """Yield what does `work` for many tasks and returns the results in their order.

    Parameters
    ----------
    work : Work
    threads : int, optional
        Threads, or workers of a local cluster; all processors if left out.
    scheduler : str, optional
        As in `kuzbass.sd.ensemble.run_ensemble`.

    Raises
    ------
    InputError
        No such scheduler, or no possible number of threads.
    KuzbassError
        Workers die again and again.
    """
    if threads is not None and threads < 1:
        raise InputError("not a possible number of threads", key="threads", value=threads,
                         allowed="1 or more")
    if scheduler is None:
        with ThreadPoolExecutor(threads or drive.processors()) as pool:
            yield lambda tasks: pool.map(lambda task: work(*task), tasks)
        return
    with drive.open_cluster(threads, scheduler) as (executor, _):
        remote = _Remote(pickle.dumps(work))

        def over(tasks: Sequence[tuple[Any, ...]]) -> Iterator[Array]:
            for future in [executor.submit(remote, task) for task in tasks]:
                yield future.result()

        yield over


def chunked(
    work: Work, runs: int, chunk: int, folder: Path, *, threads: int | None = None,
    scheduler: str | None = None, progress: Progress | None = None, text: str = "running",
) -> Array:
    """Do ``work(first, last)`` for all runs and join the results, (..., run).

    Every chunk is a file below `folder` when it is done; a chunk that is there is not done again.
    """
    tell = progress or (lambda _text, _done, _total: None)
    firsts = list(range(0, runs, chunk))
    files = {first: folder / f"part-{first:09d}.npy" for first in firsts}
    folder.mkdir(parents=True, exist_ok=True)
    missing = [first for first in firsts if not files[first].exists()]
    ready = runs - sum(min(chunk, runs - first) for first in missing)
    tell(text, ready, runs)
    if missing:
        with workers(work, threads, scheduler) as over:
            tasks = [(first, min(first + chunk, runs)) for first in missing]
            for (first, last), result in zip(tasks, over(tasks), strict=True):
                write_whole(files[first], result)
                ready += last - first
                tell(text, ready, runs)
    return np.concatenate([np.load(files[first]) for first in firsts], axis=-1)


def same_plan(work: Path, record: Mapping[str, Any]) -> None:
    """Refuse to go on with what another plan has begun.

    Raises
    ------
    InputError
    """
    file, text = work / "plan.json", json.dumps(record, indent=1, sort_keys=True, default=str)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise InputError("holds unfinished work of another plan", file=work.parent,
                         allowed="the same plan, model and data, which go on there; or remove the "
                         "folder")
    work.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def done(work: Path) -> None:
    """Remove what is needed only to go on."""
    shutil.rmtree(work, ignore_errors=True)


def write_whole(file: Path, values: Array) -> None:
    """Write an array beside its place and move it there when whole."""
    temporary = file.with_name(f".{file.name}.part")
    with temporary.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


@dataclass(frozen=True)
class _Remote:
    """Work in another process; carries everything that it needs."""

    content: bytes

    def __call__(self, task: tuple[Any, ...]) -> Array:
        return _work(self.content)(*task)


@lru_cache(maxsize=2)
def _work(content: bytes) -> Work:
    return cast("Work", pickle.loads(content))  # noqa: S301 - pickled by the process that sent the task
