"""What the findings page is made of; its numbers are tested with the page itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.findings import _chain, _same_model


def test_results_of_two_models_are_not_mixed() -> None:
    model: Any = SimpleNamespace(sha256="a", path=Path("kuzbass.mdl"))
    _same_model(model, {"model": {"sha256": "a"}})
    with pytest.raises(InputError, match="changed while"):
        _same_model(model, {"model": {"sha256": "b"}})


def test_chain_has_the_links_of_the_paper_first_then_every_bar() -> None:
    series = ["coal_stocks_end_year", "grp_real_index", "exports_total", "wage"]
    changes = pd.DataFrame({
        "series": series, "label": series, "kind": "level", "since": 2019, "year": 2020,
        "observed": -1.0, "simulated": -2.0, "without": 0.0, "bar": [np.nan, 1.5, np.nan, np.nan],
        "inside": [False, True, None, None]})
    later = changes.assign(since=2020, year=2021)
    replay: Any = SimpleNamespace(first=2020, changes=pd.concat([changes, later]))
    assert list(_chain(replay)["series"]) == [
        "exports_total", "grp_real_index", "coal_stocks_end_year"]
