"""The figures of the findings page, as small PNG files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from PIL import Image

from kuzbass.experiments.lab.attain import VERDICTS
from kuzbass.report import style
from kuzbass.report.attain import VERDICT_COLOURS, surface_figure
from kuzbass.report.lab_figures import note
from kuzbass.report.lab_robust import satisficing_bars
from kuzbass.report.sensitivity import totals_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kuzbass.experiments.findings import Findings

__all__ = ["CHAIN", "POLICIES", "SENSITIVITY", "SURFACE", "TARGETS", "chain_figure",
           "findings_figures", "save", "targets_matrix"]

CHAIN, TARGETS, SURFACE, POLICIES, SENSITIVITY = (
    f"findings-{name}.png" for name in ("chain", "targets", "surface", "policies", "sensitivity"))
_SIMULATED, _WITHOUT = "#b5541c", "#1f6f8b"
_DPI, _SHADES = 85, 128  # a page wants small files: fewer dots, a palette
_LABELS = 2.6  # inches for the names of rows


def findings_figures(found: Findings) -> dict[str, Figure]:
    """Return every figure by file name, in reading order."""
    return {CHAIN: chain_figure(found), TARGETS: targets_matrix(found),
            SURFACE: surface_figure(next(iter(found.attained.values()))),
            POLICIES: satisficing_bars(found.robust),
            SENSITIVITY: totals_figure(found.sensitivity)}


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG with a palette, without a date."""
    buffer = io.BytesIO()
    with style.styled():
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(_SHADES, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)
    return path


@style.styled()
def chain_figure(found: Findings) -> Figure:
    """Draw every link of the chain: observed, its bar, simulated, and without the shock."""
    chain, replay = found.chain, found.replay
    figure, (axis,) = style.grid(
        f"The domino chain of {replay.first}",
        f"Change from {replay.first - 1} to {replay.first}. Grey: within the bar of the link.",
        _footer(found), 1, 1, height=0.4 * len(chain) + 0.3, left=_LABELS, legend_entries=4)
    places = np.arange(len(chain))[::-1]
    for y, (_, row) in zip(places, chain.iterrows(), strict=True):
        if np.isfinite(row["bar"]):
            axis.add_patch(Rectangle((row["observed"] - row["bar"], y - 0.3), 2.0 * row["bar"],
                                     0.6, color="#d9d9d4"))
        axis.plot([row["observed"], row["simulated"]], [y, y], color="#888888", lw=0.8)
    axis.plot(chain["without"], places, ls="", marker="|", ms=11, mew=2.0, color=_WITHOUT)
    axis.plot(chain["observed"], places, ls="", marker="o", ms=7, color=style.OBSERVED)
    axis.plot(chain["simulated"], places, ls="", marker="D", ms=6, color=_SIMULATED)
    axis.axvline(0.0, color="#888888", lw=0.8)
    axis.set_yticks(places, list(chain["label"]))
    axis.set_ylim(-0.6, len(chain) - 0.4)
    axis.set_xlabel("%")
    style.legend(figure, [
        Line2D([], [], ls="", marker="o", ms=7, color=style.OBSERVED),
        Line2D([], [], ls="", marker="D", ms=6, color=_SIMULATED),
        Line2D([], [], ls="", marker="|", ms=11, mew=2.0, color=_WITHOUT),
        Patch(color="#d9d9d4")], ["Observed", "Simulated", "Without the shock", "Within the bar"])
    return figure


@style.styled()
def targets_matrix(found: Findings) -> Figure:
    """Draw what each target takes if it is asked for alone, and which are met together."""
    scenarios = {name: one for name, one in found.attained.items() if len(one.targets) > 1}
    tables = {name: one.targets for name, one in scenarios.items()}
    rows = list(dict.fromkeys(row for table in tables.values() for row in table["indicator"]))
    figure, axes = style.grid(
        "What each target would take",
        "Colour: what it takes if it is asked for alone. Dot: in the largest set that can be met "
        "together.", _footer(found), len(tables), max(len(tables), 1),
        height=0.3 * len(rows) + 0.2, gap=(0.2, 0.6), left=_LABELS, legend_entries=5)
    for place, (axis, (name, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        years = sorted(set(table["year"]))
        for _, row in table.iterrows():
            x, y = years.index(row["year"]), len(rows) - 1 - rows.index(row["indicator"])
            axis.add_patch(Rectangle((x - 0.48, y - 0.45), 0.96, 0.9,
                                     color=VERDICT_COLOURS[str(row["verdict"])]))
            if row["together"]:
                axis.plot(x, y, "o", color="white", ms=5)
        axis.set_xlim(-0.6, len(years) - 0.4)
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set_xticks(range(len(years)), [str(year) for year in years])
        axis.set_yticks(range(len(rows)), [row.split(",")[0] for row in reversed(rows)]
                        if place == 0 else [""] * len(rows))
        axis.grid(visible=False)
        axis.set_title(name)
    style.legend(figure, [Patch(color=VERDICT_COLOURS[name]) for name in VERDICTS],
                 [name.capitalize() for name in VERDICTS])
    return figure


def _footer(found: Findings) -> str:
    return note(next(iter(found.attained.values())).manifest)
