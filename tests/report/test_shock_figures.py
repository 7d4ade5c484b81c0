"""Figures of shocks, replays and loops: what they show, and that nothing leaves the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kuzbass.experiments.loops import LoopsResult, loops
from kuzbass.experiments.replay import ReplayResult
from kuzbass.experiments.shock import ShockResult
from kuzbass.region.crises import GROUPS
from kuzbass.report import network, replay_figures, shock_figures, style


@pytest.fixture(scope="module")
def result(export_shock: ShockResult) -> ShockResult:
    return export_shock


@pytest.fixture(scope="module")
def crisis(crisis_2020: ReplayResult) -> ReplayResult:
    return crisis_2020


@pytest.fixture(scope="module")
def figures(result: ShockResult, crisis: ReplayResult) -> dict[str, Figure]:
    return {
        "cascade": shock_figures.cascade_timeline(result),
        "heat map": shock_figures.heat_map(result),
        "both views": shock_figures.both_views(result),
        "routes": shock_figures.routes(result),
        "sweep": shock_figures.sweep(result),
        "responses": shock_figures.responses(result),
        "network": network.network_figure(result),
        "replay": replay_figures.replay_figure(crisis),
        "waterfall": replay_figures.waterfall(crisis),
        "what if": replay_figures.what_if(crisis),
    }


def test_every_figure_is_written_and_names_its_model(
    result: ShockResult, crisis: ReplayResult, figures: dict[str, Figure]
) -> None:
    written = {path.name for path in (result.folder / "figures").iterdir()}
    assert written == {f"{name}.{kind}" for kind in ("png", "svg") for name in (
        "cascade", "heat-map", "network", "both-views", "routes", "sweep", "responses")}
    written = {path.stem for path in (crisis.folder / "figures").iterdir()}
    assert written == {"replay", "waterfall", "what-if"}
    digest = str(result.base.attrs["model_sha256"])[:10]
    for figure in figures.values():
        assert any(digest in text.get_text() for text in figure.texts)


def test_no_text_leaves_the_page(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        with style.styled():
            figure.canvas.draw()
        page = figure.bbox
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of Agg
        texts = [*figure.texts, *(text for axis in figure.axes if axis.axison for text in (
            axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label,  # type: ignore[attr-defined]  # set to the left
            *axis.get_yticklabels(), *axis.texts))]
        for text in texts:
            if text.get_text().strip() and text.get_visible():
                box = text.get_window_extent(renderer)
                assert box.x0 >= page.x0 - 1.0, (name, text.get_text())
                assert box.x1 <= page.x1 + 1.0, (name, text.get_text())


def test_the_timeline_puts_the_first_sector_on_top(result: ShockResult) -> None:
    axis = shock_figures.cascade_timeline(result).axes[0]
    bars = axis.get_images()
    assert len(bars) == len(result.sectors)
    # Rows go down the page in the order of onset.
    onsets = result.sectors["onset_1"].fillna(np.inf)
    assert onsets.is_monotonic_increasing
    first = np.asarray(bars[0].get_array())[0]
    share = result.shares[str(result.sectors["variable"].iloc[0])].to_numpy()
    shown = ~np.ma.getmaskarray(np.ma.masked_invalid(first))
    np.testing.assert_array_equal(shown, (np.abs(share) > 0.01)[:len(first)])


def test_the_waterfall_ends_where_the_simulation_does(crisis: ReplayResult) -> None:
    figure = replay_figures.waterfall(crisis)
    table = crisis.waterfall.set_index("variable")
    for axis, name in zip(figure.axes, replay_figures.FALLS, strict=True):
        bars = axis.patches
        assert len(bars) == len(GROUPS) + 2
        tops = [bar.get_y() + bar.get_height() for bar in bars]  # type: ignore[attr-defined]  # rectangles
        assert tops[-2] == pytest.approx(tops[-1], abs=1e-9)
        assert tops[-1] == pytest.approx(table.at[name, "simulated"])
        low, high = axis.get_ylim()
        assert low <= min(tops) <= max(tops) <= high


def small() -> pd.DataFrame:
    rows = []
    for time, size in ((1.0, 0.5), (2.0, 1.0)):
        for cause, effect, share in (("a", "b", 0.7), ("b", "c", 0.7), ("c", "d", 0.7),
                                     ("a", "d", 0.3), ("b", "e", 0.4), ("d", "b", 0.1)):
            rows.append((time, cause, effect, -size * share))
    return pd.DataFrame(rows, columns=["time", "cause", "effect", "carried"])


def test_the_network_keeps_what_leads_to_the_target() -> None:
    drawing = network.draw_network(small(), ["a"], "d")
    # e leads nowhere; c only passes on what b gave it.
    assert set(drawing.places) == {"a", "b", "d"}
    assert drawing.hidden["b", "d"] == ("c",)
    np.testing.assert_allclose(drawing.carried["b", "d"], [-0.35, -0.7])
    assert drawing.places["a"][0] < drawing.places["b"][0] < drawing.places["d"][0]
    # The arrow that closes a loop runs back, over the boxes.
    assert drawing.routes["d", "b"][0][0] > drawing.routes["d", "b"][-1][0]
    points = [point for route in drawing.routes.values() for point in route]
    assert all(0.0 <= x <= 1.0 and 0.0 <= y <= 1.0 for x, y in points)


def test_arrows_swell_with_the_share_they_carry(result: ShockResult) -> None:
    drawing = network.draw_network(result.network, result.sources, result.target)
    last = [edge for edge in drawing.carried if edge[1] == result.target]
    peak = int(np.abs(drawing.times - result.at).argmin())
    assert all(np.abs(drawing.carried[edge]).argmax() in range(peak - 2, peak + 3)
               for edge in last)
    panel = network.network_figure(result).axes[0]
    widths = sorted(patch.get_linewidth() for patch in panel.patches
                    if type(patch).__name__ == "PathPatch")
    assert widths[-1] > 5.0 * widths[0]


def test_the_page_is_whole_in_itself(result: ShockResult) -> None:
    page = (result.folder / "network.html").read_text(encoding="utf-8")
    drawing = network.draw_network(result.network, result.sources, result.target)
    assert page.count('class="arrow"') == len(drawing.routes)
    assert page.count('class="box"') == len(drawing.places)
    # Nothing is fetched from anywhere.
    assert not re.search(r'(?:src|href)\s*=\s*["\']', page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert '"carried"' in page


def test_the_page_escapes_a_title(result: ShockResult) -> None:
    page = network.network_page(replace(result, title="<script>alert(1)</script>"))
    assert "<script>alert(1)" not in page


@pytest.mark.slow
def test_the_area_of_the_loops_stacks_to_one(tmp_path: Path) -> None:
    result: LoopsResult = loops(["baseline"], out=tmp_path / "out",
                                draw=shock_figures.write_loops_figures)
    assert (result.folder / "figures" / "area-history.svg").exists()
    axis = replay_figures.area_figure(result, "history").axes[0]
    edges = np.concatenate([np.concatenate([path.vertices[:, 1] for path in shade.get_paths()])
                            for shade in axis.collections])
    assert edges.max() - edges.min() <= 200.0 + 1e-6
