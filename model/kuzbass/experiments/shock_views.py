"""The views on a shock: links and stations by accounting and cutting, sectors, sweep, network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import kendalltau

from kuzbass.errors import InputError
from kuzbass.region.data import read_table
from kuzbass.region.resolve import Input, ModelInterface
from kuzbass.region.shocks import Moved
from kuzbass.sd.attribution import Attribution, Difference, attribute, owners
from kuzbass.sd.cutting import Cut, Cuts, cut_responses, loop_cut
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model
from kuzbass.sd.pathways import Meter, Pathways, net_links
from kuzbass.sd.shock import asymmetry, nonlinearity, relative

__all__ = ["HEADLINES", "both_views", "frame_of", "groups_of", "loop_cuts", "network", "sectors",
           "stations", "sweep"]

# One variable that stands for each sector of the model.
HEADLINES: Mapping[str, str] = {
    "Coal market and transport": "coal exports",
    "Coal mining": "coal output",
    "Coal finance": "coal revenue",
    "Coal chains": "chain output",
    "Foreign trade": "exports",
    "Regional budget": "own budget revenue",
    "Investment and fixed assets": "real fixed investment",
    "Diversified economy": "diversified output",
    "Output and prices": "real GRP index",
    "Households and labour": "real money income index",
    "Innovation": "research spending",
}
_SIZES = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
_LINKS, _SHOWN_PATHS, _FRAMES = 16, 12, 33
_FRAME = 0.25  # years between two frames of the network


def frame_of(run: xr.Dataset) -> pd.DataFrame:
    """Return a run as a table, time by variable."""
    names = [str(name) for name in run.data_vars]
    # `variables` of a data set is its light view.
    return pd.DataFrame(np.array([run.variables[name].to_numpy() for name in names]).T,
                        index=pd.Index(run["time"].to_numpy(), name="time"), columns=names)


def both_views(
    diff: Difference, result: Attribution, weights: np.ndarray, metered: Sequence[Meter]
) -> tuple[pd.DataFrame, float]:
    """Return the strongest links by accounting and by cutting, and how well the ranks agree."""
    flows = net_links(diff, result, metered)
    top = sorted(flows, key=lambda edge: -abs(flows[edge].sum()))[:_LINKS]
    inner = {(meter.cause, meter.effect): meter.parts for meter in metered}
    owner = owners(diff.shocked)
    cuts = [Cut(f"{cause} -> {effect}",
                links=_cut_links(diff, cause, effect, inner.get((cause, effect), ()), owner))
            for cause, effect in top]
    table = cut_responses(diff, cuts, result.target, weights, pairs=False).table
    links = pd.DataFrame({
        "cause": [cause for cause, _ in top], "effect": [effect for _, effect in top],
        "share": [float(flows[edge].sum()) for edge in top], "lost": table["lost"]})
    for column in ("share", "lost"):
        links[f"rank_{column}"] = links[column].abs().rank(ascending=False).astype(int)
    tau = kendalltau(links["share"].abs(), links["lost"].abs())[0] if len(links) > 1 else np.nan
    return links, float(tau)


def _cut_links(
    diff: Difference, cause: str, effect: str, parts: Sequence[str], owner: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    readers = dict.fromkeys(owner.get(name, name) for name in (effect, *parts))
    known = {(owner.get(one, one), owner.get(other, other)) for one, other in diff.parts}
    return tuple((cause, reader) for reader in readers if (cause, reader) in known)


def stations(
    model: Model, diff: Difference, result: Attribution, weights: np.ndarray
) -> pd.DataFrame:
    """Return the headline variables by what passed through them and what a hold would lose."""
    names = [name for name in HEADLINES.values()
             if name in model.variables and name in diff.delta and name != result.target]
    cuts = [Cut(name, variables=(name,)) for name in names]
    table = cut_responses(diff, cuts, result.target, weights, pairs=False).table
    passed = [float(result.weights[name] @ diff.delta[name]) / result.response for name in names]
    return pd.DataFrame({"variable": names, "share": passed, "lost": table["lost"]})


def loop_cuts(diff: Difference, target: str, weights: np.ndarray) -> Cuts:
    """Return the response with each named loop cut, and with each pair of them."""
    paths = {str(row["loop"]): str(row["path"]).split(" -> ")
             for _, row in read_table("loops.csv").iterrows()}
    return cut_responses(diff, [loop_cut(name, path, paths) for name, path in paths.items()],
                         target, weights)


def sweep(
    model: Model, interface: ModelInterface, moved: Moved, base: pd.DataFrame,
    shares: pd.DataFrame, until: int, shown: Sequence[str],
) -> tuple[pd.DataFrame, list[str], pd.DataFrame]:
    """Return the sweep of the `shown` variables, notes, and the oddities of all variables."""
    later = base.index.to_numpy() >= moved.start
    lag = shares.index.to_numpy(float) - moved.start
    runs: dict[float, pd.DataFrame] = {}
    notes = []
    for size in _SIZES:
        if size == 1.0:
            runs[size] = shares
            continue
        try:
            inputs: Mapping[str, Input] = moved.scaled(size, interface)
        except InputError as error:
            notes.append(f"Size {size:g} is left out: {error}")
            continue
        run = frame_of(simulate(model, inputs, final_time=until + 1.0))
        runs[size] = pd.DataFrame(
            {name: relative(base[name].to_numpy()[later], run[name].to_numpy()[later])
             for name in base}, index=shares.index)
    rows = []
    for size, run_shares in runs.items():
        for name in dict.fromkeys(shown):
            path = run_shares[name].to_numpy()
            top = int(np.abs(path).argmax())
            rows.append((size, name, path[top], float(lag[top]),
                         100.0 * float(np.trapezoid(np.maximum(0.0, -path), lag))))
    table = pd.DataFrame(rows, columns=["size", "variable", "peak_share", "time_to_peak",
                                        "loss_area"])
    odd = pd.DataFrame({
        name: {"nonlinearity": _between(runs, name, 1.0, 0.5, nonlinearity),
               "asymmetry": _between(runs, name, 1.0, -1.0, asymmetry)}
        for name in map(str, base.columns)}).T
    return table, notes, odd


def _between(
    runs: Mapping[float, pd.DataFrame], name: str, one: float, other: float,
    measure: Callable[[np.ndarray, np.ndarray], float],
) -> float:
    if one not in runs or other not in runs:
        return float("nan")
    return measure(runs[one][name].to_numpy(), runs[other][name].to_numpy())


def sectors(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sector, the first to move first."""
    rows = []
    for sector, headline in HEADLINES.items():
        own = table[table["group"] == sector]
        if headline not in table.index:
            continue
        onsets = own["onset_1"].dropna()
        rows.append({
            "sector": sector, "variable": headline, "variables": len(own), "moved": len(onsets),
            "first": onsets.idxmin() if len(onsets) else "",
            "first_onset": onsets.min() if len(onsets) else np.nan,
            **table.loc[headline].drop(["unit", "group"]).to_dict()})
    frame = pd.DataFrame(rows).set_index("sector")
    losses = frame["loss_area"].fillna(0.0)
    frame["share_of_loss"] = losses / losses.sum() if losses.sum() > 0.0 else np.nan
    return frame.sort_values(["onset_1", "first_onset"], kind="stable")


def groups_of(model: Model, diff: Difference) -> dict[str, str]:
    """Return the group of every variable of the expanded model."""
    groups = {name: variable.group for name, variable in model.variables.items()}
    for name in diff.shocked.nodes:
        if name not in groups:
            # A smooth inside of an equation belongs where the equation stands.
            groups[name] = groups.get(name.partition(" in ")[2], "")
    return groups


def network(
    diff: Difference, target: str, found: Pathways, metered: Sequence[Meter]
) -> pd.DataFrame:
    """Return what the links of the strongest paths carry over time."""
    edges: dict[tuple[str, str], None] = {}
    for path in found.paths[:_SHOWN_PATHS]:
        edges.update(dict.fromkeys(zip(path.variables, path.variables[1:], strict=False)))
    largest = float(np.abs(diff.delta[target]).max())
    start = float(diff.time[diff.first])
    rows = []
    for frame in range(1, _FRAMES):
        moment = start + _FRAME * frame
        if moment > diff.time[-1]:
            break
        step = int(np.abs(diff.time - moment).argmin())
        now = float(diff.delta[target][step])
        flows = net_links(diff, attribute(diff, target, moment), metered) if now != 0.0 else {}
        rows += [(moment, *edge, float(flows[edge].sum()) * now / largest if edge in flows
                  else 0.0) for edge in edges]
    return pd.DataFrame(rows, columns=["time", "cause", "effect", "carried"])
