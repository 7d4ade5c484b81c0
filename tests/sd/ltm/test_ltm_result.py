"""The result of an analysis: names, polarity, delay, completeness; bad arguments."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.loops import expand, loops_that_matter

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.loops import ExpandedRun
    from kuzbass.sd.mdl import Model

    Expanded = Callable[[str], ExpandedRun]


def test_magnitudes_sum_to_one_in_each_part(expanded: Expanded) -> None:
    for name in ("predator_prey", "arms_race", "supply_chain"):
        result = loops_that_matter(expanded(name))
        total = result.relative().abs().sum(axis=1).to_numpy()
        assert np.all(np.isclose(total, 1.0) | (total == 0.0))


def test_loops_carry_polarity_length_and_delay(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("supply_chain"))
    table = result.loop_table()
    assert table.loc["B1", "states"] == "deliveries, stock"
    assert table.loc["B1", "variables"] == "deliveries -> stock -> orders"
    assert table.loc["B1", "length"] == 3
    assert table.loc["B1", "delay"] == 6.0
    assert list(table["structure"]) == ["-", "-"]
    assert list(table["polarity"]) == ["B", "B"]
    assert table["share"].sum() == pytest.approx(1.0)
    # The smooths of demand are in no loop.
    assert set(result.parts[0].variables) == {"deliveries", "stock", "orders", "shipments"}


def test_a_loop_that_changes_sign_is_unclear(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("yeast"))
    births = next(loop for loop in result.loops if set(loop.variables) == {"cells", "births"})
    # Above eleven grams of alcohol, births are negative.
    assert births.polarity == "U"
    assert births.structure == "+-"
    assert 0.0 < births.confidence < 0.99


def test_parts_are_kept_apart(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("small"))
    assert [part.states for part in result.parts] == [("capacity",)]
    assert result.part_table().loc[1, "complete"]


def test_given_names(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("predator_prey"), names={
        "hunger": [("predator deaths", "predators")],
        "feeding": [("encounters", "PREDATOR_BIRTHS")],
    })
    variables = {loop.name: loop.variables for loop in result.loops if loop.named}
    assert variables == {"hunger": ("predators", "predator deaths"),
                         "feeding": ("predators", "encounters", "predator births")}
    assert {loop.name for loop in result.loops if not loop.named} == {"prey", "prey (2)"}


def test_the_name_with_most_links_wins_and_the_unused_is_told(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("yeast"), names={
        "growth": [("births", "cells")],
        "poisoned growth": [("births", "cells"), ("alcohol", "births")],
        "nothing": [("births", "cells"), ("deaths", "cells")],
    })
    names = {frozenset(loop.variables): loop.name for loop in result.loops if loop.named}
    assert names == {
        frozenset({"cells", "births"}): "growth",
        frozenset({"cells", "births", "alcohol", "fermentation"}): "poisoned growth"}
    assert result.unused_names == ("nothing",)


def test_a_whole_loop_that_is_named_is_scored_though_too_weak_to_keep(
    expanded: Expanded,
) -> None:
    run = expanded("arms_race")
    weakest = loops_that_matter(run).loops[-1]
    path = list(pairwise([*weakest.variables, weakest.variables[0]]))
    plain = loops_that_matter(run, limit=1, keep=0.9)
    assert weakest.variables not in {loop.variables for loop in plain.loops}
    pinned = loops_that_matter(run, limit=1, keep=0.9, names={"wanted": path})
    assert [loop.variables for loop in pinned.loops if loop.name == "wanted"] == [
        weakest.variables]
    assert pinned.unused_names == ()


def test_unnamed_loops_are_named_by_their_states(expanded: Expanded) -> None:
    names = {loop.name for loop in loops_that_matter(expanded("predator_prey")).loops}
    assert names == {"predators", "predators (2)", "prey", "prey (2)"}


def test_the_result_is_frozen_and_says_how_it_was_made(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("bass"))
    assert (result.model, result.rule, result.time_step) == ("bass.mdl", "2023", 0.0625)
    assert result.complete
    assert result.time[0] == 0.0625
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.complete = False  # type: ignore[misc] # that it fails is the test


def test_a_model_without_feedback_has_an_empty_result(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("delay3"))
    assert result.complete
    assert result.loops == result.parts == ()
    assert result.relative().shape == (40, 0)
    assert result.loop_table().empty


def test_bad_arguments(expanded: Expanded) -> None:
    run = expanded("bass")
    with pytest.raises(InputError, match=r"adopter: the model bass\.mdl has no such variable"):
        loops_that_matter(run, names={"words": [("adopter", "adopting")]})
    with pytest.raises(InputError, match=r"words: there is no such link .*causes of adopting: "
                                         "contacts with potential adopters, adoption fraction"):
        loops_that_matter(run, names={"words": [("adopters", "adopting")]})
    with pytest.raises(InputError, match="words: a name needs the links"):
        loops_that_matter(run, names={"words": []})
    with pytest.raises(InputError, match="limit: is too small"):
        loops_that_matter(run, limit=0)
    with pytest.raises(InputError, match="searches: is too small"):
        loops_that_matter(run, searches=0)
    with pytest.raises(InputError, match="keep: is not a share"):
        loops_that_matter(run, keep=1.0)


@pytest.mark.slow
def test_a_part_with_more_loops_than_can_be_enumerated(large_model: Model) -> None:
    result = loops_that_matter(expand(large_model, final_time=2005.0), searches=6)
    ring = result.parts[0]
    assert ring.complete == (not ring.searched)
    assert 0.0 < ring.coverage <= 1.0
