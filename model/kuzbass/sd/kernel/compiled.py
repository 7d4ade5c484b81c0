"""Runs the compiled form of a plan: packs inputs, spreads blocks of eight runs over threads."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.sd.kernel.llvm_layout import LANES, Layout
from kuzbass.sd.kernel.machine import Code
from kuzbass.sd.kernel.numpy_batch import series

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kuzbass.sd.kernel.plan import Plan
    from kuzbass.sd.kernel.table import Table

    Array = NDArray[np.float64]

__all__ = ["Compiled"]

_BYTES = 8
_SHARE = 8  # parts per thread, so that the last thread does not work alone


class Compiled:
    """A plan with its object code.

    Parameters
    ----------
    plan : Plan
        What the code computes.
    content : bytes
        Object code for this machine.
    """

    def __init__(self, plan: Plan, content: bytes) -> None:
        self._plan = plan
        self._layout = Layout.of(plan)
        self._code = Code(content)
        self._series = _aligned(series(plan))
        # Tables that only time reads are in the series already.
        nodes = (*plan.once, *plan.core, *plan.extra)
        self._tables = {plan.graph[node][1] for node in nodes if plan.graph[node][0] == "table"}

    def run(self, scalars: list[Array], paths: list[Array], tables: list[Table], n: int,
            threads: int) -> tuple[Array, NDArray[np.bool_]]:
        """Return the outputs, (saved times, outputs, n), and which runs are not finite, (n,).

        The arguments are those of `numpy_batch.Batch.run`.
        """
        plan, spec = self._plan, self._plan.spec
        blocks = -(-n // LANES)
        # An odd number of cache lines a row: else all rows would share a few places of the cache.
        outputs = _empty((spec.saved, len(plan.outputs), (blocks | 1) * LANES))
        bad = np.empty(blocks * LANES, dtype=np.bool_)
        flags = _empty((blocks * LANES,))
        inputs = [_lanes(array, blocks) for array in (*(s[:, None] for s in scalars), *paths)]
        packed = {place: _rows(tables[place], blocks) for place in self._tables}
        input_places = np.array([_input_place(array) for array in inputs], dtype=np.int64)
        table_places = np.zeros((len(tables) + 1, 5), dtype=np.int64)
        for place, arrays in packed.items():
            table_places[place] = _table_place(*arrays)
        arguments = np.array([
            input_places.ctypes.data, table_places.ctypes.data, self._series.ctypes.data,
            outputs.ctypes.data, flags.ctypes.data, outputs.strides[0], outputs.strides[1],
        ], dtype=np.int64)

        def work(first: int, end: int) -> None:
            memory = _empty((self._layout.size + 1, LANES))
            self._code.run(arguments.ctypes.data, first, end, memory.ctypes.data)
            lanes = slice(first * LANES, end * LANES)
            finite = np.isfinite(outputs[:, :, lanes]).all(axis=(0, 1))
            bad[lanes] = ~(finite & np.isfinite(flags[lanes]))

        _spread(work, blocks, threads)
        return outputs[:, :, :n], bad[:n]


def _spread(work: Callable[[int, int], None], blocks: int, threads: int) -> None:
    """Call `work` for all blocks, in parts; which thread takes which part changes nothing."""
    if threads == 1 or blocks == 1:
        work(0, blocks)
        return
    edges = np.linspace(0, blocks, min(blocks, threads * _SHARE) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, edges[:-1], edges[1:]):
            pass


def _lanes(array: Array, blocks: int) -> Array:
    """Return an input (1 or n, rows) as (1 or blocks, rows, 8)."""
    runs, rows = array.shape
    if runs == 1:
        result = _empty((1, rows, LANES))
        result[...] = array[0][:, None]
        return result
    result = _empty((blocks, rows, LANES))
    whole = runs // LANES
    result[:whole] = array[:whole * LANES].reshape(whole, LANES, rows).transpose(0, 2, 1)
    if whole < blocks:
        result[whole] = _padded(array[whole * LANES:], 1).T
    return result


def _padded(array: Array, blocks: int) -> Array:
    """Repeat the last run until all lanes are full."""
    return array[np.minimum(np.arange(blocks * LANES), len(array) - 1)]


def _input_place(array: Array) -> tuple[int, int, int]:
    """Return the address of an input and its strides from block to block and row to row."""
    blocks, rows, _ = array.shape
    return (array.ctypes.data, array.strides[0] if blocks > 1 else 0,
            array.strides[1] if rows > 1 else 0)


def _rows(table: Table, blocks: int) -> tuple[Array, Array, Array]:
    """Return x (m,), y and slopes (1 or 8 blocks, m) of a table."""
    y = table.y if len(table.y) == 1 else _padded(table.y, blocks)
    slope = table.slope if len(table.y) == 1 else _padded(table.slope, blocks)
    # One more slope, never used, gives both arrays the same stride.
    slope = np.pad(slope, ((0, 0), (0, 1)))
    return table.x, np.ascontiguousarray(y), np.ascontiguousarray(slope)


def _table_place(x: Array, y: Array, slope: Array) -> tuple[int, int, int, int, int]:
    return (x.ctypes.data, y.ctypes.data, slope.ctypes.data, len(x),
            len(x) if len(y) > 1 else 0)


def _empty(shape: tuple[int, ...]) -> Array:
    """Return an array whose data start on a cache line, as the code's vectors must."""
    size = math.prod(shape)
    memory = np.empty(size + LANES)
    shift = -memory.ctypes.data % (LANES * _BYTES) // _BYTES
    return memory[shift:shift + size].reshape(shape)


def _aligned(array: Array) -> Array:
    result = _empty(array.shape)
    result[...] = array
    return result
