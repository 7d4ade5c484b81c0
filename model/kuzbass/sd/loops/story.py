"""Which loops dominate when: a table, plain sentences and the data of a stacked area."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import NDArray

    from kuzbass.sd.loops.result import LoopScores, Part

    Array = NDArray[np.float64]

__all__ = ["area", "dominance", "story"]

# A set of loops dominates from this share on.
_HALF = 0.5
_TOLD = 5


def dominance(
    result: LoopScores, windows: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Return the share of each loop in each window and the smallest set that dominates.

    Loops with the same given name count as one.

    Parameters
    ----------
    result : LoopScores
        From `kuzbass.sd.loops.ltm.loops_that_matter`.
    windows : mapping of str to (float, float)
        Start and end of each window; a step belongs to it if it starts and ends within.

    Returns
    -------
    pandas.DataFrame
        Columns ``window``, ``part``, ``name``, ``loops`` (how many carry the name), ``share``
        (mean magnitude of the relative scores over the steps in which the part is active),
        ``reinforcing`` and ``balancing`` (which add up to the share), ``cumulative`` and
        ``dominant`` (in the smallest set that holds half).  Strongest first in each window and
        part; a part that is not active in a window has no rows.

    Raises
    ------
    InputError
        A window that holds no step of the run.
    """
    blocks = []
    for window, (start, end) in windows.items():
        steps = _steps(result, window, start, end)
        for part in result.parts:
            table = _shares(result, part, steps)
            blocks.append(table.assign(window=window, part=part.number))
    columns = ["window", "part", "name", "loops", "share", "reinforcing", "balancing",
               "cumulative", "dominant"]
    return pd.concat(blocks, ignore_index=True)[columns] if blocks else pd.DataFrame(
        columns=columns)


def story(result: LoopScores, windows: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return sentences on what dominates in each window, from computed shares only.

    Parts with a single loop are left out: there it holds 100 % by definition.

    Parameters
    ----------
    result, windows
        As in `dominance`.
    """
    table = dominance(result, windows)
    sentences = []
    for part in result.parts:
        if part.loops > 1:
            sentences.append(_about(part))
            for window, (start, end) in windows.items():
                rows = table[(table["window"] == window) & (table["part"] == part.number)]
                sentences.append(f"{window} ({start:g} to {end:g}): {_told(rows)}")
    return sentences


def area(result: LoopScores, part: int = 1, top: int = 8) -> pd.DataFrame:
    """Return the relative scores of one part for a stacked area.

    Parameters
    ----------
    result : LoopScores
        From `kuzbass.sd.loops.ltm.loops_that_matter`.
    part : int
        Number of the part.
    top : int
        How many names to show by themselves, those with the largest share of the run.

    Returns
    -------
    pandas.DataFrame
        Time x (name, polarity): positive under ``"R"``, negative under ``"B"``; the rest is
        named ``"other loops"``.  Magnitudes of a row sum to 1, or to 0 without change.

    Raises
    ------
    InputError
        No such part.
    """
    numbers = [known.number for known in result.parts]
    if part not in numbers:
        raise InputError("there is no such part", key="part", value=part,
                         allowed=f"1 to {len(numbers)}" if numbers else "none: no loops")
    scores = _scores(result, part)
    names = [loop.name for loop in result.loops if loop.part == part]
    shares = pd.Series(np.abs(scores).sum(axis=1), index=names).groupby(level=0).sum()
    chosen = shares.sort_values(ascending=False, kind="stable").index[:top]
    labels = np.array([name if name in chosen else "other loops" for name in names])
    columns = {}
    for name in [*chosen, "other loops"]:
        rows = scores[labels == name]
        for polarity, signed in (("R", np.maximum(rows, 0.0)), ("B", np.minimum(rows, 0.0))):
            if signed.any():
                columns[name, polarity] = signed.sum(axis=0)
    table = pd.DataFrame(columns, index=pd.Index(result.time, name="time"))
    return table.rename_axis(columns=["name", "polarity"]) if columns else table


def _scores(result: LoopScores, part: int) -> Array:
    own = [loop.id for loop in result.loops if loop.part == part]
    return result.relative()[own].to_numpy().T


def _steps(result: LoopScores, window: str, start: float, end: float) -> NDArray[np.bool_]:
    steps = (result.time - result.time_step >= start) & (result.time <= end)
    if not steps.any():
        first, last = result.time[0] - result.time_step, result.time[-1]
        raise InputError("the window holds no step of the run", key=window,
                         value=f"{start:g} to {end:g}",
                         allowed=f"within {first:g} to {last:g}, {result.time_step:g} or longer")
    return steps


def _shares(result: LoopScores, part: Part, steps: NDArray[np.bool_]) -> pd.DataFrame:
    scores = _scores(result, part.number)[:, steps]
    active = int(np.any(scores != 0.0, axis=0).sum())
    names = [loop.name for loop in result.loops if loop.part == part.number]
    table = pd.DataFrame({
        "name": names,
        "loops": 1,
        "reinforcing": np.maximum(scores, 0.0).sum(axis=1) / max(1, active),
        "balancing": -np.minimum(scores, 0.0).sum(axis=1) / max(1, active),
    }).groupby("name", as_index=False, sort=False).sum()
    table["share"] = table["reinforcing"] + table["balancing"]
    table = table[table["share"] > 0.0].sort_values("share", ascending=False, kind="stable")
    table["cumulative"] = table["share"].cumsum()
    # The first that reaches the half belongs to the set.
    table["dominant"] = table["cumulative"] - table["share"] < _HALF
    return table


def _about(part: Part) -> str:
    states = f"{len(part.states)} state" + ("s" if len(part.states) > 1 else "")
    if part.complete:
        return f"Part {part.number} ({states}) has {part.loops} loops, all of them scored."
    return (f"Part {part.number} ({states}) has more loops than can be enumerated; the "
            f"{part.loops} strongest found at {len(part.searched)} times are scored. New searches "
            f"at times in between found {1.0 - part.coverage:.0%} of their loop scores in "
            "other loops.")


def _told(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "no loop is active."
    chosen = rows[rows["dominant"]]
    told = [_named(row) for row in chosen.head(_TOLD).to_dict("records")]
    if len(chosen) > _TOLD:
        told.append(f"{len(chosen) - _TOLD} more")
    listed = told[0] if len(told) == 1 else ", ".join(told[:-1]) + " and " + told[-1]
    verb = "dominates" if len(chosen) == 1 else f"together hold {chosen['share'].sum():.0%}"
    return (f"{listed} {verb}; reinforcing loops hold {rows['reinforcing'].sum():.0%}, "
            f"balancing loops {rows['balancing'].sum():.0%}.")


def _named(row: Mapping[Hashable, Any]) -> str:
    reinforcing, balancing = float(row["reinforcing"]), float(row["balancing"])
    share = reinforcing + balancing
    if min(reinforcing, balancing) > 0.01 * share:
        kind = f"{reinforcing / share:.0%} of it reinforcing"
    else:
        kind = "reinforcing" if reinforcing > balancing else "balancing"
    many = f", {row['loops']} loops" if row["loops"] != 1 else ""
    return f"'{row['name']}' ({share:.0%}, {kind}{many})"
