"""What a run may be asked for: its time axis, and values within their range.

Knows nothing of PySD, so that a run from the kernel's cache need not import it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kuzbass.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TimeAxis", "check_axis", "check_values", "is_power_of_half"]


class _Ranged(Protocol):
    """A variable with a unit and a range."""

    @property
    def unit(self) -> str: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


@dataclass(frozen=True)
class TimeAxis:
    """Checked time axis: `steps` steps of `time_step`, saved every `save_every`."""

    final_time: float
    time_step: float
    save_every: float
    steps: int


def check_axis(start: float, end: object, step: object, save_every: object) -> TimeAxis:
    """Check the time axis of a run that begins at `start`; `save_every` may be ``None``.

    Raises
    ------
    InputError
        The step is not a power of one half, the end is not a whole number of steps after the
        start, or the saving interval is not a whole number of steps.
    """
    step = _time("time_step", step)
    if not is_power_of_half(step):
        raise InputError("not a possible time step", key="time_step", value=step,
                         allowed="1, 0.5, 0.25, 0.125, 0.0625 and smaller powers of one half")
    end = _time("final_time", end)
    steps = (end - start) / step
    if steps < 1.0 or not steps.is_integer():
        raise InputError("not a possible end", key="final_time", value=end,
                         allowed=f"later than {start}, a whole number of steps of {step}")
    every = step if save_every is None else _time("save_every", save_every)
    if every < step or not (every / step).is_integer():
        raise InputError("not a possible saving interval", key="save_every", value=every,
                         allowed=f"a multiple of the time step {step}")
    return TimeAxis(end, step, every, int(steps))


def is_power_of_half(step: float) -> bool:
    """Say whether `step` is 1, 1/2, 1/4 and so on.

    Only such steps add up without rounding, so that every year ends exactly on a step.
    """
    return step.as_integer_ratio()[0] == 1 and step <= 1.0


def check_values(name: str, values: NDArray[np.float64], variable: _Ranged) -> None:
    """Refuse values of a variable that are not finite or out of its range.

    Raises
    ------
    InputError
        The message shows the first such value.
    """
    bad = values[~np.isfinite(values)]
    if bad.size:
        raise InputError("is not finite", key=name, value=bad[0], allowed="a number")
    lower = -math.inf if variable.lower is None else variable.lower
    upper = math.inf if variable.upper is None else variable.upper
    bad = values[(values < lower) | (values > upper)]
    if bad.size:
        raise InputError("is out of range", key=name, value=bad[0],
                         allowed=f"{lower:g} to {upper:g} {variable.unit}")


def _time(key: str, value: object) -> float:
    if (isinstance(value, (bool, np.bool_)) or not isinstance(value, Real)
            or not math.isfinite(value)):
        raise InputError("is not a number of years", key=key, value=repr(value))
    return float(value)
