"""The hold-out in one figure: errors of the model beside those of simple forecasts, as SVG."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

__all__ = ["holdout_figure"]

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 760, 270, 20, 46, 22
_LOW, _HIGH = 0.1, 10.0  # what lies beyond is drawn at the edge
_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def holdout_figure(table: pd.DataFrame) -> str:
    """Return the errors after the training years in units of the error of no change.

    Parameters
    ----------
    table : DataFrame
        ``holdout.csv`` with a column ``label``; series of full weight under actual drivers are
        drawn.
    """
    rows = table[(table["drivers"] == "actual") & (table["weight"] == 1.0)
                 & table["no change"].gt(0.0)]
    labels = list(dict.fromkeys(rows["label"]))
    height = _TOP + _ROW * len(labels) + 34
    bottom = height - 30
    parts = [f'<svg class="holdout" viewBox="0 0 {_WIDTH} {height}" role="img" '
             'aria-label="Errors 2016-2021 relative to no change">', *_key()]
    for tick in _TICKS:
        x = _place(tick)
        strong = ' class="one"' if tick == 1.0 else ""
        parts += [f'<path{strong} d="M{x:.1f},{_TOP - 8} V{bottom}"/>',
                  f'<text class="middle" x="{x:.1f}" y="{bottom + 13}">{tick:g}</text>']
    parts.append(f'<text class="middle" x="{_place(1.0):.1f}" y="{height - 3}">error in units of '
                 "the error of no change; left of 1 is better</text>")
    for number, label in enumerate(labels):
        y = _TOP + _ROW * number + 8
        own = rows[rows["label"] == label].set_index("fit")
        parts.append(f'<text class="end" x="{_LEFT - 10}" y="{y + 4}">{escape(str(label))}</text>')
        first = own.iloc[0]
        parts += [_bar(first["trend"] / first["no change"], y),
                  _cross(first["AR(1)"] / first["no change"], y)]
        parts += [_dot(row["rmse_test"] / row["no change"], y, str(fit))
                  for fit, row in own.iterrows()]
    return "\n".join([*(part for part in parts if part), "</svg>"])


def _key() -> list[str]:
    marks = ((_dot_at(_LEFT, 12, "training"), "fit training"), (_dot_at(_LEFT + 110, 12, "wide"),
             "fit wide"), (_bar_at(_LEFT + 200, 12), "trend"), (_cross_at(_LEFT + 280, 12),
                                                                "AR(1)"))
    places = (_LEFT, _LEFT + 110, _LEFT + 200, _LEFT + 280)
    return [text for (mark, name), x in zip(marks, places, strict=True)
            for text in (mark, f'<text x="{x + 9}" y="16">{name}</text>')]


def _place(ratio: float) -> float:
    share = np.log(np.clip(ratio, _LOW, _HIGH) / _LOW) / np.log(_HIGH / _LOW)
    return float(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share)


def _dot(ratio: float, y: float, fit: str) -> str:
    return _dot_at(_place(ratio), y, fit) if np.isfinite(ratio) else ""


def _bar(ratio: float, y: float) -> str:
    return _bar_at(_place(ratio), y) if np.isfinite(ratio) else ""


def _cross(ratio: float, y: float) -> str:
    return _cross_at(_place(ratio), y) if np.isfinite(ratio) else ""


def _dot_at(x: float, y: float, fit: str) -> str:
    return f'<circle class="{fit}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _bar_at(x: float, y: float) -> str:
    return f'<path class="naive" d="M{x:.1f},{y - 6:.1f} v12"/>'


def _cross_at(x: float, y: float) -> str:
    return f'<path class="naive" d="M{x - 4:.1f},{y - 4:.1f} l8,8 m0,-8 l-8,8"/>'
