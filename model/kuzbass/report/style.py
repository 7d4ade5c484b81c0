"""One look for every figure: sizes, colours, units on axes, footers, and how figures are saved.

Figures are made without pyplot, so that nothing is shared between them, and saved so that the
same results give the same bytes.
"""

from __future__ import annotations

import gc
import io
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from kuzbass.region.data import labels

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist

__all__ = [
    "COLOURS",
    "DASHES",
    "HISTORY",
    "OBSERVED",
    "colour",
    "dash",
    "grid",
    "label",
    "legend",
    "name_axes",
    "provenance",
    "save",
    "short",
    "styled",
    "svg",
    "uncollected",
    "unit_label",
]

COLOURS = {
    "baseline": "#555555",
    "s1-coal-paradigm": "#b5541c",
    "s2-interregional": "#1f6f8b",
    "s3-decline": "#8a2f4f",
    "strategy-395": "#c9a227",
}
DASHES = {"baseline": (0, (4, 1.5)), "strategy-395": (0, (6, 1.5, 1, 1.5))}
OBSERVED = "black"
HISTORY = "#9a9a9a"
_SPARE = ("#3b7a3b", "#6a4fa3", "#2b4c9b", "#a3587a", "#6b5b1f")  # for scenarios of a user
_WIDTH, _DPI = 12.3, 130  # inches and dots per inch: 1599 pixels
_SIDE, _BOTTOM = 0.7, 0.72  # margins in inches
_LEGEND_COLUMNS, _LEGEND_ROW, _SUBTITLE_ROW = 4, 0.21, 0.17
_SHORT = 36  # characters that fit over a panel and into a column of the legend
_STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # a fixed place spares matplotlib a search at every drawing
    "axes.labelsize": 8.5,
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#888888",
    "axes.facecolor": "#fbfbf9",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e3e3de",
    "grid.linewidth": 0.7,
    "xtick.bottom": False,  # the grid marks the ticks; drawing both takes a fifth longer
    "ytick.left": False,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": _DPI,
    "savefig.dpi": _DPI,
    "svg.hashsalt": "kuzbass",
    "svg.fonttype": "path",
}
_UNITS = {
    "Mt/year": "Mt a year",
    "USD/t": "USD a tonne",
    "percent": "%",
    "Index2000": "2000 = 100",
    "bn RUB/year": "bn RUB a year",
    "bn RUB2000/year": "bn RUB of 2000 a year",
    "thousand": "thousand persons",
    "thousand person": "thousand persons",
    "thousand m2": "thousand m²",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this block: the style of the project on matplotlib's own defaults."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """Draw many figures inside this block without a search for garbage.

    They are made of some hundred thousand objects, and the search takes a fifth of the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def colour(scenario: str, scenarios: Iterable[str]) -> str:
    """Return the colour of a scenario; one that is not shipped gets a spare one by its place."""
    if scenario in COLOURS:
        return COLOURS[scenario]
    others = [name for name in scenarios if name not in COLOURS]
    return _SPARE[others.index(scenario) % len(_SPARE)]


def dash(scenario: str) -> str | tuple[int, tuple[float, ...]]:
    """Return the line style of a scenario: broken for those without targets of the paper."""
    return DASHES.get(scenario, "-")


def unit_label(unit: str) -> str:
    """Return a unit of the model or the data as it is written on an axis."""
    return _UNITS.get(unit, unit)


def short(text: str) -> str:
    """Shorten a title to what fits over a panel, at a word if it can be."""
    cut = textwrap.shorten(text, _SHORT, placeholder=" …")
    return cut if len(cut) > _SHORT / 3 or cut == text else f"{text[: _SHORT - 2]} …"


def label(variable: str, language: str = "en") -> str:
    """Return the label of a variable, or its name where none is given.

    The base of an index is left out: the unit beside the label says what a value is of.
    """
    table = _labels()
    if variable not in table.index:
        return variable
    return str(table.at[variable, f"label_{language}"]).removesuffix(", 2000 = 100")


@lru_cache(maxsize=1)
def _labels() -> pd.DataFrame:
    # A report asks for a hundred labels; the file is read once.
    return labels()


def name_axes(
    axes: Axes, unit: str, x: str = "year", ticks: int = 5, years: int = 5
) -> None:
    """Write the units on both axes and keep the years whole."""
    axes.set_ylabel(unit_label(unit))
    axes.set_xlabel(x)
    # A fixed place; matplotlib would lay out all ticks a second time to find one.
    inches = axes.figure.dpi_scale_trans
    axes.yaxis.set_label_coords(0, 0.5, axes.transAxes + ScaledTranslation(-0.42, 0, inches))
    axes.xaxis.set_label_coords(0.5, 0, axes.transAxes + ScaledTranslation(0, -0.22, inches))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=years, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks))


def grid(
    title: str,
    subtitle: str,
    note: str,
    panels: int,
    columns: int,
    *,
    height: float,
    gap: tuple[float, float] = (0.75, 0.72),
    legend_entries: int = 0,
    left: float = _SIDE,
    wide: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with its title, footer and a grid of empty panels.

    Parameters
    ----------
    title, subtitle, note : str
        What is seen, how to read it, and the footer.
    panels, columns : int
        Number of panels in all and in one row.
    height : float
        Height of a panel, in inches.
    gap : tuple of float
        Space between panels across and down, in inches.
    legend_entries : int
        Room is kept for a legend of so many entries (see `legend`).
    left : float
        Left margin, in inches.
    wide : float, optional
        Height of a further panel over the whole width, above the others and first in the list.
    """
    rows = math.ceil(panels / columns)
    top = (0.95 + _LEGEND_ROW * math.ceil(legend_entries / _LEGEND_COLUMNS)
           + _SUBTITLE_ROW * subtitle.count("\n"))
    above = 0.0 if wide is None else wide + gap[1]
    total = top + above + rows * height + (rows - 1) * gap[1] + _BOTTOM
    figure = Figure(figsize=(_WIDTH, total))
    FigureCanvasAgg(figure)
    width = (_WIDTH - left - 0.25 - (columns - 1) * gap[0]) / columns
    figure.text(0.25 / _WIDTH, 1 - 0.16 / total, title, size=14, weight="bold", va="top")
    figure.text(0.25 / _WIDTH, 1 - 0.46 / total, subtitle, size=9.5, color="#444444", va="top")
    figure.text(0.25 / _WIDTH, 0.1 / total, note, size=7.5, color="#666666", va="bottom")
    axes = []
    if wide is not None:
        full = (_WIDTH - left - 0.25) / _WIDTH
        axes.append(figure.add_axes((left / _WIDTH, (total - top - wide) / total, full,
                                     wide / total)))
    for number in range(panels):
        row, column = divmod(number, columns)
        x = left + column * (width + gap[0])
        y = total - top - above - (row + 1) * height - row * gap[1]
        axes.append(figure.add_axes((x / _WIDTH, y / total, width / _WIDTH, height / total)))
    return figure, axes


def legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put one legend between the subtitle and the panels of `grid`, outside of the data."""
    top = 0.70 + _SUBTITLE_ROW * figure.texts[1].get_text().count("\n")
    figure.legend(handles, [short(text) for text in names], loc="upper left",
                  ncols=_LEGEND_COLUMNS, borderaxespad=0.0,
                  bbox_to_anchor=(0.25 / _WIDTH, 1 - top / figure.get_figheight()),
                  columnspacing=1.6, handlelength=2.2, borderpad=0.0, labelspacing=0.35)


def provenance(run: xr.Dataset) -> str:
    """Return the footer of a figure: which model, run by what, held against which data."""
    digest = str(run.attrs.get("model_sha256", ""))[:10]
    return (f"Model: {run.attrs.get('model', 'unknown')} {digest}, {run.attrs.get('engine', '')}, "
            f"step {Fraction(float(run.attrs.get('time_step', 0)))} year; "
            "data: Rosstat and others, each number with its source in data/")


def save(figure: Figure, stem: Path) -> tuple[list[Path], str]:
    """Write a figure as PNG and SVG without a date; return both paths and the SVG text."""
    png, vector = stem.with_suffix(".png"), stem.with_suffix(".svg")
    text = svg(figure)
    with styled():
        figure.savefig(png, dpi=_DPI, metadata={"Software": None},
                       pil_kwargs={"compress_level": 2})
    vector.write_text(text, encoding="utf-8")
    return [png, vector], text


def svg(figure: Figure) -> str:
    """Return a figure as SVG text."""
    buffer = io.StringIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"[ \t]+\n", "\n", buffer.getvalue())
