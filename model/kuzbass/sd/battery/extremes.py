"""Extreme conditions of the whole model: many runs at the limits, held against what must hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.sd.battery.findings import Breach
from kuzbass.sd.battery.structure import may_go_negative
from kuzbass.sd.graph import drivers
from kuzbass.sd.kernel import compile_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.kernel.kernel import KernelResult
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]
    Condition = Mapping[str, float | Array]

__all__ = ["Invariants", "Trials", "one_at_a_time", "reach_of", "run_conditions", "without_ranges"]

_ROUNDING = 1e-9
_CHUNK = 128
_FACTORS = (0.1, 10.0)


@dataclass(frozen=True)
class Invariants:
    """What must hold in every run.

    Attributes
    ----------
    stocks : tuple of str
        Never below zero.
    shares : tuple of str
        Always between zero and one.
    residuals : mapping of str to str
        Identity that must stay zero -> the amount of the same kind that gives it a scale.
    """

    stocks: tuple[str, ...]
    shares: tuple[str, ...]
    residuals: Mapping[str, str]

    @classmethod
    def of(cls, model: Model, shares: Sequence[str] = (),
           residuals: Mapping[str, str] | None = None) -> Invariants:
        """Take all stocks of a model that are not excused."""
        stocks = tuple(name for name, variable in model.variables.items()
                       if variable.kind == "stock" and not may_go_negative(model, name))
        return cls(stocks, tuple(shares), dict(residuals or {}))


@dataclass(frozen=True)
class Trials:
    """Outcome of runs under extreme conditions.

    Attributes
    ----------
    runs : int
        How many.
    breaches : tuple of (condition, Breach)
        What did not hold, by the name of the condition; the first of each kind in a run.
    low, high : mapping of str to float
        The lowest and highest value that each variable took in all finite runs.
    """

    runs: int
    breaches: tuple[tuple[str, Breach], ...]
    low: Mapping[str, float]
    high: Mapping[str, float]


def without_ranges(model: Model) -> Model:
    """Return the same model with the ranges of all variables open.

    An extreme condition may lie beyond what is plausible; inputs of a run may not.
    """
    variables = {name: replace(variable, lower=None, upper=None)
                 for name, variable in model.variables.items()}
    # Compiled models are kept by their hash.
    return replace(model, variables=variables, sha256=f"{model.sha256} without ranges")


def one_at_a_time(model: Model) -> dict[str, dict[str, float]]:
    """Return conditions that move one constant each.

    To a tenth and to ten times its value, clipped to its range, and to the ends of the range;
    values that come out the same are tried once.

    Returns
    -------
    dict of str to dict
        ``"name = value"`` -> {name: value}.
    """
    conditions = {}
    for name, variable in model.variables.items():
        if variable.kind != "constant":
            continue
        value = float(model.equations[name].ast)
        lower = -np.inf if variable.lower is None else variable.lower
        upper = np.inf if variable.upper is None else variable.upper
        trials = [float(np.clip(factor * value, lower, upper)) for factor in _FACTORS]
        trials += [bound for bound in (lower, upper) if np.isfinite(bound)]
        for trial in dict.fromkeys(trials):
            if trial != value:
                conditions[f"{name} = {trial:g}"] = {name: trial}
    return conditions


def run_conditions(
    model: Model, conditions: Mapping[str, Condition], invariants: Invariants, *,
    final_time: float | None = None, watch: bool = False, chunk: int = _CHUNK,
) -> Trials:
    """Run a model under each condition and check what must hold at every step.

    Parameters
    ----------
    model : Model
        Conditions beyond its ranges are refused; see `without_ranges`.
    conditions : mapping of str to mapping
        Name -> values of constants and drivers: a number, or a path at the steps (steps + 1,).
    invariants : Invariants
    final_time : float, optional
        Instead of the model's.
    watch : bool
        Whether to find the extremes of all variables, once a time unit.
    chunk : int
        Runs kept in memory at a time.
    """
    named = sorted({name for condition in conditions.values() for name in condition})
    moving = _moving(model, conditions)
    checked = [*invariants.stocks, *invariants.shares,
               *(name for pair in invariants.residuals.items() for name in pair)]
    kernel = compile_model(model, vary=named, moving=moving, outputs=checked,
                           final_time=final_time, save_every=None)
    watcher = compile_model(model, vary=named, moving=moving, final_time=final_time) \
        if watch else None
    names = list(conditions)
    breaches: list[tuple[str, Breach]] = []
    reach = _Reach({}, {})
    for first in range(0, len(names), chunk):
        part = names[first:first + chunk]
        values = {name: _column(model, [conditions[one] for one in part], name, len(kernel.time))
                  for name in named}
        result = kernel.run(values, n=len(part))
        lost = {bad.member: bad for bad in result.nonfinite}
        breaches += [(part[member], Breach(str(bad.variable),
                                           f"is not finite from {bad.time}; expected a number"))
                     for member, bad in lost.items()]
        kept = [member for member in range(len(part)) if member not in lost]
        breaches += [(part[kept[member]], breach)
                     for member, breach in _broken(result, kept, invariants)]
        if watcher is not None and kept:
            reach.widen(watcher.run(values, n=len(part)), kept)
    return Trials(len(names), tuple(breaches), reach.low, reach.high)


@dataclass
class _Reach:
    low: dict[str, float]
    high: dict[str, float]

    def widen(self, result: KernelResult, kept: list[int]) -> None:
        finite = result.values[:, :, kept]
        for name, low, high in zip(result.names, finite.min(axis=(0, 2)).tolist(),
                                   finite.max(axis=(0, 2)).tolist(), strict=True):
            self.low[name] = min(low, self.low.get(name, low))
            self.high[name] = max(high, self.high.get(name, high))


def reach_of(model: Model, trials: Trials) -> dict[str, tuple[float, float]]:
    """Return how far each variable can go: its range if it has one, else what the trials gave.

    A constant whose range is a point is a definition and stays where it is.
    """
    outside = set(drivers(model))
    reach = {}
    for name, variable in model.variables.items():
        if variable.kind == "constant" or name in outside:
            if (variable.lower is not None and variable.upper is not None
                    and variable.lower < variable.upper):
                reach[name] = (variable.lower, variable.upper)
        elif name in trials.low:
            reach[name] = (trials.low[name], trials.high[name])
    return reach


def _moving(model: Model, conditions: Mapping[str, Condition]) -> list[str]:
    """Return the constants that some condition moves along a path."""
    return sorted({name for condition in conditions.values() for name, value in condition.items()
                   if np.ndim(value) and model.variables[name].kind == "constant"})


def _column(model: Model, conditions: list[Condition], name: str, steps: int) -> Array:
    """Return the values of one input, (n,), or (n, steps) if a condition gives it a path."""
    if model.variables[name].kind == "constant":
        usual: float | Array = float(model.equations[name].ast)
    else:
        usual = _driver_path(model, name, steps)
    values = [condition.get(name, usual) for condition in conditions]
    if any(np.ndim(value) for value in values):
        return np.array([np.broadcast_to(value, (steps,)) for value in values])
    return np.array(values, dtype=float)


def _driver_path(model: Model, name: str, steps: int) -> Array:
    final = model.initial_time + (steps - 1) * model.time_step
    kernel = compile_model(model, outputs=[name], final_time=final, save_every=None)
    return np.asarray(kernel.run(n=1)[name][:, 0])


def _broken(
    result: KernelResult, kept: list[int], invariants: Invariants
) -> list[tuple[int, Breach]]:
    """Return (place in `kept`, breach) for what does not hold."""
    broken: list[tuple[int, Breach]] = []
    if not kept:
        return broken
    for name in invariants.stocks:
        path = result[name][:, kept]
        scale = np.maximum(1e-12, np.abs(path).max(axis=0))
        broken += _places(path, path < -_ROUNDING * scale, result.time, name, "0 or more")
    for name in invariants.shares:
        path = result[name][:, kept]
        outside = (path < -_ROUNDING) | (path > 1.0 + _ROUNDING)
        broken += _places(path, outside, result.time, name, "0 to 1")
    for name, scale_name in invariants.residuals.items():
        path = result[name][:, kept]
        scale = np.maximum(1.0, np.abs(result[scale_name][:, kept]).max(axis=0))
        broken += _places(path, np.abs(path) > _ROUNDING * scale, result.time, name, "0")
    return broken


def _places(
    path: Array, bad: NDArray[np.bool_], time: Array, name: str, expected: str
) -> list[tuple[int, Breach]]:
    found = []
    for member in np.flatnonzero(bad.any(axis=0)):
        step = int(np.argmax(bad[:, member]))
        found.append((int(member), Breach(name, f"is {path[step, member]:.4g} at {time[step]:g}; "
                                          f"expected {expected}")))
    return found
