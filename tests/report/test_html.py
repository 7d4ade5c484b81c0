"""The report is one valid page that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from kuzbass.experiments.results import RunResults
from kuzbass.report import write_report
from kuzbass.report.html import html_report

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Page(HTMLParser):
    """Checks that tags close in order and collects ids, references, tables and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.cells: dict[str, list[list[str]]] = {}
        self._table = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for name, value in attrs:
            self.references += re.findall(r"url\(#([^)]*)\)", value or "")
            if name in ("href", "xlink:href", "src"):
                (self.references if value.startswith("#") else self.outside).append(
                    value.lstrip("#"))
        if tag == "table":
            self._table = given["id"]
            self.rows[self._table] = []
            self.cells[self._table] = []
        if tag == "tr":
            self.rows[self._table].append(given.get("class", ""))
            self.cells[self._table].append([])
        if tag in ("td", "th"):
            self.cells[self._table][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[self._table][-1][-1] += data


@pytest.fixture(scope="module")
def folder(results: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(results, folder)
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_files(folder):
    names = ["trajectories", "index", "sub-indices", "target-gaps", "crisis-2020", "fit"]
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(
        f"{name}{suffix}" for name in names for suffix in (".png", ".svg"))


def test_tags_nest_and_close(page):
    assert page.open == []


def test_the_check_of_nesting_finds_a_fault():
    with pytest.raises(AssertionError):
        Page("<p><b>x</p></b>")


def test_ids_are_unique_and_references_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    assert set(page.references) <= set(page.ids)
    assert {"about", "targets", "record", "limits"} <= set(page.references)


def test_nothing_comes_from_outside(html, page):
    assert page.outside == []
    assert "http" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)


def test_six_drawings_stand_inline(page):
    assert page.tags.count("svg") == 6
    assert page.tags.count("figure") == page.tags.count("figcaption") == 6


def test_81_target_rows_with_their_values(page, results):
    rows = [kind for kind in page.rows["table-targets"] if kind.startswith("target")]
    targets = results.comparison.targets
    assert len(rows) == 81
    assert rows.count("target in") == int(targets["inside"].sum())
    cells = page.cells["table-targets"][1:]
    for found, (_, row) in zip(cells, targets.iterrows(), strict=True):
        assert found[0] == row["indicator"]
        assert found[2:4] == [row["scenario"], str(row["year"])]
        assert float(found[4].replace("−", "-").replace("\u202f", "")) == pytest.approx(
            row["simulated"], abs=0.0501)
        assert found[6] == row["unit"]
        verdict = "inside" if row["inside"] else "above" if row["gap"] > 0 else "below"
        assert found[9] == verdict
    coal = [found[5] for found in cells if found[0] == "Coal output"]
    assert coal[:3] == ["220–230", "230–250", "250–270"]


def test_claims_give_verdict_and_family_share(page, results):
    claims = results.comparison.index_claims
    cells = page.cells["table-claims"][1:]
    assert [found[0] for found in cells] == list(claims["claim"])
    assert [found[-2] for found in cells] == list(claims["verdict"])
    assert all(found[-1].endswith("%") for found in cells)


def test_fit_table_has_every_series(page, results):
    assert [found[0] for found in page.cells["table-fit"][1:]] == list(
        results.comparison.fit["label"])


def test_text_of_a_scenario_cannot_break_the_page(html):
    assert "The horizon is &lt;short&gt; &amp; made up." in html
    assert "<continued>" not in html
    assert "Coal paradigm &lt;continued&gt; &amp; more" in html


def test_headings_are_bilingual(html):
    assert html.count('<span class="sub" lang="ru">') == 10
    assert "Индекс резильентности" in html


def test_index_is_called_reconstructed(html):
    assert "<strong>reconstructed list of indicators, not the authors&#39; own</strong>" in html


def test_the_manifest_is_shown(html, results):
    assert f"file kuzbass.mdl, sha256 {results.manifest['model']['sha256']}" in html
    assert "<dt>until</dt>\n<dd>2035</dd>" in html
    assert "<dt>scenarios</dt>\n<dd><details><summary>show</summary><pre>" in html
    assert "<dt>seed</dt>" not in html


def test_repeated_report_is_byte_equal(results, folder, tmp_path):
    again = write_report(results, tmp_path)
    for path in again:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_empty_comparisons_are_said_not_drawn(results):
    comparison = replace(
        results.comparison, targets=results.comparison.targets.head(0), fit=pd.DataFrame(),
        distance=results.comparison.distance.head(0),
        index_claims=results.comparison.index_claims.head(0))
    text = html_report(replace(results, comparison=comparison, notes=()), {})
    page = Page(text)
    assert page.open == []
    assert "table-targets" not in page.rows
    assert "No target of the paper concerns the scenarios and years of this run." in text
    assert "No claim of the paper concerns the scenarios and years of this run." in text
    assert "This run covers no judged year." in text


def test_captions_say_what_the_bands_hold(html: str, results: RunResults) -> None:
    parameters, drivers = results.bands.parameters, results.bands.drivers
    assert html.count(f"Bands: 50 and 90 % of 99 runs over {parameters}, {drivers}.") == 4
    assert html.count(f"Bands: 50 and 90 % of 99 runs over {parameters}.") == 2


def test_figures_are_drawn_here_if_the_helper_fails(
    folder: Path, results: RunResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuzbass.report._HELPER", "raise SystemExit(3)")
    write_report(results, tmp_path)
    for name in ("figures/fit.svg", "figures/fit.png", "figures/sub-indices.svg", "report.html"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
