"""The index over coal output and price: both are outcomes, only demand and prices are moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.experiments.lab.attain_plan import SurfaceAxis, SurfacePlan
from kuzbass.experiments.lab.years import scored_years
from kuzbass.experiments.score import observed_index
from kuzbass.experiments.scored_years import INDEX
from kuzbass.region.data import read_table
from kuzbass.region.resolve import ModelInterface, resolve
from kuzbass.region.scenario import FIRST_YEAR, load_scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.mdl import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Surface", "response_surface"]

OUTPUT, PRICE = "coal output", "world thermal price"
_OPENING = 5.0  # years from 2025 until a factor is full
_LAST = 3  # years at the end whose mean is taken
_PRICE_SERIES = "price_thermal_newcastle_fob"
_LONG_RUN = ((2000, 2021), (2010, 2024))  # what "long-run" may mean; the paper gives no years
_POINTS = 25


@dataclass(frozen=True)
class Surface:
    """The index in the last years of runs over the outputs and prices of the same years.

    Attributes
    ----------
    scenario : str
    years : tuple of int
        First and last year of the means.
    demand, price : ndarray (price, demand)
        Factors on the paths.
    output, thermal, index : ndarray (price, demand)
        Mean coal output (Mt/year), world price of thermal coal (USD/t) and index; NaN where a run
        did not stay finite.
    claims : DataFrame
        The paper's two claims: text, ``low`` and ``high`` (Mt/year), ``bar`` (index points), and
        for every reading of the long-run price: ``years``, ``price``, and the ``lowest`` and
        ``highest`` index between low and high, ``seen`` (share of that stretch that runs reach),
        ``share`` (of what is seen at or above the bar), ``verdict``.
    """

    scenario: str
    years: tuple[int, int]
    demand: Array
    price: Array
    output: Array
    thermal: Array
    index: Array
    claims: pd.DataFrame

    def at(self, output: Array, price: float) -> Array:
        """Return the index at some outputs, linear between runs; NaN outside of what was run.

        All runs of a row have the same price.  Between two rows, output and index are first
        taken at equal factors of demand; along that line the index is read at an output.
        """
        prices = self.thermal[:, 0]
        above = int(np.searchsorted(prices, price))
        if not 0 < above < len(prices):
            return np.full(len(output), np.nan)
        share = (price - prices[above - 1]) / (prices[above] - prices[above - 1])
        x, y = (one[above - 1] + share * (one[above] - one[above - 1])
                for one in (self.output, self.index))
        known = np.isfinite(x) & np.isfinite(y)
        order = np.argsort(x[known], kind="stable")
        if not len(order):
            return np.full(len(output), np.nan)
        return np.asarray(np.interp(output, x[known][order], y[known][order], left=np.nan,
                                    right=np.nan))

    def table(self) -> pd.DataFrame:
        """Return one row per run."""
        return pd.DataFrame({
            "demand_factor": self.demand.ravel(), "price_factor": self.price.ravel(),
            "coal_output": self.output.ravel(), "thermal_price": self.thermal.ravel(),
            "index": self.index.ravel()})


def response_surface(
    plan: SurfacePlan, file: Path, model: Model, interface: ModelInterface
) -> Surface:
    """Run demand factors times price factors and hold the claims of the paper against them.

    Raises
    ------
    InputError
        A driver that the model does not have.
    """
    scenario = load_scenario(plan.scenario)
    resolved = resolve(scenario, interface)
    inputs: dict[str, Any] = {
        name: value.to_numpy(float)[None, :] if isinstance(value, pd.Series) else value
        for name, value in resolved.items()}
    grid = interface.grid
    share = sd.opening(grid, FIRST_YEAR, _OPENING)
    demand, price = (factors.ravel() for factors in np.meshgrid(
        np.linspace(*plan.demand.factor, plan.demand.steps),
        np.linspace(*plan.price.factor, plan.price.steps)))
    for axis, factors in ((plan.demand, demand), (plan.price, price)):
        for name in _names(axis, file, interface):
            setting = interface.drivers[name]
            assert setting.table is not None  # a driver has one
            path = inputs.get(name, np.interp(
                grid, setting.table.index.to_numpy(float), setting.table.to_numpy(float))[None, :])
            moved = path * (1.0 + np.outer(factors - 1.0, share))
            inputs[name] = np.clip(moved, setting.lower, setting.upper)
    reduction = scored_years(model, (OUTPUT, PRICE), grid)
    kernel = compile_model(
        model, vary=inputs.keys(), outputs=reduction.outputs, save_every=None,
        moving={name for name, value in resolved.items()
                if isinstance(value, pd.Series) and name not in interface.drivers},
        final_time=interface.end)
    result = kernel.run(inputs, n=len(demand), trace=False)
    with np.errstate(all="ignore"):  # runs that are not finite are taken out below
        annual = reduction.reduce(result.values, {})
    place = {one.name: number for number, one in enumerate(reduction.series)}
    output, thermal, index = (annual[-_LAST:, place[name]].mean(axis=0)
                              for name in (OUTPUT, PRICE, INDEX))
    bad = [one.member for one in result.nonfinite]
    output[bad] = index[bad] = np.nan
    shape = (plan.price.steps, plan.demand.steps)
    years = (int(reduction.time[-_LAST]), int(reduction.time[-1]))
    surface = Surface(scenario.name, years, demand.reshape(shape), price.reshape(shape),
                      output.reshape(shape), thermal.reshape(shape), index.reshape(shape),
                      pd.DataFrame())
    return replace(surface, claims=_claims(surface))


def _names(axis: SurfaceAxis, file: Path, interface: ModelInterface) -> list[str]:
    plain = {plain_name(name): name for name in interface.drivers}
    for given in axis.drivers:
        if plain_name(given) not in plain:
            raise InputError("not one of the drivers", file=file, key="surface", value=given,
                             allowed="for example " + ", ".join(
                                 nearest(given, interface.drivers) or sorted(plain)[:3]))
    return [plain[plain_name(given)] for given in axis.drivers]


def _claims(surface: Surface) -> pd.DataFrame:
    published = read_table("index_published.csv").set_index("item")["note"]
    reached = float(observed_index()["index"].loc[2021])
    drivers = read_table("drivers.csv")
    prices = drivers[drivers["series"] == _PRICE_SERIES].set_index("year")["value"].astype(float)
    rows: list[Mapping[str, object]] = []
    for item, bar in (("resilience holds from", reached), ("still positive at", 0.0)):
        low, high = (float(part) for part in str(published[item]).split(" ")[0].split("-"))
        for first, last in _LONG_RUN:
            price = float(prices.loc[first:last].mean())
            index = surface.at(np.linspace(low, high, _POINTS), price)
            known = index[np.isfinite(index)]
            share = float((known >= bar).mean()) if len(known) else float("nan")
            seen = len(known) / len(index)
            rows.append({
                "claim": item, "low": low, "high": high, "bar": bar, "years": f"{first}-{last}",
                "price": price, "lowest": float(known.min()) if len(known) else np.nan,
                "highest": float(known.max()) if len(known) else np.nan,
                "share": share, "seen": seen,
                "verdict": _verdict(share, seen)})
    return pd.DataFrame(rows)


def _verdict(share: float, seen: float) -> str:
    if seen == 0.0:
        return "no run reaches it"
    told = "holds" if share == 1.0 else "fails" if share == 0.0 else "holds in part"
    return told if seen == 1.0 else f"{told}, where runs reach it"
