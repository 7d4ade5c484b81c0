"""The HTML page of an experiment of the policy lab: one file, inline figures, nothing to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from kuzbass.report import style
from kuzbass.report.html import _TEMPLATES, _Cell, _inline, _number, _record, _Row, _Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "lab_page", "table_of", "write_lab"]


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Attributes
    ----------
    id, en, ru : str
        Anchor and headings.
    paragraphs : sequence of str
    figures : mapping of str to str
        Name of a figure to its caption.
    tables : sequence
        From `table_of`.
    """

    id: str
    en: str
    ru: str
    paragraphs: Sequence[str] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[_Table] = ()


def table_of(name: str, caption: str, frame: pd.DataFrame, digits: int = 2) -> _Table:
    """Return a data frame as a table of a page; its first column heads the rows.

    Parameters
    ----------
    name, caption : str
    frame : DataFrame
        With the headings as column names; numbers get `digits` decimals, whole ones none.
    digits : int
    """
    rows = [_Row([_cell(value, digits, head=place == 0) for place, value in enumerate(row)])
            for row in frame.itertuples(index=False, name=None)]
    return _Table(name, caption, [str(column) for column in frame.columns], rows)


def _cell(value: object, digits: int, *, head: bool) -> _Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _Cell("" if value is None else str(value), head=head)
    return _Cell(_number(value, 0 if isinstance(value, int) else digits), "number", head)


def lab_page(
    title: Mapping[str, str], sections: Sequence[Section], drawings: Mapping[str, str],
    record: Mapping[str, object],
) -> str:
    """Return a page.

    Parameters
    ----------
    title : mapping
        ``en`` and ``ru``.
    sections : sequence of Section
        Empty tables and figures without a drawing are left out.
    drawings : mapping of str to str
        The figures as SVG text.
    record : mapping
        The manifest.
    """
    shown = [Section(one.id, one.en, one.ru, one.paragraphs,
                     {name: text for name, text in one.figures.items() if name in drawings},
                     [table for table in one.tables if table.rows]) for one in sections]
    captions = {name: text for one in shown for name, text in one.figures.items()}
    inline = {name: _inline(svg, name, captions.get(name, name)) for name, svg in drawings.items()}
    return _template().render(title=title, sections=shown, drawings=inline,
                              record=_record(record)) + "\n"


def write_lab(
    title: Mapping[str, str], sections: Sequence[Section], figures: Mapping[str, Figure],
    record: Mapping[str, object], folder: Path,
) -> None:
    """Write figures as PNG and SVG into ``figures/``, and ``report.html``, below `folder`."""
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    drawings = {name: style.save(figure, place / name)[1] for name, figure in figures.items()}
    (folder / "report.html").write_text(lab_page(title, sections, drawings, record),
                                        encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True,
                              trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("lab.html.j2")
