"""What a Loops That Matter analysis found, and how much of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.sd.loops.links import Rule

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["Loop", "LoopScores", "Part"]

Polarity = Literal["R", "B", "Ru", "Bu", "U", "-"]


@dataclass(frozen=True)
class Loop:
    """A feedback loop.

    Attributes
    ----------
    id : str
        Its polarity and a number, ``"R1"`` being the reinforcing loop that mattered most.
    name : str
        Given by the caller, else made of the states that it holds.
    named : bool
        The caller gave the name.
    part : int
        Number of the feedback part; scores of different parts must not be compared.
    polarity : {"R", "B", "Ru", "Bu", "U", "-"}
        As it ran: reinforcing, balancing, the same with less than 1 % of the other, unclear, or
        inactive in this run.
    confidence : float
        |r - b| / (r + b), with r and b the sums of its positive and negative relative scores.
    structure : {"+", "-", "+-", "0"}
        Polarity by the product of the polarities of its links.
    share : float
        Mean magnitude of its relative score over the steps in which its part was active.
    delay : float
        Sum of the time constants of its smooths and delays, in the time unit of the model.
    states : tuple of str
        Its stocks, smooths and delays, in order.
    variables : tuple of str
        All of its variables, in order.
    """

    id: str
    name: str
    named: bool
    part: int
    polarity: Polarity
    confidence: float
    structure: str
    share: float
    delay: float
    states: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of links."""
        return len(self.variables)


@dataclass(frozen=True)
class Part:
    """A strongly connected part of the model and what is known of its loops.

    Attributes
    ----------
    number : int
        From 1, the part with most states first.
    variables, states : tuple of str
        What it holds.
    loops : int
        Loops in the result.
    complete : bool
        These are all of its loops; else the strongest found.
    searched : tuple of float
        The times at which the strongest paths were searched; empty if complete.
    kept : float
        Share of the loop scores found at these times that the loops in the result hold, the
        mean; 1 if complete.
    coverage : float
        The same at times in between, where a new search finds loops of its own: how much of
        them the result holds; 1 if complete.
    """

    number: int
    variables: tuple[str, ...]
    states: tuple[str, ...]
    loops: int
    complete: bool
    searched: tuple[float, ...]
    kept: float
    coverage: float


@dataclass(frozen=True)
class LoopScores:
    """Scores of the feedback loops along a run.

    Attributes
    ----------
    model : str
        Name of the model file.
    rule : {"2023", "2020"}
        How flows were scored in their stocks.
    time_step : float
        Of the run, in its time unit.
    time : array, shape (s,)
        The time at which each step ends.  Stella and the published tables label a step by the
        time at which it starts.
    parts : tuple of Part
        Feedback parts of the model.
    loops : tuple of Loop
        By part, the one that mattered most first.
    complete : bool
        Every part is complete.
    links : dict of (cause, effect) to array, shape (s,)
        Link scores of the edges in feedback parts, smooths and delays collapsed.
    interaction : dict of str to float
        By variable, the share of its steps in which more than a fifth of the change was made by
        inputs together (a limit or a choice that switched): there link scores do not add up.
    unused_names : tuple of str
        Names given for which there is no loop in the result.
    """

    model: str
    rule: Rule
    time_step: float
    time: Array = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)
    loops: tuple[Loop, ...] = field(repr=False)
    complete: bool
    links: dict[Edge, Array] = field(repr=False)
    interaction: dict[str, float] = field(repr=False)
    unused_names: tuple[str, ...]
    _magnitude: Array = field(repr=False)
    _relative: Array = field(repr=False)

    def relative(self) -> pd.DataFrame:
        """Return the relative loop scores, time x loop id, each from -1 to 1.

        Magnitudes of the loops of one part sum to 1, or to 0 in a step without change.
        """
        return self._frame(self._relative)

    def raw(self) -> pd.DataFrame:
        """Return the loop scores, time x loop id."""
        with np.errstate(over="ignore"):
            return self._frame(np.sign(self._relative) * np.exp(self._magnitude))

    def link_table(self) -> pd.DataFrame:
        """Return the link scores, time x (cause, effect)."""
        table = pd.DataFrame(self.links, index=pd.Index(self.time, name="time"))
        return table.rename_axis(columns=["cause", "effect"])

    def loop_table(self) -> pd.DataFrame:
        """Return one row per loop, by its id."""
        rows = [{**asdict(loop), "length": loop.length, "states": ", ".join(loop.states),
                 "variables": " -> ".join(loop.variables)} for loop in self.loops]
        columns = ["id", "name", "part", "polarity", "confidence", "structure", "share", "length",
                   "delay", "states", "variables", "named"]
        return pd.DataFrame(rows, columns=columns).set_index("id")

    def part_table(self) -> pd.DataFrame:
        """Return one row per feedback part, by its number."""
        rows = [{**asdict(part), "variables": ", ".join(part.variables),
                 "states": ", ".join(part.states), "searched": len(part.searched)}
                for part in self.parts]
        columns = ["number", "loops", "complete", "searched", "kept", "coverage", "states",
                   "variables"]
        return pd.DataFrame(rows, columns=columns).set_index("number")

    def _frame(self, scores: Array) -> pd.DataFrame:
        return pd.DataFrame(scores.T, index=pd.Index(self.time, name="time"),
                            columns=pd.Index([loop.id for loop in self.loops], name="loop"))
