"""Attribution of the difference between two runs: shares derived by hand, and the shipped model."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.attribution import Difference, attribute, difference, seeds
from kuzbass.sd.cutting import Cut, cut_responses, loop_cut
from kuzbass.sd.loops import expand
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.pathways import meters, net_links, pathways

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Model]

_CONTROL = """
INITIAL TIME= 0.0 ~ Day ~ The start. |
FINAL TIME= 10.0 ~ Day ~ The end. |
TIME STEP= 0.25 ~ Day ~ The step. |
SAVEPER= TIME STEP ~ Day ~ Every step. |
"""


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Load a model from lines ``name = expression``, ten days in quarters."""

    def write(lines: str) -> Model:
        equations = [f"{line.strip()} ~ Dmnl ~ Made up. |" for line in lines.strip().splitlines()]
        path = tmp_path / "written.mdl"
        path.write_text("\n".join(["{UTF-8}", *equations, _CONTROL]), encoding="utf-8")
        return load_model(path)

    return write


def shocked(model: Model, **changes: float | pd.Series) -> Difference:
    inputs = {name.replace("_", " "): value for name, value in changes.items()}
    return difference(expand(model), expand(model, inputs))


def step_at(start: float, before: float, after: float) -> pd.Series:
    return pd.Series([before, before, after, after], index=[0.0, start - 0.25, start, 10.0])


def parts(diff: Difference, effect: str) -> dict[str, float]:
    """The parts of an effect at the end of the run."""
    return {cause: float(part[-1]) for (cause, target), part in diff.parts.items()
            if target == effect}


def test_a_product_is_split_at_the_means(written: Write) -> None:
    diff = shocked(written("x = 2.0\ny = 3.0\nz = x * y\n"), x=5.0, y=4.0)
    # Dx times the mean of y, Dy times the mean of x.
    assert parts(diff, "z") == pytest.approx({"x": 3.0 * 3.5, "y": 1.0 * 3.5}, rel=1e-12)
    assert diff.methods["z"] == "aumann-shapley"


def test_a_ratio_is_split_by_the_integral(written: Write) -> None:
    diff = shocked(written("x = 6.0\ny = 2.0\nz = x / y\n"), x=9.0, y=5.0)
    # Integral of 3 / (2 + 3 s) over s is ln(5/2); the rest of the difference is y's.
    assert parts(diff, "z") == pytest.approx({"x": log(2.5), "y": 9 / 5 - 3.0 - log(2.5)},
                                             rel=1e-10)


def test_a_power_is_split_by_the_integral(written: Write) -> None:
    diff = shocked(written("x = 1.0\ny = 1.0\nz = x * x * y\n"), x=3.0, y=2.0)
    # With x = 1 + 2 s and y = 1 + s: integral of 2 x y 2 ds = 44/3, of x^2 ds = 13/3 less 10/3.
    expected_y = 1.0 + 2.0 + 4.0 / 3.0
    assert parts(diff, "z") == pytest.approx({"x": 17.0 - expected_y, "y": expected_y}, rel=1e-10)


def test_limits_and_choices_are_split_by_shapley_values(written: Write) -> None:
    model = written("a = 3.0\nb = 5.0\nz = MIN(a, b)\nw = MAX(a, b)\n"
                    "v = IF THEN ELSE(a > 4.0, b, 0.0)\n")
    diff = shocked(model, a=6.0, b=2.0)
    # MIN: 3 -> 5 -> 2 when a moves first, 3 -> 2 -> 2 when b does.
    assert parts(diff, "z") == pytest.approx({"a": (2.0 + 0.0) / 2, "b": (-3.0 - 1.0) / 2})
    # MAX: 5 -> 6 -> 6, or 5 -> 3 -> 6.
    assert parts(diff, "w") == pytest.approx({"a": (1.0 + 3.0) / 2, "b": (0.0 - 2.0) / 2})
    # The choice: 0 -> 5 -> 2, or 0 -> 0 -> 2.
    assert parts(diff, "v") == pytest.approx({"a": (5.0 + 2.0) / 2, "b": (-3.0 + 0.0) / 2})
    assert {diff.methods[name] for name in "zwv"} == {"shapley"}


def test_three_inputs_of_a_limit(written: Write) -> None:
    diff = shocked(written("a = 1.0\nb = 1.0\nc = 1.0\nz = MAX(a, MAX(b, c))\n"),
                   a=4.0, b=3.0, c=2.0)
    # The airport game: 1 is shared by three, the next by two, the last is a's alone.
    assert parts(diff, "z") == pytest.approx({"a": 1 / 3 + 1 / 2 + 1, "b": 1 / 3 + 1 / 2,
                                              "c": 1 / 3})


def test_a_pole_on_the_line_falls_back_on_shapley_values(written: Write) -> None:
    diff = shocked(written("x = 1.0\ny = 2.0\nz = y / x\n"), x=-1.0, y=4.0)
    assert diff.methods["z"] == "shapley"
    assert parts(diff, "z") == pytest.approx({"x": (-4.0 - 8.0) / 2, "y": (2.0 - 2.0) / 2})


def test_a_mix_without_a_value_is_refused(written: Write) -> None:
    model = written("x = 1.0\ny = 2.0\nz = MAX(0.0, SQRT(x + y))\n")
    with pytest.raises(ModelError, match="z: has no value for a mix of base and shocked inputs"):
        shocked(model, x=-4.0, y=5.0)


def test_a_stock_carries_the_difference(written: Write) -> None:
    model = written("u = 1.0\nlife = 4.0\ndrain = s / life\ns = INTEG(u - drain, 4.0)\n"
                    "y = 2.0 * s\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    result = attribute(diff, "y", 5.0)
    steps = 12  # from 2 to 5 in quarters
    assert result.response == pytest.approx(2.0 * 4.0 * (1.0 - (1.0 - 0.25 / 4.0) ** steps))
    assert result.residual < 1e-12
    assert float(result.cuts.iloc[0]) == pytest.approx(1.0, abs=1e-12)
    # An impulse of k steps ago has decayed by (1 - h/life)^(k-1).
    flow = result.flows["u", "s"]
    kept = (1.0 - 0.25 / 4.0) ** np.arange(steps - 1, -1, -1)
    np.testing.assert_allclose(flow[8:20], kept / kept.sum(), rtol=1e-12)
    assert flow[20:].sum() == 0.0
    # What drains is lost for the response: the link works against it.
    assert result.flows["drain", "s"].sum() < 0.0
    found = pathways(diff, result, seeds(diff, "y", 5.0)[0])
    assert [path.variables for path in found.paths] == [("u", "s", "y")]
    assert found.paths[0].share == pytest.approx(1.0)
    assert found.rest == pytest.approx(0.0, abs=1e-12)


def test_a_window_sums_the_response(written: Write) -> None:
    model = written("u = 1.0\ns = INTEG(u - s / 4.0, 4.0)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    whole = attribute(diff, "s", (2.0, 6.0))
    steps = np.arange(17)
    expected = 0.25 * float((4.0 * (1.0 - (1.0 - 0.0625) ** steps)).sum())
    assert whole.response == pytest.approx(expected)
    assert whole.residual < 1e-12


def test_two_paths_share_by_their_gains(written: Write) -> None:
    model = written("u = 10.0\nfast = 2.0 * u\nslow = SMOOTHI(u, 2.0, 10.0)\ny = fast + slow\n")
    diff = shocked(model, u=step_at(1.0, 10.0, 8.0))
    moment = 4.0
    result = attribute(diff, "y", moment)
    reached = 1.0 - (1.0 - 0.25 / 2.0) ** 12
    found = {path.variables: path for path in
             pathways(diff, result, seeds(diff, "y", moment)[0]).paths}
    assert found["u", "fast", "y"].share == pytest.approx(2.0 / (2.0 + reached))
    assert found["u", "slow", "y"].share == pytest.approx(reached / (2.0 + reached))
    assert found["u", "fast", "y"].delay == 0.0
    # Half of the smooth's final effect, at the end of the run, is there after 2 ln 2.
    assert found["u", "slow", "y"].delay == pytest.approx(2.0 * log(2.0), abs=0.25)
    # 20 % of u make 40 % of 10 in y, whose base is 30.
    assert found["u", "fast", "y"].amplification == pytest.approx((4.0 / 30.0) / 0.2)


@pytest.mark.parametrize("equation", [
    "DELAY3I(u, 2.0, 1.0)", "SMOOTH3I(u, 2.0, 1.0)", "DELAY FIXED(u, 1.0, 1.0)",
    "TREND(u, 2.0, 0.0)", "FORECAST(u, 2.0, 1.0)",
])
def test_every_cut_through_states_and_pipelines_carries_the_whole(
    written: Write, equation: str
) -> None:
    model = written(f"u = 1.0\nd = {equation}\ns = INTEG(d + u - 0.2 * s, 10.0)\ny = s * d\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    result = attribute(diff, "y", 8.0)
    assert result.residual < 1e-6
    found = pathways(diff, result, seeds(diff, "y", 8.0)[0], smallest=0.0)
    # Without feedback among several stocks the paths are all there is.
    assert found.complete
    assert found.listed == pytest.approx(1.0, abs=1e-9)


def test_a_delay_time_that_moves_is_a_cause_of_its_own(written: Write) -> None:
    model = written("u = 1.0\nt = 1.0\nd = DELAY1I(u, t, 1.0)\ns = INTEG(d - 0.2 * s, 10.0)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0), t=step_at(3.0, 1.0, 2.0))
    result = attribute(diff, "s", 8.0)
    assert result.residual < 1e-6
    assert result.flows["t", "d"].sum() < 0.0 < result.flows["u", "d"].sum()


def test_feedback_is_what_the_paths_leave(written: Write) -> None:
    model = written("u = 1.0\na = INTEG(u - b, 1.0)\nb = INTEG(a - b, 1.0)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    result = attribute(diff, "a", 7.0)
    assert result.residual < 1e-12
    found = pathways(diff, result, seeds(diff, "a", 7.0)[0], smallest=0.0)
    assert [path.variables for path in found.paths] == [("u", "a")]
    # Without b, a would have risen by 1 a day for five days.
    assert found.listed == pytest.approx(5.0 / result.response)
    assert found.rest == pytest.approx(1.0 - 5.0 / result.response)


def test_an_initial_value_is_a_source(written: Write) -> None:
    model = written("start = 10.0\ns = INTEG(-0.1 * s, start)\ny = s\n")
    diff = shocked(model, start=12.0)
    result = attribute(diff, "y", 5.0)
    assert result.response == pytest.approx(2.0 * 0.975**20)
    assert result.residual < 1e-12


def test_what_compares_with_its_own_past_is_one_link(written: Write) -> None:
    model = written("u = 10.0\npast = SMOOTHI(u, 2.0, 10.0)\ngrowth = (u - past) / (2.0 * past)\n"
                    "level = INTEG(level * growth, 1.0)\n")
    diff = shocked(model, u=step_at(2.0, 10.0, 12.0))
    assert [(one.cause, one.effect, one.parts) for one in meters(diff, "level")] == [
        ("u", "growth", ("past",))]
    result = attribute(diff, "level", 10.0)
    direct = result.flows["u", "growth"].sum()
    assert direct > 1.5
    net = net_links(diff, result, meters(diff, "level"))
    assert net["u", "growth"].sum() == pytest.approx(
        direct + result.flows["past", "growth"].sum())
    assert net["u", "growth"].sum() == pytest.approx(net["growth", "level"].sum())
    paths = pathways(diff, result, seeds(diff, "level", 10.0)[0]).paths
    assert [path.variables for path in paths] == [("u", "growth", "level")]
    assert paths[0].share == pytest.approx(1.0)


def test_a_broken_gain_leaves_a_residual(written: Write) -> None:
    diff = shocked(written("u = 1.0\nx = 2.0 * u\ny = x + u\n"), u=2.0)
    assert attribute(diff, "y").residual < 1e-12
    gains = {**diff.gains, ("u", "x"): 1.1 * diff.gains["u", "x"]}
    assert attribute(replace(diff, gains=gains), "y").residual == pytest.approx(0.2 / 3.0)


def test_cutting_a_link_loses_its_share_of_a_sum(written: Write) -> None:
    model = written("u = 1.0\na = 3.0 * u\nb = u\ny = a + b\nz = a * b\n")
    diff = shocked(model, u=2.0)
    weights = seeds(diff, "y", 5.0)[0]
    cuts = [Cut("a", links=(("a", "y"),)), Cut("b", variables=("b",))]
    found = cut_responses(diff, cuts, "y", weights)
    assert found.response == pytest.approx(4.0)
    assert found.table["lost"].tolist() == pytest.approx([0.75, 0.25])
    assert found.interaction.loc["a", "b"] == pytest.approx(0.0, abs=1e-12)
    # z goes from 3 to 12; either input held leaves 3 of 9, both leave nothing.
    product = cut_responses(diff, [Cut("a", links=(("a", "z"),)), Cut("b", links=(("b", "z"),))],
                            "z", seeds(diff, "z", 5.0)[0])
    assert product.table["lost"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert product.interaction.loc["b", "a"] == pytest.approx(1.0 - 4 / 3)


def test_cutting_a_loop_opens_it(written: Write) -> None:
    model = written("u = 1.0\na = INTEG(u - b, 1.0)\nb = INTEG(a - b, 1.0)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    loop = loop_cut("circle", ["a", "b"], {"circle": ["a", "b"], "own": ["b"]})
    assert loop.links == (("a", "b"),)
    found = cut_responses(diff, [loop], "a", seeds(diff, "a", 7.0)[0])
    # With b at its base path, a rises by 1 a day.
    assert found.table.at[0, "response"] == pytest.approx(5.0)


def test_a_loop_without_a_link_of_its_own_says_so() -> None:
    cut = loop_cut("one", ["a", "b"], {"other": ["a", "b", "c"], "third": ["b", "a", "d"]})
    assert "no link of its own" in cut.note


@pytest.mark.parametrize("equation", ["SMOOTH3I(u, 2.0, 1.0)", "DELAY FIXED(u, 1.0, 1.0)",
                                      "DELAY3I(u, 2.0, 1.0)"])
def test_a_cut_input_of_a_delay_stops_it(written: Write, equation: str) -> None:
    model = written(f"u = 1.0\nd = {equation}\ns = INTEG(d - 0.1 * s, 10.0)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    found = cut_responses(diff, [Cut("d", links=(("u", "d"),))], "s", seeds(diff, "s", 8.0)[0])
    assert found.table.at[0, "lost"] == 1.0


def test_the_base_run_is_the_same_with_and_without_cuts(written: Write) -> None:
    # With a cut everywhere, the shocked members are the base run, bit by bit.
    model = written("u = 1.0\nx = EXP(0.3 * u)\ns = INTEG(x - 0.1 * s ^ 0.9, 10.0)\ny = LN(s)\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    found = cut_responses(diff, [Cut("all", links=(("u", "x"),)), Cut("late", variables=("s",))],
                          "y", seeds(diff, "y", 8.0)[0])
    assert found.table["response"].tolist() == [0.0, 0.0]


def test_bad_requests_are_refused(written: Write) -> None:
    model = written("u = 1.0\nother = 5.0\nx = 2.0 * u\nfree = other\n")
    diff = shocked(model, u=step_at(2.0, 1.0, 2.0))
    with pytest.raises(InputError, match="free: does not respond to this shock"):
        attribute(diff, "free")
    with pytest.raises(InputError, match="at: lies outside of the response"):
        attribute(diff, "x", 1.0)
    with pytest.raises(InputError, match="did you mean"):
        attribute(diff, "xx other")
    with pytest.raises(InputError, match="there is no such link"):
        cut_responses(diff, [Cut("bad", links=(("other", "x"),))], "x", seeds(diff, "x")[0])
    with pytest.raises(InputError, match="there is no such variable"):
        cut_responses(diff, [Cut("bad", variables=("nothing",))], "x", seeds(diff, "x")[0])
    with pytest.raises(InputError, match="the two runs are equal"):
        shocked(model, u=1.0)
    with pytest.raises(InputError, match="do not belong together"):
        difference(expand(model), expand(model, final_time=5.0))


def test_too_many_inputs_of_a_limit_are_refused(written: Write) -> None:
    names = [f"x{number}" for number in range(15)]
    lines = "".join(f"{name} = 1.0\n" for name in names) + f"z = MAX(0.0, {' + '.join(names)})\n"
    with pytest.raises(ModelError, match=r"z: too many inputs differ.*found: 15; allowed: 14"):
        shocked(written(lines), **dict.fromkeys(names, 2.0))


def test_the_shipped_model_adds_up() -> None:
    model = load_model()
    grid = np.arange(2000.0, 2036.0 + 1 / 16, 1 / 16)
    fall = np.where((grid >= 2026.0) & (grid < 2028.0), 0.8, 1.0)
    paths = [expand(model, {"foreign demand multiplier": pd.Series(path, grid)}, final_time=2036.0)
             for path in (np.ones_like(grid), fall)]
    diff = difference(*paths)
    assert diff.time[diff.first] == 2026.0
    for target in ("real GRP index", "own budget revenue", "employed"):
        for moment in (None, 2031.0, (2026.0, 2032.0)):
            result = attribute(diff, target, moment)
            assert result.residual < 1e-6
            assert result.response < 0.0
    # The parts of every equation sum to its difference, and those of a stock to its change.
    for name in diff.order:
        own = [part for (_, effect), part in diff.parts.items() if effect == name]
        scale = np.abs(diff.base.paths[name]).max() + np.abs(own).max()
        assert np.abs(np.sum(own, axis=0) - diff.delta[name]).max() <= 1e-9 * scale
