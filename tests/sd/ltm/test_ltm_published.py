"""Loop scores against published and independently computed values.

The tables label a step by its start, the result by its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pytest

from kuzbass.sd.loops import expand, loops_that_matter

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.loops import ExpandedRun, LoopScores
    from kuzbass.sd.mdl import Model

    Expanded = Callable[[str], ExpandedRun]


def by_variables(result: LoopScores, *variables: str) -> str:
    """Return the id of the loop of exactly these variables."""
    return next(loop.id for loop in result.loops if set(loop.variables) == set(variables))


def by_path(result: LoopScores, *variables: str) -> str:
    """Return the id of the loop through these variables in this order."""
    for loop in result.loops:
        order = [name for name in (*loop.variables, *loop.variables) if name in variables]
        for start in range(len(variables)):
            if tuple(order[start:start + len(variables)]) == variables and len(
                    loop.states) == len(variables):
                return loop.id
    raise AssertionError(variables)


@pytest.mark.parametrize("step", [0.125, 0.5, 1.0])
def test_an_isolated_loop_scores_one(tiny: Callable[[str], Model], step: float) -> None:
    result = loops_that_matter(expand(tiny("teacup"), time_step=step))
    assert [loop.id for loop in result.loops] == ["B1"]
    assert result.complete
    np.testing.assert_allclose(result.relative()["B1"], -1.0, atol=1e-12)
    np.testing.assert_allclose(result.raw()["B1"], -1.0, atol=1e-9)


def test_logistic_growth(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("logistic"))
    growth = by_variables(result, "population", "net births")
    limit = by_variables(result, "population", "fraction used", "fractional growth",
                         "net births")
    percent = 100.0 * result.relative()
    # Stella's values, label t.
    stella = {1: -0.56, 2: -0.63, 10: -1.54, 15: -2.68, 44: -43.9, 45: -46.9, 59: -83.0}
    for start, expected in stella.items():
        digits = 0.05 if abs(expected) > 10.0 else 0.005
        assert percent.at[start + 1.0, limit] == pytest.approx(expected, abs=digits)
    np.testing.assert_allclose(percent[growth] - percent[limit], 100.0)
    assert percent.at[47.0, growth] > 50.0 > percent.at[48.0, growth]


@pytest.mark.parametrize("rule", ["2023", "2020"])
def test_bass_diffusion(expanded: Expanded, rule: Literal["2020", "2023"]) -> None:
    result = loops_that_matter(expanded("bass"), rule=rule)
    words = by_variables(result, "adopters", "adopter contacts",
                         "contacts with potential adopters", "adopting")
    saturation = by_variables(result, "potential adopters", "share of potential adopters",
                              "contacts with potential adopters", "adopting")
    raw, relative = result.raw(), result.relative()
    step = 0.0625
    # Table 3 of Schoenberg, Davidsen and Eberlein (2020).
    for start, r, b, share in ((9.5, 11.46, -9.958, 0.535), (9.5625, 9806.0, -9358.0, 0.512),
                               (9.625, 10.41, -10.91, 0.488)):
        assert raw.at[start + step, words] == pytest.approx(r, rel=5e-4)
        assert raw.at[start + step, saturation] == pytest.approx(b, rel=5e-4)
        assert relative.at[start + step, words] == pytest.approx(share, abs=5e-4)
    assert relative.at[15.0, words] == pytest.approx(0.0, abs=5e-4)
    assert relative.at[15.0, saturation] == pytest.approx(-1.0, abs=5e-4)


def test_decoupled_stocks(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("decoupled"))
    links = result.link_table()
    into_second = links["first stock", "second flow"]
    into_first = links["second stock", "first flow"]
    assert into_second.sum() == 1.0
    assert set(into_second) == {0.0, 1.0}
    passing = float(into_second.idxmax())
    assert set(into_first.loc[:passing + 1.0]) == {0.0}
    assert set(into_first.loc[passing + 2.0:]) == {1.0}
    raw = result.raw()
    assert set(np.unique(raw[by_variables(result, "first stock", "first flow")])) == {0.0, 1.0}
    assert set(np.unique(raw[by_variables(result, "second stock", "second flow")])) == {0.0, 1.0}
    major = by_variables(result, "first stock", "first flow", "second stock", "second flow")
    assert not raw[major].any()
    loop = next(loop for loop in result.loops if loop.id == major)
    assert loop.polarity == "-"
    assert loop.share == 0.0


@pytest.mark.parametrize(("rule", "switches", "at_74"), [
    ("2020", (52.0, 66.5, 75.5), (-0.189, -0.2255, -0.1969, -0.3884)),
    ("2023", (52.0, 65.5, 75.5), (-0.0231, -0.3500, -0.0240, -0.6029)),
])
def test_yeast_and_alcohol(
    expanded: Expanded, rule: Literal["2020", "2023"], switches: tuple[float, ...],
    at_74: tuple[float, ...],
) -> None:
    run = expanded("yeast")
    assert float(run.run["cells"].max()) == pytest.approx(40.3716, abs=5e-5)
    result = loops_that_matter(run, rule=rule)
    names = {
        by_variables(result, "cells", "births"): "R",
        by_variables(result, "cells", "deaths"): "B1",
        by_variables(result, "cells", "fermentation", "alcohol", "births"): "B2",
        by_variables(result, "cells", "fermentation", "alcohol", "deaths"): "B3",
    }
    relative = result.relative().rename(columns=names)
    relative.index = relative.index - 0.5
    strongest = relative.abs().idxmax(axis=1)
    changes = strongest[strongest != strongest.shift()]
    assert list(changes) == ["R", "B2", "B3", "B1"]
    assert tuple(changes.index[1:]) == switches
    assert tuple(relative.loc[74.0, ["R", "B1", "B2", "B3"]]) == pytest.approx(at_74, abs=5e-4)


def test_arms_race_towards_the_sum(tiny: Callable[[str], Model]) -> None:
    result = loops_that_matter(expand(tiny("arms_race")))
    last = result.relative().loc[100.0]
    a, b, c = "arms of A", "arms of B", "arms of C"
    assert len(result.loops) == 8
    expected = {(a,): -0.1248, (b,): -0.1248, (c,): -0.1248, (a, b): 0.1250, (a, c): 0.1238,
                (b, c): 0.1238, (a, b, c): 0.1015, (a, c, b): 0.1516}
    for path, score in expected.items():
        assert last[by_path(result, *path)] == pytest.approx(score, abs=5e-5)


def test_arms_race_towards_the_mean(tiny: Callable[[str], Model]) -> None:
    result = loops_that_matter(expand(tiny("arms_race"), {"weight of the others": 0.5}))
    relative = result.relative()
    one = by_path(result, "arms of A", "arms of B", "arms of C")
    other = by_path(result, "arms of A", "arms of C", "arms of B")
    assert relative.at[75.0, one] == pytest.approx(0.395, abs=5e-4)
    assert relative.at[75.0, other] == pytest.approx(0.590, abs=5e-4)
    assert relative.at[100.0, one] == pytest.approx(0.3997, abs=5e-5)
    assert relative.at[100.0, other] == pytest.approx(0.5970, abs=5e-5)
    assert relative.at[20.0, by_path(result, "arms of B")] == pytest.approx(-0.66, abs=5e-3)


def test_equilibrium_is_silent(tiny: Callable[[str], Model]) -> None:
    result = loops_that_matter(expand(tiny("predator_prey"), {
        "predation rate": 0.03, "predator death rate": 0.9}))
    # Prey 60 and predators 20 stay as they are.
    assert not result.relative().to_numpy().any()
    assert {loop.polarity for loop in result.loops} == {"-"}


@pytest.mark.parametrize("name", ["logistic", "bass", "predator_prey", "supply_chain"])
def test_an_independent_engine_agrees(expanded: Expanded, name: str) -> None:
    simlin = pytest.importorskip("simlin")
    result = loops_that_matter(expanded(name))
    relative = result.relative()
    theirs = simlin.load(str(expanded(name).model.path)).run().loops
    assert len(theirs) == len(result.loops) >= 2
    for loop in theirs:
        variables = {variable.replace("_", " ") for variable in loop.variables
                     if not variable.startswith("$")}
        ours = relative[by_variables(result, *variables)]
        np.testing.assert_allclose(ours, loop.behavior_time_series[1:], atol=1e-6)


def test_a_search_of_a_small_part_finds_what_enumeration_finds(expanded: Expanded) -> None:
    run = expanded("arms_race")
    whole = loops_that_matter(run)
    searched = loops_that_matter(run, limit=1, keep=0.0)
    assert whole.complete
    assert not searched.complete
    assert len(searched.parts[0].searched) == 72
    assert searched.parts[0].coverage == pytest.approx(1.0)
    columns = {by_path(searched, *loop.states): loop.id for loop in whole.loops}
    assert len(columns) == 8
    pd.testing.assert_frame_equal(searched.relative().rename(columns=columns)[
        list(whole.relative().columns)], whole.relative(), rtol=1e-12, check_names=False)
