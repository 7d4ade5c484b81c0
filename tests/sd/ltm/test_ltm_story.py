"""Which loops dominate when, in a table and in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.loops import area, dominance, loops_that_matter, story

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.loops import ExpandedRun

    Expanded = Callable[[str], ExpandedRun]

NAMES = {
    "words": [("adopters", "adopter contacts")],
    "saturation": [("potential adopters", "share of potential adopters")],
}
WINDOWS = {"Rise": (0.0, 5.0), "End": (12.0, 15.0)}


def test_dominance_changes_hands(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("bass"), names=NAMES)
    table = dominance(result, WINDOWS).set_index(["window", "name"])
    relative = result.relative()
    words = next(loop.id for loop in result.loops if loop.name == "words")
    # Five days are eighty steps.
    assert table.loc[("Rise", "words"), "share"] == pytest.approx(relative[words][:80].mean())
    assert table.loc[("Rise", "words"), "dominant"]
    assert not table.loc[("Rise", "saturation"), "dominant"]
    assert table.loc[("End", "saturation"), "dominant"]
    assert table.loc[("End", "saturation"), "balancing"] > 0.99
    assert table.groupby("window")["share"].sum().to_numpy() == pytest.approx(1.0)


def test_the_dominant_set_is_the_smallest(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("arms_race"))
    table = dominance(result, {"late": (90.0, 100.0)})
    chosen = table[table["dominant"]]["share"]
    assert chosen.sum() >= 0.5
    assert chosen.sum() - chosen.min() < 0.5
    assert chosen.min() >= table[~table["dominant"]]["share"].max()


def test_sentences_state_the_shares(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("bass"), names=NAMES)
    table = dominance(result, WINDOWS).set_index(["window", "name"])["share"]
    rise, end = 100.0 * table["Rise", "words"], 100.0 * table["End", "saturation"]
    assert rise > 99.0
    assert end > 99.0
    assert story(result, WINDOWS) == [
        "Part 1 (2 states) has 2 loops, all of them scored.",
        f"Rise (0 to 5): 'words' ({rise:.0f}%, reinforcing) dominates; reinforcing loops hold "
        f"{rise:.0f}%, balancing loops {100.0 - rise:.0f}%.",
        f"End (12 to 15): 'saturation' ({end:.0f}%, balancing) dominates; reinforcing loops hold "
        f"{100.0 - end:.0f}%, balancing loops {end:.0f}%.",
    ]


def test_sentences_say_what_is_not_complete(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("arms_race"), limit=7, searches=2)
    first = story(result, {"all": (0.0, 100.0)})[0]
    assert "more loops than can be enumerated" in first
    assert "strongest found at 2 times" in first


def test_loops_of_one_name_count_as_one(expanded: Expanded) -> None:
    run = expanded("predator_prey")
    result = loops_that_matter(run, names={"meeting": [("encounters", "prey")],
                                           "breeding": [("predator births", "predators")]})
    alone = loops_that_matter(run)
    table = dominance(result, {"all": (0.0, 40.0)}).set_index("name")
    assert table["loops"].sum() == len(alone.loops)
    assert table["share"].sum() == pytest.approx(1.0)
    joined = loops_that_matter(run, names={"prey": [("prey", "encounters")]})
    row = dominance(joined, {"all": (0.0, 40.0)}).set_index("name").loc["prey"]
    assert row["loops"] >= 2
    assert row["reinforcing"] + row["balancing"] == pytest.approx(row["share"])


def test_a_silent_window(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("supply_chain"))
    # Demand steps up on the fourth day.
    told = story(result, {"Calm": (0.0, 3.0)})
    assert told[1] == "Calm (0 to 3): no loop is active."


def test_areas_stack_to_one(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("arms_race"))
    table = area(result, top=3)
    assert set(table.columns.get_level_values("name")) <= {
        *(loop.name for loop in result.loops), "other loops"}
    assert len(set(table.columns.get_level_values("name"))) == 4
    np.testing.assert_allclose(table.abs().sum(axis=1), 1.0)
    assert (table.xs("R", axis=1, level="polarity") >= 0.0).all(axis=None)
    assert (table.xs("B", axis=1, level="polarity") <= 0.0).all(axis=None)


def test_bad_windows_and_parts(expanded: Expanded) -> None:
    result = loops_that_matter(expanded("bass"))
    for window in ((5.0, 5.0), (20.0, 30.0), (7.0, 3.0)):
        with pytest.raises(InputError, match=r"odd: the window holds no step .*within 0 to 15"):
            dominance(result, {"odd": window})
    with pytest.raises(InputError, match=r"part: there is no such part .*found: 3; allowed: 1"):
        area(result, part=3)
