"""What the commands on shocks, crises and loops say on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kuzbass.experiments.loops import LoopsResult
    from kuzbass.experiments.replay import ReplayResult
    from kuzbass.experiments.shock import ShockResult

__all__ = ["loops_lines", "replay_lines", "shock_lines"]

_ROUTES = 3


def shock_lines(result: ShockResult) -> Iterator[str]:
    """Yield the order of the cascade, the main routes and the notes."""
    yield f"{result.title}, on {result.scenario}"
    yield (f"{'sector':<30}{'variable':<30}{'beyond 1 % after':>18}{'peak':>9}"
           f"{'recovered after':>17}")
    for sector, row in result.sectors.sort_values("onset_1").iterrows():
        yield (f"{sector!s:<30}{row['variable']:<30}{_years(row['onset_1'], 'never'):>18}"
               f"{100.0 * row['peak_share']:>8.1f}%{_years(row['recovery'], 'not yet'):>17}")
    yield f"How it reaches {result.target}, as shares of its response at {result.at:g}:"
    for _, row in result.routes.head(_ROUTES).iterrows():
        yield f"  {100.0 * row['share']:6.1f}%  {row['route']}"
    yield from result.notes
    yield f"Written to {result.folder}"


def replay_lines(result: ReplayResult) -> Iterator[str]:
    """Yield observed against simulated changes, their causes and the notes."""
    yield f"{result.event.title}, on {result.scenario}"
    yield f"{'series':<40}{'observed':>10}{'simulated':>11}{'without':>9}  in bar"
    for _, row in result.changes.iterrows():
        inside = {True: "yes", False: "no"}.get(row["inside"], "")
        yield (f"{row['label'][:39]:<40}{_change(row['observed']):>10}"
               f"{_change(row['simulated']):>11}{_change(row['without']):>9}  {inside}")
    yield from result.notes
    yield f"Written to {result.folder}"


def loops_lines(result: LoopsResult) -> Iterator[str]:
    """Yield the sentences of every run and the notes."""
    for run, sentences in result.sentences.items():
        yield run
        yield from (f"  {sentence}" for sentence in sentences)
    yield from result.notes
    yield f"Written to {result.folder}"


def _years(value: float, never: str) -> str:
    return never if np.isnan(value) else f"{value:.2f} years"


def _change(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.1f}"
