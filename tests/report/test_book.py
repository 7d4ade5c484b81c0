"""The model book: complete, linked, made from the model file, honest about what was not run."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments import book as experiment
from kuzbass.experiments import book_evidence
from kuzbass.experiments.book import BookContent, Entry, book, book_content
from kuzbass.experiments.book_evidence import CLAIMS, EVIDENCE, evidence_tables
from kuzbass.experiments.checklist import checklist
from kuzbass.experiments.results import RunResults
from kuzbass.experiments.validate import run_tests
from kuzbass.paths import model_path
from kuzbass.region.data import TABLES, read_table
from kuzbass.report.book import book_pages
from kuzbass.report.sparkline import sparkline
from kuzbass.sd.lint_units import check_units
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.views import Structure, View

HREF = re.compile(r'href="([^"]*)"')


def _few_views(structure: Structure) -> list[View]:
    """One tiny view for each group: the layout has tests of its own."""
    groups: dict[str, str] = {}
    for name, variable in structure.model.variables.items():
        groups.setdefault(variable.group, name)
    return [View(group, group, (name,)) for group, name in groups.items()]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(model_path())


@pytest.fixture(scope="module")
def content(model: Model, results: RunResults) -> BookContent:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "plan_views", _few_views)
        return book_content(model, results)


@pytest.fixture(scope="module")
def pages(content: BookContent) -> Mapping[str, str]:
    return book_pages(content)


def entry_of(content: BookContent, name: str) -> Entry:
    return next(entry for sector in content.sectors for entry in sector.entries
                if entry.variable.name == name)


def test_every_link_leads_to_a_place_in_the_book(pages: Mapping[str, str]):
    places = {name: set(re.findall(r'\bid="([^"]*)"', text)) for name, text in pages.items()}
    for name, text in pages.items():
        assert len(re.findall(r'\bid="', text)) == len(places[name]), f"{name}: an id stands twice"
        for address in HREF.findall(text):
            page, _, anchor = address.partition("#")
            assert (page or name) in pages, f"{name}: {address}"
            assert not anchor or anchor in places[page or name], f"{name}: {address}"


def test_the_book_loads_nothing_from_elsewhere(pages: Mapping[str, str]):
    for text in pages.values():
        assert "<script" not in text
        assert not re.search(r'(src|href)="(https?:)?//', text)
        assert "url(" not in text


def test_every_equation_stands_in_the_book_as_in_the_file(
    pages: Mapping[str, str], model: Model
):
    sectors = "".join(text for name, text in pages.items() if name.startswith("sector-"))
    shown = {html.unescape(code) for code in re.findall(r"<code>(.*?)</code>", sectors, re.DOTALL)}
    assert shown == {equation.text for equation in model.equations.values()}
    assert sectors.count("<article ") == len(model.variables)


def test_a_variable_shows_causes_users_loops_and_label(content: BookContent, model: Model):
    entry = entry_of(content, "coal stockpile")
    structure = Structure.of(model)
    assert set(entry.causes) == set(structure.causes("coal stockpile"))
    assert "initial coal stockpile" in entry.causes
    for cause, second in entry.causes.items():
        assert list(second) == structure.causes(cause)
    assert "stockpile pressure" in entry.loops
    assert "desired coal output" in entry.users
    assert re.search("[а-я]", entry.label)


def test_pages_for_all_sectors_and_questions(pages: Mapping[str, str], model: Model):
    groups = {variable.group for variable in model.variables.values()}
    assert len([name for name in pages if name.startswith("sector-")]) == len(groups)
    for loop in ("coal reinvestment", "debt brake", "suspension"):
        assert loop in pages["index.html"]
    stocks = sum(variable.kind == "stock" for variable in model.variables.values())
    assert f"{stocks} stocks" in pages["stocks.html"]
    assert "World Bank" in pages["drivers.html"]
    assert len("".join(pages.values()).encode()) < 6e6


def test_what_was_not_run_is_said_and_what_was_is_shown(
    content: BookContent, pages: Mapping[str, str], model: Model, results: RunResults
):
    assert pages["evidence.html"].count("Not run for this book.") == len(EVIDENCE)
    assert pages["checklist.html"].count(">not run<") == 3
    table = pd.DataFrame({"test": ["T1"], "variable": ["coal output"], "value": [0.123456]})
    evidence = {**content.evidence, "validation": table}
    items = checklist(model, results, evidence, content.loops, content.drawing)
    shown = book_pages(replace(content, evidence=evidence, checklist=items))
    assert shown["evidence.html"].count("Not run for this book.") == len(EVIDENCE) - 1
    assert "0.1235" in shown["evidence.html"]
    assert shown["checklist.html"].count(">not run<") == 2


def test_hold_out_and_misses_are_shown_with_their_reasons(content: BookContent):
    held = pd.DataFrame(
        [(fit, "actual", "coal & <rail>", "coal_export_volume_rail", 6, 0.05, test, test / 0.05,
          0.0, 0.1, 0.2, 0.01, 0.5, 1.0) for fit, test in (("training", 0.1), ("wide", 1.0))],
        columns=["fit", "drivers", "label", *TABLES["holdout.csv"].columns[2:]])
    misses = pd.DataFrame({"test": ["behaviour-bias"], "part": ["grp"], "reason": ["Too coarse."],
                           "figure then": ["1"], "figure": ["2"]})
    evidence = {**content.evidence, "hold-out": held, "known misses": misses}
    pages = book_pages(replace(content, evidence=evidence))
    figure = pages["evidence.html"].partition('<svg class="holdout"')[2].partition("</svg>")[0]
    assert "coal &amp; &lt;rail&gt;" in figure
    # No change is 1, in the middle; ten times as bad is at the right edge.
    assert re.findall(r'<circle class="(\w+)" cx="([\d.]+)"', figure)[2:] == [
        ("training", "505.0"), ("wide", "740.0")]
    assert "Too coarse." in pages["evidence.html"]
    assert "Too coarse." in pages["limits.html"]
    for claim in CLAIMS.values():
        assert claim in html.unescape(pages["limits.html"])


def test_the_evidence_is_made_of_the_tables_on_file_and_of_the_tests(
    model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(book_evidence, "run_tests", lambda model, progress: run_tests(
        model, ["structure-stocks", "parameter-assessment"]))
    tables = evidence_tables(model)
    assert set(tables) == set(EVIDENCE)
    assert tables["validation"]["id"].tolist() == ["structure-stocks", "parameter-assessment"]
    assert tables["hold-out"]["label"].notna().all()
    shares = tables["hold-out shares"]
    assert shares[["fit", "drivers"]].duplicated().sum() == 0
    assert len(tables["known misses"]) == len(read_table("known_misses.csv"))


def test_series_outside_their_bar_are_named_as_limits(content: BookContent):
    comparison = content.results.comparison
    failed = comparison.fit.assign(passed=[True] * (len(comparison.fit) - 1) + [False])
    results = replace(content.results, comparison=replace(comparison, fit=failed))
    page = book_pages(replace(content, results=results))["limits.html"]
    assert f"1 of {len(failed)} judged series" in page
    assert str(failed["label"].iloc[-1]) in html.unescape(page)


def test_the_checklist_is_computed(content: BookContent, model: Model, results: RunResults):
    def verdict(changed: Model, asked: str) -> str:
        items = checklist(changed, results, {}, content.loops, content.drawing)
        return next(item.verdict for item in items if item.asked.startswith(asked))

    assert verdict(model, "Source of each equation") == "yes"
    variable = model.variables["coal output"]
    bare = replace(model, variables={**model.variables,
                                     "coal output": replace(variable, comment="", lower=None)})
    assert verdict(bare, "Source of each equation") == "partly"
    assert verdict(bare, "Definition and logic") == "partly"
    wrong = replace(model, variables={**model.variables,
                                      "coal output": replace(variable, unit="person")})
    assert verdict(wrong, "Units are consistent") == "no"
    clean = "no" if check_units(model) else "yes"
    assert verdict(model, "Units are consistent") == clean


def test_a_plot_shows_one_history_then_each_scenario_and_the_data(content: BookContent):
    entry = entry_of(content, "coal output")
    years = list(range(2000, 2011))
    one = pd.Series([float(year - 2000) for year in years], index=years)
    other = one.where(one.index < 2006, 5.0)
    observed = pd.DataFrame({"label": "x", "unit": "Mt", "year": [2000], "value": [10.0]})
    drawn = sparkline(replace(entry, scenarios=pd.DataFrame({"baseline": one, "s3-decline": other}),
                              observed=observed), ["baseline", "s3-decline"])
    lines = re.findall(r'<polyline stroke="([^"]*)" points="([^"]*)"', drawn)
    assert [stroke for stroke, _ in lines] == ["#9a9a9a", "#555555", "#8a2f4f"]
    assert [len(points.split()) for _, points in lines] == [6, 6, 6], "they part after 2005"
    # 0 lies on the lower end of the axis, 10 on the upper one.
    assert lines[0][1].startswith("52,102.0 ")
    assert lines[1][1].endswith(" 292,16.0")
    assert '<circle cx="52" cy="16.0" r="2"/>' in drawn
    assert "Mt a year" in drawn


def test_a_plot_has_bands_around_history_and_each_scenario(content: BookContent):
    entry = entry_of(content, "coal output")
    one = pd.Series([5.0] * 11, index=range(2000, 2011))
    other = one.where(one.index < 2006, 4.0)
    spread = {"q05": -5.0, "q25": -1.0, "q50": 0.0, "q75": 1.0, "q95": 5.0}
    bands = {name: pd.DataFrame({level: path + by for level, by in spread.items()})
             for name, path in (("baseline", one), ("s3-decline", other))}
    drawn = sparkline(replace(entry, scenarios=pd.DataFrame({"baseline": one, "s3-decline": other}),
                              bands=bands, observed=entry.observed.head(0)),
                      ["baseline", "s3-decline"])
    found = re.findall(r'<polygon fill="([^"]*)" fill-opacity="([^"]*)" points="([^"]*)"', drawn)
    assert [fill for fill, _, _ in found] == ["#9a9a9a"] * 2 + ["#555555"] * 2 + ["#8a2f4f"] * 2
    assert [opacity for _, opacity, _ in found] == ["0.12", "0.22"] * 3
    # The axis runs from -1, the lowest edge, to 10.
    points = found[0][2].split()
    assert points[0] == "52,94.2"
    assert points[-1] == "52,16.0"
    assert len(points) == 12, "there and back over 2000-2005"


def test_a_constant_has_no_plot_and_a_table_has_its_own(content: BookContent):
    assert sparkline(entry_of(content, "initial coal stockpile"), []) == ""
    curve = sparkline(entry_of(content, "world thermal price table"), [])
    assert curve.count("<polyline") == 1


def test_equal_content_gives_equal_pages(content: BookContent, pages: Mapping[str, str]):
    assert book_pages(content) == pages


def test_the_book_is_written_as_a_whole_or_not_at_all(
    tmp_path: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(experiment, "plan_views", _few_views)
    monkeypatch.setattr(experiment, "run_scenarios", lambda progress: results)
    monkeypatch.setattr(experiment, "evidence_tables", lambda model, progress: {})
    place = book(tmp_path / "book", book_pages, keep=False)
    assert place == tmp_path / "book"
    assert (place / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    assert "sector-coal-mining.html" in manifest["files"]
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(InputError, match="was not written by kuzbass"):
        book(foreign, book_pages, keep=False)
    assert {file.name for file in tmp_path.iterdir()} == {"book", "mine"}
