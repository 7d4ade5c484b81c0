"""Feedback loops of history and of a scenario: shares, windows, sentences, graph files."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.loops import (
    HISTORY,
    LoopsResult,
    crisis_windows,
    families,
    loops,
    sector_names,
    span_of,
)
from kuzbass.region.data import read_table
from kuzbass.sd.loops import dominance, expand, loops_that_matter
from kuzbass.sd.mdl import load_model

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> LoopsResult:
    return loops(["baseline"], out=tmp_path_factory.mktemp("loops") / "out")


def test_history_and_scenario_are_apart(result: LoopsResult) -> None:
    assert list(result.scores) == [HISTORY, "baseline"]
    assert result.scores[HISTORY].time[-1] == 2025.0
    assert result.scores["baseline"].time[0] == 2025.0 + 1 / 16
    assert not result.scores[HISTORY].complete
    assert any("strongest loops of the main part are scored" in note for note in result.notes)


def test_shares_of_a_window_sum_to_one(result: LoopsResult) -> None:
    total = result.families.groupby(["run", "window"])["share"].sum()
    np.testing.assert_allclose(total, 1.0, atol=1e-9)
    both = result.families["reinforcing"] + result.families["balancing"]
    np.testing.assert_allclose(both, result.families["share"], atol=1e-12)
    area = result.areas[HISTORY].abs().sum(axis=1)
    # Steps without any change have no loop score.
    assert set(np.round(area, 9)) <= {0.0, 1.0}


def test_every_named_loop_is_scored(result: LoopsResult) -> None:
    names = set(read_table("loops.csv")["loop"])
    assert set(result.named["loop"]) <= names
    assert result.scores[HISTORY].unused_names == ()
    active = result.named[result.named["share"] > 0.0]
    assert {"stockpile pressure", "income-demand"} <= set(active["loop"])


def test_sentences_state_what_the_tables_hold(result: LoopsResult) -> None:
    told = result.sentences[HISTORY]
    windows = crisis_windows()
    assert len(told) == 1 + 2 * len(windows)
    own = result.named[(result.named["run"] == HISTORY) & (result.named["window"] == "In 2020")]
    top = own.loc[own["share"].idxmax()]
    sentence = next(one for one in told if one.startswith("In 2020: of the named loops"))
    assert f"'{top['loop']}' holds most ({top['share']:.1%}" in sentence
    first = result.families[(result.families["run"] == HISTORY)
                            & (result.families["window"] == "In 2020")].iloc[0]
    sentence = next(one for one in told if one.startswith("In 2020 (2020 to 2021)"))
    assert f"'{first['family']}' ({first['share']:.0%}" in sentence


def test_windows_lie_before_in_and_after_every_crisis() -> None:
    windows = crisis_windows()
    assert windows["Before 2009"] == (2007.0, 2009.0)
    assert windows["In 2013-2015"] == (2013.0, 2016.0)
    assert windows["After 2020"] == (2021.0, 2023.0)
    assert max(end for _, end in windows.values()) <= 2025.0


def test_the_folder_holds_graph_tables_and_story(result: LoopsResult) -> None:
    manifest = json.loads((result.folder / "manifest.json").read_text(encoding="utf-8"))
    assert {"graph.graphml", "graph.dot", "graph.json", "families.csv", "named.csv", "story.txt",
            "loops-history.csv", "area-baseline.csv"} <= set(manifest["files"])
    assert manifest["runs"]["history"]["complete"] is False
    graph = nx.read_graphml(result.folder / "graph.graphml")
    assert set(graph.edges) == set(result.graph.edges)
    assert graph.edges["coal output", "coal output saleable"]["polarity"] == "+"
    story = (result.folder / "story.txt").read_text(encoding="utf-8")
    assert all(sentence in story for told in result.sentences.values() for sentence in told)
    table = pd.read_csv(result.folder / "named.csv")
    assert len(table) == len(result.named)


def test_families_are_named_by_the_sectors_of_their_states() -> None:
    groups = {"a": "Coal mining", "b": "Coal finance", "c": "Regional budget", "d": "Innovation",
              "e": "Coal market and transport", "f": "Output and prices"}
    assert sector_names(["a"], groups) == "within coal mining"
    assert sector_names(["b", "a", "c"], groups) == "coal mining, finance + budget"
    assert sector_names(["c", "d"], groups) == "budget + innovation"
    assert sector_names(["a", "b", "c", "d"], groups) == "over 3 sectors, with coal"
    assert sector_names(["SMOOTH in a"], groups) == "within coal mining"
    assert sector_names(["f"], groups) == "within prices"


def test_families_keep_the_scores() -> None:
    scores = loops_that_matter(expand(load_model(MODELS / "predator_prey.mdl")))
    grouped = families(scores, {})
    span = (float(scores.time[0]), float(scores.time[-1]))
    one = dominance(scores, {"all": span}).groupby("part")["share"].sum()
    other = dominance(grouped, {"all": span}).groupby("part")["share"].sum()
    pd.testing.assert_series_equal(one, other)
    assert {loop.name for loop in grouped.loops} == {"within prices"}


def test_a_span_of_a_run_has_the_scores_of_the_run() -> None:
    run = expand(load_model(MODELS / "logistic.mdl"))
    whole = loops_that_matter(run).relative()
    part = loops_that_matter(span_of(run, 10.0, 40.0)).relative()
    assert (part.index[0], part.index[-1]) == (10.0 + run.time_step, 40.0)
    columns = sorted(part.columns)
    np.testing.assert_allclose(part[columns], whole.loc[part.index, columns], rtol=1e-9)


def test_an_unknown_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such scenario"):
        loops(["s4-miracle"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
