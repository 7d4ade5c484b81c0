"""Global sensitivity by SALib: elementary effects, and shares of variance with intervals.

Sources: Morris (1991), Campolongo, Cariboni and Saltelli (2007); Saltelli et al. (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from SALib.analyze import morris as morris_analysis
from SALib.analyze import sobol as sobol_analysis
from SALib.sample import morris as morris_sample
from SALib.sample import sobol as sobol_sample
from scipy.stats import ks_2samp, spearmanr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["mode_scores", "morris_effects", "morris_points", "pattern_measures", "pattern_scores",
           "sobol_indices", "sobol_points", "survivors", "weighted"]

_LEAST_MODE = 20  # runs that a mode needs to be told apart
_CLOSING = 5  # years whose trend ends a path


def morris_points(names: Sequence[str], trajectories: int, levels: int, seed: int) -> Array:
    """Return points of the unit cube, (trajectory * (factor + 1), factor)."""
    return np.asarray(morris_sample.sample(_problem(names), trajectories, num_levels=levels,
                                           seed=seed))


def morris_effects(
    names: Sequence[str], points: Array, values: Array, levels: int, seed: int
) -> pd.DataFrame:
    """Return ``mu``, ``mu_star``, ``mu_star_conf`` (95 %) and ``sigma`` of every factor.

    Trajectories in which a run failed are left out.
    """
    kept = _whole(values, len(names) + 1)
    result: Any = morris_analysis.analyze(_problem(names), points[kept], values[kept],
                                          num_levels=levels, seed=seed)
    columns = ("mu", "mu_star", "mu_star_conf", "sigma")
    return pd.DataFrame({"factor": list(names),
                         **{name: np.asarray(result[name], dtype=float) for name in columns}})


def survivors(effects: pd.DataFrame, keep: float, most: int) -> list[str]:
    """Return the factors that matter in any output, the strongest first.

    Parameters
    ----------
    effects : DataFrame
        Output, factor, mu_star.
    keep : float
        Share of the largest mu* of an output that a factor needs.
    most : int
        Factors at most.
    """
    largest = effects.groupby("output")["mu_star"].transform("max")
    share = (effects["mu_star"] / largest.where(largest > 0.0)).fillna(0.0)
    strength = share.groupby(effects["factor"]).max()
    strong = strength[strength > keep].sort_values(ascending=False, kind="stable")
    return [str(name) for name in strong.index[:most]]


def sobol_points(names: Sequence[str], base: int, seed: int) -> Array:
    """Return points of the unit cube, (base * (factor + 2), factor).

    The points of a larger base begin with those of a smaller one.
    """
    return np.asarray(sobol_sample.sample(_problem(names), base, calc_second_order=False,
                                          scramble=True, seed=seed))


def sobol_indices(
    names: Sequence[str], values: Array, resamples: int, seed: int
) -> pd.DataFrame:
    """Return ``S1``, ``ST`` and half widths of their 95 % intervals; NaN if nothing varies.

    Points of the base sample with a run that failed are left out.
    """
    kept = values[_whole(values, len(names) + 2)]
    columns = ("S1", "S1_conf", "ST", "ST_conf")
    if np.ptp(kept) == 0.0:
        return pd.DataFrame({"factor": list(names), **dict.fromkeys(columns, np.nan)})
    result: Any = sobol_analysis.analyze(_problem(names), kept, calc_second_order=False,
                                         num_resamples=resamples, seed=seed)
    return pd.DataFrame({"factor": list(names),
                         **{name: np.asarray(result[name], dtype=float) for name in columns}})


def weighted(indices: pd.DataFrame) -> pd.DataFrame:
    """Return the means over years weighted by variance, per output and factor.

    The interval is the same mean of the intervals of the years, which is exact if the years go
    wholly together, and too wide otherwise.
    """
    columns = ["S1", "S1_conf", "ST", "ST_conf"]
    known = indices.dropna(subset=columns)
    parts = known[columns].mul(known["variance"], axis=0)
    keys = [known["output"], known["factor"]]
    sums = parts.groupby(keys, sort=False).sum()
    return sums.div(known["variance"].groupby(keys, sort=False).sum(), axis=0).reset_index()


def pattern_measures(paths: Array, years: Array) -> dict[str, Array]:
    """Return measures of paths (year, run): the lowest value and its year, the closing trend.

    Returns
    -------
    dict
        ``lowest``, ``year of the lowest``, ``closing trend`` (per year, of the last five years),
        ``spread`` (highest less lowest), (run,) each.
    """
    last = slice(-_CLOSING, None)
    trend = np.polyfit(years[last], paths[last], 1)[0]
    return {"lowest": paths.min(axis=0), "year of the lowest": years[paths.argmin(axis=0)],
            "closing trend": trend, "spread": np.ptp(paths, axis=0)}


def mode_scores(
    names: Sequence[str], points: Array, modes: Sequence[str]
) -> pd.DataFrame:
    """Return how well each factor tells a mode from the others, with the share of the mode.

    The score is the largest distance between the distributions of the factor in the mode and
    outside of it (Kolmogorov and Smirnov; regional sensitivity analysis, Hornberger and Spear
    1981), with its p-value.
    """
    labels, rows = np.array(modes), []
    for mode in sorted(set(modes)):
        inside = labels == mode
        enough = min(inside.sum(), (~inside).sum()) >= _LEAST_MODE
        for place, name in enumerate(names):
            test: Any = ks_2samp(points[inside, place], points[~inside, place]) if enough else None
            rows.append((mode, float(inside.mean()), name,
                         float(test.statistic) if test else np.nan,
                         float(test.pvalue) if test else np.nan))
    return pd.DataFrame(rows, columns=["mode", "share", "factor", "score", "p"])


def pattern_scores(
    names: Sequence[str], points: Array, modes: Sequence[str], measures: dict[str, Array]
) -> pd.DataFrame:
    """Return Spearman's rank correlation of factors and measures within each mode.

    Within a mode a measure means the same in every run (Hekimoglu and Barlas 2010, 2016).
    """
    labels, rows = np.array(modes), []
    for mode in sorted(set(modes)):
        inside = labels == mode
        if inside.sum() < _LEAST_MODE:
            continue
        for measure, values in measures.items():
            own = values[inside]
            for place, name in enumerate(names):
                rank: Any = spearmanr(points[inside, place], own) if np.ptp(own) > 0.0 else None
                rows.append((mode, measure, name, int(inside.sum()),
                             float(rank.statistic) if rank else np.nan))
    return pd.DataFrame(rows, columns=["mode", "measure", "factor", "runs", "rank_correlation"])


def _problem(names: Sequence[str]) -> dict[str, Any]:
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


def _whole(values: Array, block: int) -> NDArray[np.bool_]:
    """Return which values belong to blocks without a failed run, (run,)."""
    good = np.isfinite(values.reshape(-1, block)).all(axis=1)
    return np.repeat(good, block)
