"""Annual values and the index of some variables of the model, for searches and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kuzbass.experiments.score import index_family
from kuzbass.experiments.scored_years import ScoredYears
from kuzbass.region.data import judged
from kuzbass.sd.ensemble import Series
from kuzbass.sd.mdl import Model

__all__ = ["scored_years"]


def scored_years(model: Model, names: Sequence[str], grid: np.ndarray) -> ScoredYears:
    """Return what turns runs into annual values of `names`, and into the index."""
    family = index_family()
    table = judged()
    # The default list alone: the other candidates would take time and memory of every run.
    own = replace(family.indicators, table=family.indicators.table.loc[list(family.default)])
    at_end = {*table.loc[table["basis"] == "end", "variable"],
              *(name for name, basis in own.variables.items() if basis == "end")}
    outputs = tuple(dict.fromkeys([*names, *own.variables]))
    return ScoredYears(
        outputs=outputs, at_end=frozenset(at_end & set(outputs)), steps=grid,
        shown=tuple(Series(name, model.variables[name].unit) for name in names), rebased=(),
        indicators=own, scale=family.reference, default=family.default,
        # One list will do: nothing here draws another.
        lists=np.zeros((1, len(own.codes)), dtype=np.bool_))
