"""Figures and the HTML report of a run; computes nothing, draws what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kuzbass.report import style
from kuzbass.report.figures import report_figures
from kuzbass.report.html import html_report

if TYPE_CHECKING:
    from kuzbass.experiments.results import RunResults

__all__ = ["write_report"]


def write_report(results: RunResults, folder: Path) -> list[Path]:
    """Write the figures of a run as PNG and SVG, and ``report.html``, which needs neither.

    Parameters
    ----------
    results : RunResults
    folder : Path
        An existing folder; figures go into ``figures/`` below it.

    Returns
    -------
    list of Path
        Every file written.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    written: list[Path] = []
    drawings: dict[str, str] = {}
    for name, figure in report_figures(results).items():
        paths, drawings[name] = style.save(figure, place / name)
        written += paths
    report = folder / "report.html"
    report.write_text(html_report(results, drawings), encoding="utf-8")
    return [*written, report]
