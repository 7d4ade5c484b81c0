"""How a shock shows in every variable: measures of the difference between two runs.

Notation: y_b is the base run, y_s the shocked run, D = y_s - y_b, and d = D / y_b, or D over the
mean magnitude of y_b where the base is zero or changes its sign.  Times are in the time unit of
the model; a lag counts from the start of the shock.  Resistance and recoverability follow Martin,
Sunley, Gardiner and Tyler (2016) with the base run as the expectation; the loss area is the
resilience triangle of Bruneau et al. (2003), normalised as in Cimellaro et al. (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from kuzbass.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["THRESHOLDS", "Cascade", "asymmetry", "cascade", "half_life", "loss", "measures",
           "multiplier", "nonlinearity", "onset", "overshoot", "peak", "persistence", "recovery",
           "relative", "resistance"]

THRESHOLDS = (0.01, 0.05, 0.10)
_TAIL = 0.2  # share of the horizon over which persistence is measured
_FLAT = 0.01  # a base that moves less than this share of its level is no yardstick


def relative(base: Array, shocked: Array) -> Array:
    """Return d, shape (t,); NaN throughout if the base is zero throughout."""
    change = shocked - base
    if (base > 0.0).all() or (base < 0.0).all():
        result: Array = change / np.abs(base)
        return result
    scale = float(np.abs(base).mean())
    return change / scale if scale > 0.0 else np.full(len(base), np.nan)


def onset(lag: Array, share: Array, threshold: float) -> float:
    """Return the first lag at which d exceeds a threshold in magnitude, NaN if it never does."""
    beyond = np.flatnonzero(np.abs(share) > threshold)
    return float(lag[beyond[0]]) if len(beyond) else float("nan")


def peak(lag: Array, change: Array) -> tuple[float, float]:
    """Return the change of largest magnitude and its lag; (0, NaN) without a change."""
    if not change.any():
        return 0.0, float("nan")
    top = int(np.abs(change).argmax())
    return float(change[top]), float(lag[top])


def half_life(lag: Array, change: Array) -> float:
    """Return the time from the peak until half of it is left, NaN if that does not come."""
    top = int(np.abs(change).argmax())
    fallen = np.flatnonzero(np.abs(change[top:]) <= 0.5 * abs(change[top]))
    return float(lag[top + fallen[0]] - lag[top]) if change.any() and len(fallen) else float("nan")


def recovery(
    lag: Array, change: Array, *, share: float = 0.05, hold: float = 1.0
) -> tuple[float, bool]:
    """Return the lag at which a variable is back, and whether the run ends before.

    It is back where, after the peak, the change stays within `share` of the peak for `hold`.

    Returns
    -------
    tuple of (float, bool)
        NaN and True if the run ends first (censored); (0, False) without a change.
    """
    if not change.any():
        return 0.0, False
    top = int(np.abs(change).argmax())
    away = np.abs(change) > share * abs(change[top])
    for start in range(top + 1, len(lag)):
        if lag[start] + hold > lag[-1]:
            break
        if not away[start:][lag[start:] <= lag[start] + hold].any():
            return float(lag[start]), False
    return float("nan"), True


def overshoot(change: Array) -> float:
    """Return the largest change of the other sign after the peak, as a share of the peak."""
    if not change.any():
        return 0.0
    top = int(np.abs(change).argmax())
    return float(max(0.0, (-np.sign(change[top]) * change[top:]).max()) / abs(change[top]))


def persistence(change: Array) -> float:
    """Return the mean change over the last fifth of the horizon as a share of the peak."""
    if not change.any():
        return 0.0
    tail = max(1, round(_TAIL * len(change)))
    return float(change[-tail:].mean() / change[int(np.abs(change).argmax())])


def multiplier(effect: Array, cause: Array) -> float:
    """Return the sum of the effect over that of the cause (cumulative multiplier)."""
    total = float(cause.sum())
    return float(effect.sum()) / total if total != 0.0 else float("nan")


def loss(lag: Array, base: Array, shocked: Array) -> dict[str, float]:
    """Return the resilience triangle of a variable.

    Returns
    -------
    dict of str to float
        ``loss_area`` (percent times time, gains not counted), ``robustness`` (lowest quality in
        percent of the base), ``rapidity`` (percent regained per time, from the trough until the
        quality is 99 % of the base or the run ends) and ``resilience`` (mean quality, 0 to 1).
        All NaN where the base is not positive.
    """
    names = ("loss_area", "robustness", "rapidity", "resilience")
    if not (base > 0.0).all():
        return dict.fromkeys(names, float("nan"))
    quality = np.minimum(100.0, 100.0 * shocked / base)
    trough = int(quality.argmin())
    back = np.flatnonzero(quality[trough:] >= 99.0)
    end = trough + int(back[0]) if len(back) else len(lag) - 1
    rise = (quality[end] - quality[trough]) / (lag[end] - lag[trough]) if end > trough else np.nan
    span = float(lag[-1] - lag[0])
    return dict(zip(names, (
        float(np.trapezoid(100.0 - quality, lag)), float(quality[trough]), float(rise),
        float(np.trapezoid(quality, lag)) / (100.0 * span) if span else float("nan"),
    ), strict=True))


def resistance(
    lag: Array, base: Array, shocked: Array, trough: float
) -> tuple[float, float, str]:
    """Return resistance up to the trough, recoverability after it, and what they compare with.

    (change of the shocked run less change of the base run) over the magnitude of the latter,
    from the start to `trough` and from there to the end.  Both begin at the base's level, for
    what is no stock may have jumped at the start.  Where the base hardly moves, its level at the
    start takes the place of its change.

    Parameters
    ----------
    lag, base, shocked : array, shape (t,)
    trough : float
        Lag that parts contraction and recovery; the same one for all variables that are to be
        compared.

    Returns
    -------
    tuple of (float, float, {"base change", "level"})
    """
    middle = int(np.abs(lag - trough).argmin())
    level = abs(float(base[0]))
    spans = ((0, middle), (middle, len(lag) - 1))
    expected = [float(base[end] - base[start]) for start, end in spans]
    basis = "base change" if all(abs(one) > _FLAT * level for one in expected) else "level"
    found = []
    before = float(base[0])
    for (start, end), change in zip(spans, expected, strict=True):
        scale = abs(change) if basis == "base change" else level
        gap = float(shocked[end]) - before - change
        before = float(shocked[end])
        found.append(gap / scale if scale > 0.0 and end > start else float("nan"))
    return found[0], found[1], basis


def nonlinearity(full: Array, half: Array) -> float:
    """Return max abs(d(1) - 2 d(1/2)) over max abs(d(1)): zero if the response is linear."""
    size = float(np.abs(full).max())
    return float(np.abs(full - 2.0 * half).max()) / size if size > 0.0 else float("nan")


def asymmetry(down: Array, up: Array) -> float:
    """Return max abs(d(-) + d(+)) over max abs(d(-)): zero if the sign just turns it over."""
    size = float(np.abs(down).max())
    return float(np.abs(down + up).max()) / size if size > 0.0 else float("nan")


def measures(
    base: pd.DataFrame, shocked: pd.DataFrame, start: float, *, source: str | None = None,
    trough: float | None = None,
) -> pd.DataFrame:
    """Measure the response of every variable.

    Parameters
    ----------
    base, shocked : DataFrame
        Time by variable, the same axes.
    start : float
        Time at which the shock begins.
    source : str, optional
        The variable that was changed, for the multipliers; none if there are several.
    trough : float, optional
        Lag that parts contraction and recovery for all variables; each variable's own peak if
        left out.

    Returns
    -------
    DataFrame
        By variable: ``onset_1``, ``onset_5``, ``onset_10`` (lags at which d exceeds 1, 5 and
        10 % in magnitude), ``peak`` (in the unit), ``peak_share`` (d of largest magnitude),
        ``time_to_peak``, ``half_life``, ``recovery`` and ``censored``, ``overshoot``,
        ``persistence``, ``multiplier`` (units per unit of the source), ``elasticity`` (the same of
        relative changes), ``loss_area``, ``robustness``, ``rapidity``, ``resilience``,
        ``resistance``, ``recoverability``, ``compared_with``.

    Raises
    ------
    InputError
        No time is left after the start.
    """
    after = base.index.to_numpy(float) >= start - 1e-9
    lag = base.index.to_numpy(float)[after] - start
    if len(lag) < 2:
        raise InputError("the run ends before the shock shows", key="start", value=f"{start:g}",
                         allowed=f"before {base.index[-1]:g}")
    cause = None
    if source is not None:
        before, moved = base[source].to_numpy()[after], shocked[source].to_numpy()[after]
        cause = moved - before, relative(before, moved)
    rows = {}
    for name in base.columns:
        rows[name] = _measured(lag, base[name].to_numpy()[after], shocked[name].to_numpy()[after],
                               cause, trough)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variable")


def _measured(
    lag: Array, base: Array, shocked: Array, cause: tuple[Array, Array] | None,
    trough: float | None,
) -> dict[str, object]:
    change, share = shocked - base, relative(base, shocked)
    top, when = peak(lag, change)
    back, censored = recovery(lag, change)
    resisted, recovered, basis = resistance(
        lag, base, shocked, (0.0 if np.isnan(when) else when) if trough is None else trough)
    return {
        **{f"onset_{100 * threshold:.0f}": onset(lag, share, threshold)
           for threshold in THRESHOLDS},
        "peak": top,
        "peak_share": float("nan") if np.isnan(share).all() else peak(lag, share)[0],
        "time_to_peak": when,
        "half_life": half_life(lag, change),
        "recovery": back,
        "censored": censored,
        "overshoot": overshoot(change),
        "persistence": persistence(change),
        "multiplier": float("nan") if cause is None else multiplier(change, cause[0]),
        "elasticity": float("nan") if cause is None else multiplier(share, cause[1]),
        **loss(lag, base, shocked),
        "resistance": resisted,
        "recoverability": recovered,
        "compared_with": basis,
    }


@dataclass(frozen=True)
class Cascade:
    """How the shock falls from variable to variable.

    Attributes
    ----------
    size : DataFrame
        Time by threshold: the share of the variables beyond it.
    depth : int
        Links of the longest chain in which every variable moves later than the one before.
    chain : tuple of str
        That chain.
    dominoes : DataFrame
        Links whose effect moves later and further than the cause: ``cause``, ``effect``,
        ``later`` (time), ``amplification``; the largest amplification first.
    kendall : float
        Rank correlation of onset and delay-weighted distance from the source (tau b).
    """

    size: pd.DataFrame
    depth: int
    chain: tuple[str, ...]
    dominoes: pd.DataFrame
    kendall: float


def cascade(
    shares: pd.DataFrame, table: pd.DataFrame, graph: nx.DiGraph[str], sources: Sequence[str],
    *, column: str = "onset_1",
) -> Cascade:
    """Order the variables by onset along the causal graph.

    Parameters
    ----------
    shares : DataFrame
        Time by variable: d.
    table : DataFrame
        From `measures`, for the same variables.
    graph : networkx.DiGraph
        From `kuzbass.sd.loops.causal_graph`; nodes know their ``delay``.
    sources : sequence of str
        What was changed.
    column : str
        Which onset counts.
    """
    size = pd.DataFrame({threshold: (shares.abs() > threshold).mean(axis=1)
                         for threshold in THRESHOLDS})
    moved = {str(name): float(lag) for name, lag in table[column].dropna().items()}
    depth_of = table["peak_share"].abs()
    later = [(cause, effect, moved[effect] - moved[cause]) for cause, effect in graph.edges
             if cause in moved and effect in moved and moved[effect] > moved[cause]]
    chains: nx.DiGraph[str] = nx.DiGraph((cause, effect) for cause, effect, _ in later)
    chain = tuple(nx.dag_longest_path(chains)) if later else ()
    rows = [(cause, effect, gap, depth_of[effect] / depth_of[cause]) for cause, effect, gap
            in later if depth_of[cause] > 0.0]
    dominoes = pd.DataFrame(rows, columns=["cause", "effect", "later", "amplification"])
    dominoes = dominoes[dominoes["amplification"] > 1.0].sort_values(
        "amplification", ascending=False, kind="stable").reset_index(drop=True)
    distance = _distances(graph, sources)
    both = [name for name in moved if name in distance and name not in sources]
    tau = kendalltau([moved[name] for name in both], [distance[name] for name in both])[0] if (
        len(both) > 2) else float("nan")
    return Cascade(size, max(0, len(chain) - 1), chain, dominoes, float(tau))


def _distances(graph: nx.DiGraph[str], sources: Sequence[str]) -> dict[str, float]:
    known = [name for name in sources if name in graph]
    # A link without delay still is a link: it orders what moves in the same step.
    return dict(nx.multi_source_dijkstra_path_length(
        graph, known, weight=lambda _cause, effect, _link: 1e-3 + graph.nodes[effect]["delay"])
    ) if known else {}
