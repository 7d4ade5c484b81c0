"""Levers: what a policy may move, in which range, when, and in which variables its cost stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.experiments.interface import POLICIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.region.scenario import Policy
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["COMPANY_COST", "COSTS", "FEDERAL_COST", "OUTSIDE", "REGIONAL_COST", "Lever", "Moves",
           "find_lever", "model_levers", "moves_of"]

REGIONAL_COST = "regional policy cost"
FEDERAL_COST = "federal policy cost"
COMPANY_COST = "company policy cost"
COSTS = (REGIONAL_COST, FEDERAL_COST, COMPANY_COST)  # bn RUB/year, nominal
# Of the group Policies, what neither the region nor the state that helps it decides.
OUTSIDE = frozenset({"foreign demand multiplier", "chain export demand multiplier",
                     "domestic gasification"})


@dataclass(frozen=True)
class Lever:
    """Something that a policy may move.

    Attributes
    ----------
    name, unit : str
        As in the model file.
    lower, upper : float
        Range of the model file.
    value : float
        Value of the model file: nothing is done beyond what history did.
    basis : str
        Where the range comes from: what the comment in the model file says after "Source:".
    """

    name: str
    unit: str
    lower: float
    upper: float
    value: float
    basis: str


def model_levers(model: Model) -> tuple[Lever, ...]:
    """Return the levers of a model: its group Policies without `OUTSIDE`, in file order.

    Raises
    ------
    InputError
        A lever has no finite range.
    """
    levers = []
    for one in model.variables.values():
        if one.group != POLICIES or one.kind != "constant" or one.name in OUTSIDE:
            continue
        if one.lower is None or one.upper is None:
            raise InputError("a lever needs a range", file=model.path, key=one.name,
                             allowed="[lowest, highest] beside the unit")
        basis = one.comment.rpartition("Source:")[2].strip() or "assumption"
        levers.append(Lever(one.name, one.unit, one.lower, one.upper,
                            float(model.equations[one.name].ast), basis))
    return tuple(levers)


def find_lever(
    given: str, levers: Sequence[Lever], file: Path | None = None, key: str | None = None
) -> Lever:
    """Return the lever of this name.

    Raises
    ------
    InputError
        There is none.
    """
    known = {plain_name(one.name): one for one in levers}
    found = known.get(plain_name(given))
    if found is None:
        names = [one.name for one in levers]
        raise InputError("not a lever", file=file, key=key, value=given,
                         allowed="for example " + ", ".join(nearest(given, names) or names[:3]))
    return found


@dataclass(frozen=True, eq=False)
class Moves:
    """What levers are set to, of one run or of many.

    Attributes
    ----------
    names : tuple of str
        The levers that are moved; the others stay as the scenario has them.
    values : ndarray (run, lever)
        In the unit of each lever; NaN leaves a lever as the scenario has it.  One row serves any
        number of runs.
    start : ndarray, shape as `values` or one that broadcasts to it
        First moment, in years.
    ramp : ndarray, as `start`
        Years until the full value is reached.
    """

    names: tuple[str, ...]
    values: Array
    start: Array
    ramp: Array

    @property
    def runs(self) -> int:
        """Number of rows."""
        return len(self.values)

    def part(self, first: int, last: int) -> Moves:
        """Return the moves of the runs `first` to `last` - 1; one row stays one row."""
        if self.runs == 1:
            return self

        def cut(array: Array) -> Array:
            return array[first:last] if array.ndim == 2 and len(array) > 1 else array

        return Moves(self.names, self.values[first:last], cut(self.start), cut(self.ramp))

    def paths(self, grid: Array, before: Mapping[str, float | Array]) -> dict[str, Array]:
        """Return the paths of the moved levers, (run or 1, steps + 1) each.

        Parameters
        ----------
        grid : ndarray (steps + 1,)
            Times of the steps.
        before : mapping of str to float or ndarray (1, steps + 1)
            What the scenario has without the policy.
        """
        start, ramp = (np.broadcast_to(one, self.values.shape) for one in (self.start, self.ramp))
        paths = {}
        for place, name in enumerate(self.names):
            since, years = grid - start[:, [place]], ramp[:, [place]]
            gradual = np.clip(since / np.where(years > 0.0, years, 1.0), 0.0, 1.0)
            share = np.where(years > 0.0, gradual, since >= 0.0)
            base = np.atleast_2d(np.asarray(before[name], dtype=np.float64))
            moved = base + share * (self.values[:, [place]] - base)
            paths[name] = np.where(np.isnan(self.values[:, [place]]), base, moved)
        return paths

    @classmethod
    def stack(cls, rows: Sequence[Moves], levers: Sequence[Lever]) -> Moves:
        """Return policies of one row each as one `Moves` over all levers, a run for each policy."""
        names = tuple(one.name for one in levers)
        values = np.full((len(rows), len(names)), np.nan)
        start, ramp = np.zeros_like(values), np.zeros_like(values)
        for row, one in enumerate(rows):
            places = [names.index(name) for name in one.names]
            values[row, places] = one.values[0]
            start[row, places] = np.broadcast_to(one.start, one.values.shape)[0]
            ramp[row, places] = np.broadcast_to(one.ramp, one.values.shape)[0]
        return cls(names, values, start, ramp)


def moves_of(
    policy: Mapping[str, Policy], levers: Sequence[Lever], file: Path, key: str
) -> Moves:
    """Return one policy of a plan as moves of one row.

    Parameters
    ----------
    policy : mapping of str to Policy
        Lever to value, first year and ramp.
    levers : sequence of Lever
    file, key : Path, str
        Where the policy stands, for the messages.

    Raises
    ------
    InputError
        Something that is no lever, a lever that stands twice, or a value out of its range.
    """
    found: dict[str, Policy] = {}
    for given, one in policy.items():
        lever = find_lever(given, levers, file, f"{key}.{given}")
        if lever.name in found:
            raise InputError("the same lever stands twice", file=file, key=f"{key}.{given}",
                             value=given, allowed="each lever once")
        check_value(lever, one.value, file, f"{key}.{given}.value")
        found[lever.name] = one
    columns = [np.array([[getattr(one, field) for one in found.values()]], dtype=np.float64)
               for field in ("value", "start", "ramp")]
    return Moves(tuple(found), *columns)


def check_value(lever: Lever, value: float, file: Path | None, key: str) -> None:
    """Refuse a value out of the range of a lever.

    Raises
    ------
    InputError
    """
    if not lever.lower <= value <= lever.upper:
        raise InputError("lever out of range", file=file, key=key, value=f"{value:g}",
                         allowed=f"{lever.lower:g} to {lever.upper:g} {lever.unit}")
