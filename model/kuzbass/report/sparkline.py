"""A small plot of one variable: history and scenarios with units, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kuzbass.report.style import HISTORY, colour, unit_label

if TYPE_CHECKING:
    from kuzbass.experiments.book import Entry

__all__ = ["sparkline"]

_WIDTH, _HEIGHT = 300, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 16, 18
_DOT = 2

_Band = tuple[str, "_Path", float]  # scenario, edges, opacity
_Path = tuple[NDArray[np.float64], NDArray[np.float64]]


def sparkline(entry: Entry, scenarios: Sequence[str]) -> str:
    """Return the plot of a variable over the years, or of a table; ``""`` for a constant.

    Parameters
    ----------
    entry : Entry
    scenarios : sequence of str
        All scenarios of the run, which decide the colours.
    """
    curve = entry.equation.curve
    if curve is not None:
        return _plot(entry, "", {"": (curve.x, curve.y)}, scenarios)
    if entry.scenarios.dropna(how="all").empty:
        return ""
    paths = _branches(entry.scenarios)
    return _plot(entry, "year", paths, scenarios, _bands(entry.bands, paths))


def _branches(table: pd.DataFrame) -> dict[str, _Path]:
    """Return one path as long as all scenarios agree (named ``""``), then one for each."""
    years, values = table.index.to_numpy(float), table.to_numpy(float)
    known = np.isfinite(values).all(axis=1)  # a missing year stays missing
    years, values = years[known], values[known]
    first = values[:, :1]
    spread = np.abs(values - first).max(axis=1)
    apart = np.flatnonzero(spread > 1e-9 * np.maximum(np.abs(first[:, 0]), 1e-9))
    if not len(apart):
        return {"": (years, values[:, 0])}
    start = max(int(apart[0]) - 1, 0)
    together = {"": (years[: start + 1], values[: start + 1, 0])}
    return together | {str(name): (years[start:], values[start:, column])
                       for column, name in enumerate(table.columns)}


def _bands(bands: Mapping[str, pd.DataFrame], paths: Mapping[str, _Path]) -> list[_Band]:
    """Return the edges of the bands of 90 and 50 %, once around all paths as far as they agree."""
    found: list[_Band] = []
    for name, (years, _) in paths.items():
        own = bands.get(name or next(iter(bands), ""))
        if own is None:
            continue
        own = own.loc[years[0]:years[-1]]
        at = own.index.to_numpy(float)
        found += [(name, (np.concatenate([at, at[::-1]]),
                          np.concatenate([own[low].to_numpy(), own[high].to_numpy()[::-1]])), faint)
                  for low, high, faint in (("q05", "q95", 0.12), ("q25", "q75", 0.22))]
    return found


def _plot(
    entry: Entry, x_name: str, paths: dict[str, _Path], scenarios: Sequence[str],
    bands: Sequence[_Band] = (),
) -> str:
    dots_x, dots_y = (entry.observed[name].to_numpy(float) for name in ("year", "value"))
    x = np.concatenate([path[0] for path in paths.values()])
    values = np.concatenate([*(path[1] for path in paths.values()), dots_y,
                             *(edges[1] for _, edges, _ in bands)])
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(abs(high), 1.0):
        pad = 0.5 * abs(high) or 0.5
        low, high = low - pad, high + pad
    first, last = float(x.min()), float(x.max())

    def place(at: NDArray[np.float64], heights: NDArray[np.float64]) -> list[str]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at - first) / max(last - first, 1e-9)
        down = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (heights - low) / (high - low)
        return [f"{a:.0f},{b:.1f}" for a, b in zip(across, down, strict=True)]

    unit = unit_label(entry.variable.unit)
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(entry.variable.name)}, {escape(unit)}">',
        f'<path class="axis" d="M{_LEFT},{_TOP} V{_HEIGHT - _BOTTOM} H{_WIDTH - _RIGHT}"/>',
        f'<text x="2" y="10">{escape(unit)}</text>',
        *(f'<text class="end" x="{_LEFT - 4}" y="{at}">{_number(value)}</text>'
          for at, value in ((_TOP + 4, high), (_HEIGHT - _BOTTOM, low))),
        f'<text x="{_LEFT}" y="{_HEIGHT - 5}">{first:g}</text>',
        f'<text class="end" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 5}">{last:g}</text>',
        f'<text class="middle" x="{(_LEFT + _WIDTH) // 2}" y="{_HEIGHT - 5}">{x_name}</text>',
    ]
    for name, edges, opacity in bands:
        points = " ".join(place(*edges))
        stroke = colour(name, scenarios) if name else HISTORY
        parts.append(f'<polygon fill="{stroke}" fill-opacity="{opacity:g}" points="{points}"/>')
    for name, path in paths.items():
        points = " ".join(place(*path))
        stroke = colour(name, scenarios) if name else HISTORY
        parts.append(f'<polyline stroke="{stroke}" points="{points}"/>')
    parts += [f'<circle cx="{dot.split(",")[0]}" cy="{dot.split(",")[1]}" r="{_DOT}"/>'
              for dot in place(dots_x, dots_y)]
    return "\n".join([*parts, "</svg>"])


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
