"""Figures and the HTML report of a run; computes nothing, draws what it is given."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kuzbass.experiments.results import CHAIN
from kuzbass.report import style
from kuzbass.report.figures import figure_names, report_figures
from kuzbass.report.html import html_report

if TYPE_CHECKING:
    from kuzbass.experiments.results import RunResults

__all__ = ["write_report"]

_HELPER = "import sys; from kuzbass.report import draw_given; draw_given(sys.argv[1])"
_Drawn = dict[str, tuple[list[Path], str]]  # the files of a figure, and its SVG text


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
    names = figure_names(results)
    drawn = _draw_in_two(results, names, place)
    report = folder / "report.html"
    report.write_text(html_report(results, {name: drawn[name][1] for name in names}),
                      encoding="utf-8")
    return [*(path for name in names for path in drawn[name][0]), report]


def _draw_in_two(results: RunResults, names: Sequence[str], place: Path) -> _Drawn:
    """Draw with the help of a second process, which takes a third of the time off."""
    # What the helper draws takes as long as the rest, its start included.
    far = [name for name in names if name in {"fit", "sub-indices"}]
    near = [name for name in names if name not in far]
    if (os.cpu_count() or 1) < 2:
        return _draw(results, names, place)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "results.pickle"
        given.write_bytes(pickle.dumps((_slim(results), far, place)))
        # Not multiprocessing: it would run a script of the user a second time.
        helper = subprocess.Popen(  # noqa: S603 - this interpreter, and code of this package
            [sys.executable, "-c", _HELPER, str(given)], stderr=subprocess.DEVNULL)
        try:
            drawn = _draw(results, near, place)
        finally:
            failed = helper.wait()
    if failed:
        return {**drawn, **_draw(results, far, place)}
    for name in far:
        files = [place / f"{name}.png", place / f"{name}.svg"]
        drawn[name] = (files, files[1].read_text(encoding="utf-8"))
    return drawn


def draw_given(file: str) -> None:
    """Draw what another process has left in `file`."""
    results, names, place = pickle.loads(  # noqa: S301 - from the process that started this one
        Path(file).read_bytes())
    _draw(results, names, place)


def _draw(results: RunResults, names: Sequence[str], place: Path) -> _Drawn:
    with style.uncollected():
        return {name: style.save(figure, place / name)
                for name, figure in report_figures(results, names).items()}


def _slim(results: RunResults) -> RunResults:
    """Return the results without the steps that no figure shows."""
    return replace(results, scenarios={
        name: replace(one, run=one.run[[name for name in CHAIN if name in one.run]])
        for name, one in results.scenarios.items()})
