"""Direct extreme conditions: each equation alone, one input at a time at its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.errors import ModelError
from kuzbass.sd.battery.findings import Breach
from kuzbass.sd.graph import TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun, Node
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["ANY", "RUN", "Limit", "Probe", "direct_extremes", "limit_breaches"]

ANY = "any"
RUN = "run"
_FAR = 1e6
_SAMPLES = 9
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """What an equation must give at a limit of one of its inputs.

    Attributes
    ----------
    variable : str
        The variable whose equation it is.
    input : str
        The input; or `ANY`: whatever the inputs, each at its limits too; or `RUN`: in every run,
        where the inputs cannot move apart.
    at : float
        Value of the input; not a number with `ANY` and `RUN`.
    low, high : float
        Bounds of the result; infinite where it is open.
    """

    variable: str
    input: str
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Probe:
    """Outcome of all direct extreme conditions.

    Attributes
    ----------
    equations, evaluations : int
        How many were tried.
    breaches : tuple of Breach
        Results that are not finite, or beyond a limit.
    guarded : tuple of str
        ``variable / input``: not finite at an input of zero, which the input never comes near to.
    """

    equations: int
    evaluations: int
    breaches: tuple[Breach, ...]
    guarded: tuple[str, ...]


def direct_extremes(
    expanded: ExpandedRun, reach: Mapping[str, tuple[float, float]], limits: Sequence[Limit] = ()
) -> Probe:
    """Evaluate every equation with each input in turn at 0, its minimum, maximum and far beyond.

    The other inputs are as in the run, at nine times spread over it.

    Parameters
    ----------
    expanded : ExpandedRun
        A run of the model.
    reach : mapping of str to (low, high)
        How far each variable can go: of constants and drivers the range of the model file, of the
        rest what runs under extreme conditions gave.  Far beyond is a million times its end, in
        the directions in which it has values; a constant or driver cannot leave its range.
    limits : sequence of Limit
        Results that are required.
    """
    steps = np.unique(np.linspace(0, len(expanded.time) - 1, _SAMPLES).astype(int))
    base = {name: path[steps] for name, path in expanded.paths.items()}
    always = {limit.variable: limit for limit in limits if limit.input == ANY}
    breaches: list[Breach] = []
    guarded: list[str] = []
    equations = evaluations = 0
    for node in expanded.nodes.values():
        if node.rule is None or node.name not in expanded.model.variables:
            continue
        equations += 1
        for name in node.rule.inputs:
            if name == TIME or name not in reach:
                continue
            for value in _trials(expanded.model, name, *reach[name]):
                evaluations += 1
                result = _evaluate(node, {**base, name: np.full(len(steps), value)})
                if not np.isfinite(result).all():
                    if value == 0.0 and _stays_off_zero(*reach[name]):
                        guarded.append(f"{node.name} / {name}")
                    else:
                        breaches.append(Breach(node.name, f"not finite when {name} is {value:g}; "
                                               "expected a number"))
                elif node.name in always:
                    breaches += _beyond(always[node.name], result, f"at {name} = {value:g}")
    return Probe(equations, evaluations, tuple(breaches), tuple(guarded))


def limit_breaches(expanded: ExpandedRun, limits: Sequence[Limit]) -> list[Breach]:
    """Return the equations that do not give what they must at a limit of one input.

    Raises
    ------
    ModelError
        A limit names a variable without an equation, or one that is not among its inputs.
    """
    breaches: list[Breach] = []
    for limit in limits:
        node = expanded.nodes.get(limit.variable)
        if node is None or node.rule is None:
            raise ModelError("has no equation to be tried", key=limit.variable)
        if limit.input in {ANY, RUN}:
            path = np.broadcast_to(node.rule(expanded.paths), expanded.time.shape)
            breaches += _beyond(limit, path, "in the run")
            continue
        if limit.input not in node.rule.inputs:
            raise ModelError("is not an input of the equation", key=limit.variable,
                             value=limit.input, allowed=", ".join(node.rule.inputs))
        fixed = np.full(len(expanded.time), limit.at)
        result = _evaluate(node, {**expanded.paths, limit.input: fixed})
        breaches += _beyond(limit, result, f"at {limit.input} = {limit.at:g}")
    return breaches


def _evaluate(node: Node, values: Mapping[str, Array]) -> Array:
    assert node.rule is not None
    return np.atleast_1d(node.rule(values))


def _trials(model: Model, name: str, low: float, high: float) -> list[float]:
    variable = model.variables.get(name)
    if variable is not None and variable.lower is not None and variable.upper is not None:
        trials = [low, high, *([0.0] if low <= 0.0 <= high else [])]
    else:
        trials = [0.0, low, high, *(_FAR * end for end in (low, high) if end in (min(low, 0.0),
                                                                                 max(high, 0.0)))]
    return list(dict.fromkeys(value for value in trials if np.isfinite(value)))


def _stays_off_zero(low: float, high: float) -> bool:
    return low > 0.0 or high < 0.0


def _beyond(limit: Limit, result: Array, where: str) -> list[Breach]:
    slack = _ROUNDING * max(1.0, *(abs(bound) for bound in (limit.low, limit.high)
                                   if np.isfinite(bound)))
    finite = np.isfinite(result).all()
    low, high = float(np.min(result)), float(np.max(result))
    if finite and low >= limit.low - slack and high <= limit.high + slack:
        return []
    found = f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}"
    return [Breach(limit.variable, f"is {found} {where}; expected {_bounds(limit)}")]


def _bounds(limit: Limit) -> str:
    if limit.low == limit.high:
        return f"{limit.low:g}"
    if not np.isfinite(limit.high):
        return f"{limit.low:g} or more"
    if not np.isfinite(limit.low):
        return f"{limit.high:g} or less"
    return f"{limit.low:g} to {limit.high:g}"
