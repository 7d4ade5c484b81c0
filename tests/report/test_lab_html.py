"""The page of an experiment of the policy lab."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kuzbass.report import style
from kuzbass.report.lab_html import Section, lab_page, table_of


def test_a_table_keeps_texts_and_writes_numbers_as_the_reports_do() -> None:
    frame = pd.DataFrame({"policy": ["a & b", "c"], "gain": [-1.234, np.nan], "rank": [1, 2]})
    table = table_of("summary", "A caption", frame)
    assert [cell.text for cell in table.rows[0].cells] == ["a & b", "−1.23", "1"]
    assert [cell.text for cell in table.rows[1].cells] == ["c", "–", "2"]
    assert table.rows[0].cells[0].head
    assert [head.kind for head in table.heads] == ["", "number", "number"]


def test_a_page_escapes_what_a_plan_says_and_loads_nothing() -> None:
    with style.styled():
        figure, _ = style.grid("A figure", "", "", 1, 1, height=1.0)
    table = table_of("one", "Numbers", pd.DataFrame({"name": ["<b>"], "value": [2.0]}))
    empty = table_of("none", "Nothing", pd.DataFrame({"name": []}))
    sections = [Section("about", "What & why", "О чём", ["Made <up>."],
                        {"drawn": "A figure", "missing": "None"}, [table, empty])]
    page = lab_page({"en": "T <1>", "ru": "Т"}, sections, {"drawn": style.svg(figure)},
                    {"seed": 3, "plan": {"name": "mine"}, "none": None})
    assert "Made &lt;up&gt;." in page
    assert "<title>Kuzbass economy: T &lt;1&gt;</title>" in page
    assert page.count("<figure ") == 1
    assert page.count("<table ") == 1
    assert "&lt;b&gt;" in page
    assert "<dt>seed</dt>" in page
    assert "<dt>none</dt>" not in page
    assert "http" not in page
