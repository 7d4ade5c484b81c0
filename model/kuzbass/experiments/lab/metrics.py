"""Metrics: by which numbers a policy is judged, in which direction, and where the threshold lies.

A metric turns the annual values of a run into one number.  A metric with ``loss_in`` compares the
run with its twin under a shock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from kuzbass.errors import InputError, nearest
from kuzbass.experiments.lab.levers import COMPANY_COST, FEDERAL_COST, REGIONAL_COST
from kuzbass.experiments.lab.plan_files import Strict, Text, refusal
from kuzbass.experiments.scored_years import INDEX
from kuzbass.sd.sampling import Number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CRISIS", "STANDARD", "Metric", "Threshold", "contradiction", "find_metrics",
           "metric_unit", "metric_value", "oriented"]

CRISIS = "crisis"  # the shock that the standard metric of loss speaks of
_BASE, _FIRST, _LAST = 2019, 2025, 2035
_DISCOUNT = 0.08  # a year, nominal: long federal bonds of 2019-2021 and a risk of the region


class Metric(Strict):
    """A number by which policies are judged."""

    of: Text = Field(description="a variable of the model, or 'resilience index'")
    better: Literal["more", "less"] = Field(description="which direction is good")
    take: Literal["at", "mean", "min", "max", "sum"] = "at"
    years: tuple[int, ...] = Field(
        (_LAST,), min_length=1, max_length=2, description="[year], or [first, last]; with loss_in "
        "counted from the year in which the shock begins")
    percent_of: int | None = Field(None, description="a year of the same run that is 100")
    minus: int | None = Field(None, description="a year of the same run whose value is taken off")
    discount: Annotated[Number, Field(ge=0.0, lt=1.0)] | None = Field(
        None, description="of a sum: rate a year by which later years count less, from the first "
        "year on")
    loss_in: Text | None = Field(
        None, description="a shock of the plan; the value is then the loss against the same run "
        "without the shock, in percent of it")

    @model_validator(mode="after")
    def _consistent(self) -> Metric:
        if self.years[0] > self.years[-1]:
            raise refusal("the years are upside down", "[first, last]", list(self.years))
        if (self.take == "at") != (len(self.years) == 1):
            raise refusal("the years do not go with what is taken", "[year] with at, "
                           "[first, last] with mean, min, max and sum", list(self.years))
        if self.discount is not None and self.take != "sum":
            raise refusal("only a sum is discounted", "take: sum", self.take)
        if sum(one is not None for one in (self.loss_in, self.percent_of, self.minus)) > 1:
            raise refusal("compares in two ways", "one of loss_in, percent_of and minus")
        return self

    @property
    def span(self) -> range:
        """The years, or the years since the shock."""
        return range(self.years[0], self.years[-1] + 1)


class Threshold(Strict):
    """What a metric has to meet."""

    metric: Text
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Threshold:
        if (self.at_least is None) == (self.at_most is None):
            raise refusal("a threshold needs one side", "either at_least or at_most")
        return self

    def met(self, values: Array) -> NDArray[np.bool_]:
        """Return where `values` meet the threshold; NaN does not."""
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        with np.errstate(invalid="ignore"):
            return np.asarray((values >= low) & (values <= high))

    def told(self) -> str:
        """Return the threshold in words."""
        if self.at_least is not None:
            return f"{self.metric} at least {self.at_least:g}"
        return f"{self.metric} at most {self.at_most:g}"


def _standard() -> dict[str, Metric]:
    window = (_FIRST, _LAST)

    def cost(variable: str) -> Metric:
        return Metric(of=variable, better="less", take="sum", years=window, discount=_DISCOUNT)

    return {
        "index 2035": Metric(of=INDEX, better="more"),
        "lowest index": Metric(of=INDEX, better="more", take="min", years=window),
        "lowest index against 2019": Metric(of=INDEX, better="more", take="min", years=window,
                                            minus=_BASE),
        "GRP 2035": Metric(of="real GRP index", better="more", percent_of=_BASE),
        "employment 2035": Metric(of="employed", better="more", percent_of=_BASE),
        "poverty 2035": Metric(of="poverty rate", better="less"),
        "own revenue 2035": Metric(of="own budget revenue", better="more"),
        "debt 2035": Metric(of="regional state debt", better="less"),
        "coal exposure 2035": Metric(of="coal share of GRP", better="less"),
        "loss in a crisis": Metric(of="real GRP index", better="less", take="sum", years=(0, 4),
                                   loss_in=CRISIS),
        "deepest loss in a crisis": Metric(of="real GRP index", better="less", take="max",
                                           years=(0, 4), loss_in=CRISIS),
        "regional cost": cost(REGIONAL_COST),
        "federal cost": cost(FEDERAL_COST),
        "company cost": cost(COMPANY_COST),
    }


# Always at hand; a plan may define further ones.
STANDARD: Mapping[str, Metric] = _standard()


def metric_value(
    metric: Metric, annual: Mapping[str, Array], years: Array,
    shocked: Mapping[str, Mapping[str, Array]], starts: Mapping[str, int],
) -> Array:
    """Return the value of a metric, (run,).

    Parameters
    ----------
    metric : Metric
    annual : mapping of str to ndarray (year, run)
        Annual values without a shock.
    years : ndarray (year,)
    shocked : mapping of str to mapping
        The same under each shock that a metric asks for.
    starts : mapping of str to int
        The year in which each shock begins.
    """
    own = annual[metric.of]
    first = starts[metric.loss_in] if metric.loss_in is not None else 0
    place = np.searchsorted(years, np.asarray(metric.span, dtype=float) + first)
    rows = own[place]
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric.loss_in is not None:
            rows = 100.0 * (rows - shocked[metric.loss_in][metric.of][place]) / np.abs(rows)
        if metric.percent_of is not None:
            rows = 100.0 * rows / own[int(np.searchsorted(years, metric.percent_of))]
    if metric.minus is not None:
        rows = rows - own[int(np.searchsorted(years, metric.minus))]
    if metric.discount is not None:
        rows = rows * ((1.0 + metric.discount) ** -np.arange(len(rows)))[:, None]
    return _TAKES[metric.take](rows)


def _total(rows: Array) -> Array:
    # Row by row: numpy's own sum takes another order for one run than for many.
    total = np.zeros(rows.shape[1:])
    for row in rows:
        total = total + row
    return total


_TAKES: Mapping[str, Callable[[Array], Array]] = {
    "at": lambda rows: np.asarray(rows[0]),
    "mean": lambda rows: np.asarray(_total(rows) / len(rows)),
    "min": lambda rows: np.asarray(rows.min(axis=0)),
    "max": lambda rows: np.asarray(rows.max(axis=0)),
    "sum": _total,
}


def metric_unit(metric: Metric, unit: str) -> str:
    """Return the unit of a metric of a variable in `unit`."""
    if metric.loss_in is not None:
        unit = "%"
    elif metric.percent_of is not None:
        unit = f"% of {metric.percent_of}"
    if metric.take != "sum":
        return unit
    return unit.removesuffix("/year") if unit.endswith("/year") else f"{unit}*year"


def oriented(metric: Metric, values: Array) -> Array:
    """Return `values` so that more is better."""
    return values if metric.better == "more" else -values


def find_metrics(
    names: Sequence[str], defined: Mapping[str, Metric], key: str = "metrics"
) -> dict[str, Metric]:
    """Return metrics by name, of the plan and of the standard ones.

    Raises
    ------
    InputError
        A name is unknown or stands twice.
    """
    known = {**STANDARD, **defined}
    found: dict[str, Metric] = {}
    for name in names:
        if name not in known:
            raise InputError("unknown metric", key=key, value=name,
                             allowed=", ".join(nearest(name, known) or known))
        if name in found:
            raise InputError("a metric stands twice", key=key, value=name)
        found[name] = known[name]
    return found


def contradiction(
    thresholds: Sequence[Threshold], metrics: Mapping[str, Metric]
) -> tuple[Threshold, Threshold] | None:
    """Return two thresholds that no run can meet together, or ``None``.

    A lower bound on a metric and a smaller upper bound on one that is never below it contradict
    each other: on the same metric, or on the same variable where a minimum over years stands
    against a value in these years, or a value against a maximum.
    """
    for low in thresholds:
        for high in thresholds:
            if low.at_least is None or high.at_most is None or low.at_least <= high.at_most:
                continue
            if low.metric == high.metric or _never_above(metrics[low.metric],
                                                         metrics[high.metric]):
                return low, high
    return None


def _never_above(one: Metric, other: Metric) -> bool:
    """Tell whether `one` cannot be above `other`, whatever the run."""
    same = ("of", "percent_of", "minus", "loss_in", "discount")
    if any(getattr(one, name) != getattr(other, name) for name in same):
        return False
    mine, theirs = set(one.span), set(other.span)
    if one.take == other.take and mine == theirs:
        return True
    if one.take == "min":
        return (other.take in ("at", "mean", "min") and theirs <= mine) or (
            other.take == "max" and bool(mine & theirs))
    return other.take == "max" and one.take in ("at", "mean", "max") and mine <= theirs
