"""Link scores: published tables and rules for limits and stateful functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.sd.loops import expand
from kuzbass.sd.loops.links import collapse, interaction, link_scores, strongest

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.loops import ExpandedRun
    from kuzbass.sd.mdl import Model

    Expanded = Callable[[str], ExpandedRun]


def test_auxiliaries_match_the_published_tables(expanded: Expanded) -> None:
    scores = link_scores(expanded("link_scores"))
    # Schoenberg, Davidsen and Eberlein (2020), tables 1 and 2.
    assert scores["x", "sum of both"] == pytest.approx([0.8])
    assert scores["y", "sum of both"] == pytest.approx([0.2])
    assert scores["w", "ratio"] == pytest.approx([5.0])
    assert scores["u", "ratio"] == pytest.approx([10.0 / 3.0])
    assert scores["v", "ratio"] == pytest.approx([-6.0])


def test_flows_match_the_published_table_by_either_rule(expanded: Expanded) -> None:
    now = link_scores(expanded("link_scores"))
    # Schoenberg, Hayward and Eberlein (2023), tables 1 to 3.
    assert now["filling", "content"] == pytest.approx([1.25])
    assert now["draining", "content"] == pytest.approx([-0.25])
    # By the rule of 2020 the flows of a step are those at its start, 5 and 4.
    then = link_scores(expanded("link_scores"), "2020")
    assert then["filling", "content"] == pytest.approx([5.0])
    assert then["draining", "content"] == pytest.approx([-4.0])


def test_the_rule_of_2020_at_the_published_flows(written: Callable[[str], Model]) -> None:
    model = written("""
        filling = 10.0 + 0.0*content
        draining = 5.0
        content = INTEG(filling - draining, 100.0)
    """)
    scores = link_scores(expand(model), "2020")
    assert scores["filling", "content"] == pytest.approx(2.0)
    assert scores["draining", "content"] == pytest.approx(-1.0)


def test_a_limit_takes_over_at_once(expanded: Expanded) -> None:
    run = expanded("limit")
    scores = link_scores(run)["population", "inflow"]
    free = run.paths["inflow"][1:] < 5.0
    switch = int(np.flatnonzero(~free)[0])
    assert 0 < switch < len(free) - 1
    assert scores[:switch] == pytest.approx(1.0)
    # In the step that reaches the limit the stock still makes the whole change.
    assert scores[switch] == 1.0
    assert np.all(scores[switch + 1:] == 0.0)


def test_interaction_shows_a_switch(written: Callable[[str], Model]) -> None:
    model = written("""
        first = STEP(1.0, 4.0)
        second = STEP(1.0, 4.0)
        together = first*second
        apart = first + second
    """)
    rest = interaction(expand(model), ["together", "apart"])
    # Neither input alone makes the product rise.
    assert rest["together"].max() == 1.0
    assert np.count_nonzero(rest["together"]) == 1
    assert not rest["apart"].any()


def test_a_step_through_a_delay_without_feedback_scores_nothing(expanded: Expanded) -> None:
    run = expanded("delay3")
    scores = collapse(run, link_scores(run), strongest)
    assert not scores["inflow", "outflow"].any()
    assert not scores["transit time", "outflow"].any()


def test_composite_score_of_a_delay_is_its_strongest_path(written: Callable[[str], Model]) -> None:
    model = written("""
        source = EXP(0.1*Time)
        time constant = 2.0 + 0.2*Time
        out = DELAY3(source, time constant)
    """)
    run = expand(model)
    scores = link_scores(run)
    direct = scores["time constant", "out"]
    outflow = "out (outflow 2)"
    last = scores["time constant", outflow] * scores[outflow, "out (stage 3)"] * scores[
        "out (stage 3)", "out"]
    composite = collapse(run, scores, strongest)["time constant", "out"]
    assert np.all(np.abs(composite) >= np.maximum(np.abs(direct), np.abs(last)))
    assert set(collapse(run, scores, strongest)) == {
        ("Time", "source"), ("Time", "time constant"), ("source", "out"),
        ("time constant", "out")}


def test_a_pure_delay_passes_its_input(written: Callable[[str], Model]) -> None:
    run = expand(written("source = SIN(Time)\nlag = DELAY FIXED(source, 1.0, 0.0)"))
    assert np.all(collapse(run, link_scores(run), strongest)["source", "lag"] == 1.0)


def test_a_mix_without_a_value_is_scored_from_the_other_side(
    written: Callable[[str], Model],
) -> None:
    # With `base` moved alone the root is that of a negative number.
    model = written("""
        base = 10.0 - Time
        floor = 9.0 - Time
        root = SQRT(base - floor - 0.9)*Time
    """)
    scores = link_scores(expand(model))
    assert np.all(np.isfinite(scores["base", "root"]))
    assert np.any(scores["base", "root"] != 0.0)
