"""Scenario discovery: boxes of the uncertain factors in which a policy fails.

PRIM is that of the EMA Workbench, the tree that of scikit-learn, which comes with it.  Measures
after Bryant and Lempert (2010), Technological Forecasting and Social Change 77, 34-49:

    coverage = cases of interest in the box / all cases of interest
    density  = cases of interest in the box / all cases in the box
    mass     = all cases in the box / all cases
    quasi-p  = one-sided binomial test of a restriction: how likely as many cases of interest
               would be in the box if it added nothing
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.experiments.lab.plan import Boxes

__all__ = ["CASES", "Box", "box_measures", "cart_boxes", "prim_box", "require", "scores"]

CASES = 20  # fewer cases of interest, or others, show no box
_RESAMPLES = 5
_TREES, _LEAF = 200, 5
_ANY = 1e-9  # of two classes, what is above it is a case of interest
_SEED = 0


@dataclass(frozen=True, eq=False)
class Box:
    """A box of factors.

    Attributes
    ----------
    method : {"PRIM", "CART"}
    limits : DataFrame
        One row per restricted factor: ``factor``, ``low``, ``high`` (missing where that side is
        open), ``quasi_p`` and ``reproduced`` (share of the boxes of half the futures that
        restrict it too), both missing for a tree.
    coverage, density, mass : float
    trajectory : DataFrame
        Of PRIM: coverage, density, mass and number of restrictions of every step; ``chosen``.
    """

    method: str
    limits: pd.DataFrame
    coverage: float
    density: float
    mass: float
    trajectory: pd.DataFrame


@lru_cache(maxsize=1)
def require() -> Any:
    """Return the PRIM of the EMA Workbench.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It tells of parts of its own that are not installed and that nobody here needs.
            warnings.simplefilter("ignore")
            return import_module("ema_workbench.analysis.prim")
    except ImportError as error:
        raise InputError("scenario discovery needs the EMA Workbench", key="boxes",
                         value=str(error), allowed="pip install 'kuzbass[lab]'") from error


def box_measures(
    x: pd.DataFrame, y: NDArray[np.bool_], limits: Mapping[str, tuple[float, float]]
) -> tuple[float, float, float]:
    """Return coverage, density and mass of a box.

    Parameters
    ----------
    x : DataFrame
        Factors, one row per future.
    y : ndarray of bool
        The cases of interest.
    limits : mapping of str to (float, float)
        Lowest and highest value of each restricted factor.
    """
    inside = np.ones(len(x), dtype=np.bool_)
    for name, (low, high) in limits.items():
        inside &= x[name].between(low, high).to_numpy()
    cases = int((inside & y).sum())
    return (cases / int(y.sum()), cases / max(int(inside.sum()), 1), float(inside.mean()))


def scores(x: pd.DataFrame, y: NDArray[np.bool_]) -> pd.Series:
    """Return how much each factor tells cases of interest from others, the strongest first.

    Importance in extremely randomised trees (Geurts et al. 2006), which sums to one.

    Parameters
    ----------
    x, y
        As in `box_measures`.
    """
    require()
    forest: Any = import_module("sklearn.ensemble")
    trees = forest.ExtraTreesClassifier(_TREES, min_samples_leaf=_LEAF, random_state=_SEED)
    importance = trees.fit(x.to_numpy(), y).feature_importances_
    return pd.Series(importance, x.columns).sort_values(ascending=False, kind="stable")


def prim_box(x: pd.DataFrame, y: NDArray[np.bool_], settings: Boxes) -> Box:
    """Return the densest box of PRIM that keeps the coverage of the plan.

    Restrictions whose quasi-p is above that of the plan are dropped, the weakest first.

    Parameters
    ----------
    x, y
        As in `box_measures`.
    settings : Boxes
    """
    box = _peeled(x, y, settings)
    steps = box.peeling_trajectory
    enough = steps[steps["coverage"] >= settings.coverage]
    box.select(int(enough.sort_values(["density", "coverage"]).index[-1]))
    while (weak := _weakest(box.qp[box._cur_box])) is not None and weak[1] > settings.quasi_p:
        box.drop_restriction(weak[0])
    place = box._cur_box
    last = box.peeling_trajectory.loc[place]
    again = _reproduced(x, y, settings)
    lims, whole = box.box_lims[place], box.box_lims[0]
    rows = [{"factor": name,
             "low": _restricted(lims[name].iloc[0], whole[name].iloc[0]),
             "high": _restricted(lims[name].iloc[1], whole[name].iloc[1]),
             "quasi_p": _quasi_p(sides), "reproduced": again.get(name, 0.0)}
            for name, sides in box.qp[place].items()]
    columns = ["coverage", "density", "mass", "res_dim"]
    trajectory = box.peeling_trajectory[columns].rename(columns={"res_dim": "restrictions"})
    return Box("PRIM", pd.DataFrame(rows, columns=["factor", "low", "high", "quasi_p",
                                                   "reproduced"]),
               float(last["coverage"]), float(last["density"]), float(last["mass"]),
               trajectory.assign(chosen=trajectory.index == place))


def cart_boxes(x: pd.DataFrame, y: NDArray[np.bool_], settings: Boxes) -> list[Box]:
    """Return the leaves of a classification tree in which most cases are of interest.

    A cross-check of PRIM; the leaf with the largest coverage comes first.

    Parameters
    ----------
    x, y, settings
        As in `prim_box`.
    """
    require()
    tree_of: Any = import_module("sklearn.tree")
    leaf = max(1, int(np.ceil(settings.mass * len(x))))
    tree = tree_of.DecisionTreeClassifier(min_samples_leaf=leaf, random_state=_SEED)
    tree = tree.fit(x.to_numpy(), y).tree_
    boxes = []
    for limits in _leaves(tree, 0, {}):
        named = {str(x.columns[place]): sides for place, sides in limits.items()}
        coverage, density, mass = box_measures(x, y, named)
        if density >= 0.5:
            table = pd.DataFrame([{"factor": name, "low": _finite(low), "high": _finite(high),
                                   "quasi_p": np.nan, "reproduced": np.nan}
                                  for name, (low, high) in named.items()],
                                 columns=["factor", "low", "high", "quasi_p", "reproduced"])
            boxes.append(Box("CART", table, coverage, density, mass, pd.DataFrame()))
    return sorted(boxes, key=lambda one: -one.coverage)


def _peeled(x: pd.DataFrame, y: NDArray[np.bool_], settings: Boxes) -> Any:
    prim = require()
    # Any density passes: the whole trajectory is kept and the box is chosen on its front.
    return prim.Prim(x, y.astype(int), threshold=_ANY, peel_alpha=settings.peel,
                     paste_alpha=settings.peel, mass_min=settings.mass).find_box()


def _weakest(quasi_p: Mapping[str, list[float]]) -> tuple[str, float] | None:
    values = {name: _quasi_p(sides) for name, sides in quasi_p.items()}
    return max(values.items(), key=lambda one: one[1]) if values else None


def _quasi_p(sides: list[float]) -> float:
    """Return the larger quasi-p of the restricted sides; an open side is -1."""
    return float(max(sides))


def _restricted(limit: float, whole: float) -> float:
    return float("nan") if limit == whole else float(limit)


def _finite(limit: float) -> float:
    return float(limit) if np.isfinite(limit) else float("nan")


def _reproduced(x: pd.DataFrame, y: NDArray[np.bool_], settings: Boxes) -> dict[str, float]:
    """Return by factor the share of boxes of random halves, equal in coverage, that restrict it."""
    source = np.random.default_rng(_SEED)
    counts: dict[str, float] = {}
    for _ in range(_RESAMPLES):
        half = source.choice(len(x), len(x) // 2, replace=False)
        if not y[half].any():
            continue
        box = _peeled(x.iloc[half].reset_index(drop=True), y[half], settings)
        steps = box.peeling_trajectory
        enough = steps[steps["coverage"] >= settings.coverage]
        place = int(enough.sort_values(["density", "coverage"]).index[-1])
        for name in box.qp[place]:
            counts[name] = counts.get(name, 0.0) + 1.0 / _RESAMPLES
    return counts


def _leaves(
    tree: Any, node: int, limits: dict[int, tuple[float, float]]
) -> list[dict[int, tuple[float, float]]]:
    """Return the limits of every leaf below a node: factor by place to lowest and highest value."""
    if tree.children_left[node] < 0:
        return [limits]
    factor, cut = int(tree.feature[node]), float(tree.threshold[node])
    low, high = limits.get(factor, (-np.inf, np.inf))
    left = {**limits, factor: (low, min(high, cut))}
    right = {**limits, factor: (max(low, np.nextafter(cut, np.inf)), high)}
    return [*_leaves(tree, int(tree.children_left[node]), left),
            *_leaves(tree, int(tree.children_right[node]), right)]
