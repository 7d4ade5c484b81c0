"""Shocks from files and from the command line: what they do, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.shock import ShockResult, command_shock, shock
from kuzbass.experiments.shock_views import HEADLINES
from kuzbass.region.crises import CRISES, GROUPS, crisis, group_of, held_paths, recorded_path
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import load_scenario
from kuzbass.region.shocks import ShockLine, apply_shocks, load_shock, read_line, shock_names
from kuzbass.sd.mdl import load_model


@pytest.fixture(scope="module")
def result(export_shock: ShockResult) -> ShockResult:
    return export_shock


def line(**values: object) -> ShockLine:
    return read_line(**{"on": "world thermal price", "by": "-20%", "from": 2026.0, "for": 2.0,
                        **values})


def moved(*lines: ShockLine) -> tuple[pd.Series, pd.Series]:
    interface = model_interface(load_model(), end=2036.0)
    inputs = resolve(load_scenario("baseline"), interface)
    found = apply_shocks(lines, inputs, interface, Path("test.yaml"))
    name = found.names[0]
    before, after = found.base[name], found.shocked[name]
    assert isinstance(before, pd.Series)
    assert isinstance(after, pd.Series)
    return before, after


def test_both_runs_are_bit_equal_before_the_shock(result: ShockResult) -> None:
    assert result.start == 2026.0
    before = result.base["time"].to_numpy() < result.start
    assert before.sum() == 26 * 16
    for name in result.base.data_vars:
        one = result.base.variables[name].to_numpy()
        other = result.shocked.variables[name].to_numpy()
        np.testing.assert_array_equal(one[before], other[before])
    at_once = result.base["time"].to_numpy() == result.start
    assert (result.base["coal exports"].to_numpy() != result.shocked["coal exports"].to_numpy())[
        at_once].all()


def test_the_chain_falls_from_exports_to_the_budget(result: ShockResult) -> None:
    table = result.sectors
    chain = ["Coal market and transport", "Coal mining", "Coal finance", "Output and prices",
             "Regional budget"]
    assert (table.loc[chain, "peak_share"] < 0.0).all()
    assert table.at["Coal market and transport", "onset_10"] <= table.at["Coal mining", "onset_10"]
    assert table.at["Coal market and transport", "onset_1"] <= table.at[
        "Regional budget", "onset_1"]
    assert table["share_of_loss"].sum() == pytest.approx(1.0)
    # A fifth less demand cannot cost more than a fifth of the exports.
    assert -0.2 - 1e-9 <= table.at["Coal market and transport", "peak_share"] < -0.1
    assert set(table["variable"]) == set(HEADLINES.values())


def test_every_cut_through_time_carries_the_whole_response(result: ShockResult) -> None:
    assert result.attribution.residual < 1e-6
    np.testing.assert_allclose(result.attribution.cuts, 1.0, atol=1e-6)
    assert "largest residual is" in " ".join(result.notes)


def test_accounting_and_cutting_stand_side_by_side(result: ShockResult) -> None:
    links = result.links.set_index(["cause", "effect"])
    assert {"share", "lost", "rank_share", "rank_lost"} == set(links.columns)
    last = links.xs("real GRP index", level="effect")
    # All of the response of a stock is lost if nothing of its rate gets in.
    assert last["lost"].iloc[0] == pytest.approx(1.0)
    assert -1.0 <= result.agreement <= 1.0
    assert set(result.loops.interaction.columns) == set(result.loops.table["name"])
    assert len(result.loops.table) >= 10
    assert result.stations.set_index("variable").at["coal revenue", "lost"] != 0.0


def test_paths_start_at_the_shock_and_end_at_the_target(result: ShockResult) -> None:
    paths = result.paths.paths
    assert all(path.variables[0] == "foreign demand multiplier" for path in paths)
    assert all(path.variables[-1] == "real GRP index" for path in paths)
    assert all(len(set(path.variables)) == len(path.variables) for path in paths)
    assert result.paths.listed + result.paths.rest == pytest.approx(1.0)
    assert result.routes["share"].sum() == pytest.approx(result.paths.listed)
    edges = set(zip(result.network["cause"], result.network["effect"], strict=True))
    assert ("foreign demand multiplier" in {cause for cause, _ in edges})


def test_the_sweep_turns_with_sign_and_size(result: ShockResult) -> None:
    peaks = result.sweep.set_index(["variable", "size"])["peak_share"]
    assert peaks["coal exports", -1.0] > 0.0 > peaks["coal exports", 1.0]
    assert peaks["coal exports", 2.0] < peaks["coal exports", 1.0] < peaks["coal exports", 0.5]
    # Track capacity is short: more demand helps less than less demand hurts.
    assert abs(peaks["real GRP index", -1.0]) < abs(peaks["real GRP index", 1.0])
    assert result.measures.at["coal exports", "asymmetry"] > 0.05


def test_the_folder_is_whole(result: ShockResult) -> None:
    manifest = json.loads((result.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["residual"] == result.attribution.residual
    assert manifest["shock"]["shocks"][0]["by"] == "-20%"
    assert {"links.csv", "paths.csv", "measures.csv", "sectors.csv", "runs.nc", "loops.csv",
            "interaction.csv", "sweep.csv", "network.csv"} <= set(manifest["files"])
    measured = pd.read_csv(result.folder / "measures.csv", index_col="variable")
    assert measured.at["real GRP index", "peak"] == pytest.approx(
        result.measures.at["real GRP index", "peak"])


def test_every_shipped_shock_moves_its_inputs_only_in_its_window() -> None:
    names = shock_names()
    assert {"export-demand-fall", "price-slide", "rail-outage", "as-in-2020"} <= set(names)
    interface = model_interface(load_model(), end=2036.0)
    inputs = resolve(load_scenario("baseline"), interface)
    for name in names:
        file = load_shock(name)
        found = apply_shocks(file.shocks, inputs, interface, Path(f"{name}.yaml"))
        begin = min(one.start for one in file.shocks)
        assert found.start >= begin
        for one in found.names:
            before, after = found.base[one], found.shocked[one]
            assert isinstance(before, pd.Series)
            assert before[before.index < begin].equals(after[after.index < begin])


def test_shapes() -> None:
    before, pulse = moved(line())
    ratio = pulse / before
    assert ratio[2026.0] == pytest.approx(0.8)
    assert ratio[2027.9375] == pytest.approx(0.8)
    assert (ratio[2025.9375], ratio[2028.0]) == (1.0, 1.0)
    _, profile = moved(line(by=None, **{"for": None}, shape="profile",
                            profile={0: "0%", 1: "-10%", 2: "0%"}))
    ratio = profile / before
    assert ratio[2026.5] == pytest.approx(0.95)
    assert ratio[2027.0] == pytest.approx(0.9)
    assert ratio[2030.0] == 1.0
    _, ramp = moved(line(shape="ramp", by=-10.0))
    assert (before - ramp)[2027.0] == pytest.approx(5.0)
    assert (before - ramp)[2033.0] == pytest.approx(10.0)


def test_a_recorded_shock_is_the_crisis_against_the_year_before() -> None:
    before, after = moved(line(by=None, shape="recorded", recorded=2020, **{"for": 1.0}))
    table = model_interface(load_model()).drivers["world thermal price"].table
    assert table is not None
    grid = np.arange(2019.0, 2020.0, 1 / 16)
    mean = np.interp(grid, table.index, table).mean()
    then = np.interp(2020.5, table.index, table)
    assert (after / before)[2026.5] == pytest.approx(then / mean)
    assert (after / before)[2027.0] == 1.0


def test_growth_is_recorded_as_a_difference() -> None:
    interface = model_interface(load_model(), end=2036.0)
    setting = interface.drivers["national GDP growth"]
    base = np.full(len(interface.grid), 0.01)
    path = recorded_path("national GDP growth", setting, base, interface.grid, crisis(2009),
                         2030.0, 0.5)
    # -7.8 % in 2009 after +5.2 % in 2008.
    at = np.searchsorted(interface.grid, 2030.25)
    assert path[at] == pytest.approx(0.01 - 0.078 - 0.052, abs=0.002)


def test_every_driver_belongs_to_one_group_of_the_replays() -> None:
    drivers = set(model_interface(load_model()).drivers)
    assert set(group_of(model_interface(load_model()))) == drivers
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(drivers)
    assert list(GROUPS) == ["price", "demand", "transport", "exchange rate", "national economy"]
    held = held_paths(model_interface(load_model(), end=2036.0), CRISES[2020])
    grid = model_interface(load_model(), end=2036.0).grid
    assert len(set(held["exchange rate"][grid >= 2020.0])) == 1


@pytest.mark.parametrize(("values", "message"), [
    ({"on": "world termal price"}, r"shocks\.0\.on: unknown variable .*world thermal price"),
    ({"by": "-120%"}, r"value out of range \(found: -.*allowed: 0 to 500 USD/t\)"),
    ({"from": 2026.01, "for": 0.02}, r"the shock moves nothing: no step of the run lies in it"),
    ({"from": 2040.0}, r"the shock moves nothing"),
    ({"by": "0%"}, r"shocks: the shock moves nothing"),
    ({"on": "reserve saving share", "by": None, "shape": "recorded", "recorded": 2020},
     r"has no recorded profile"),
])
def test_a_bad_shock_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        moved(line(**values))


@pytest.mark.parametrize(("values", "message"), [
    ({"by": "many"}, r"by: not the size of a shock"),
    ({"from": 1990.0}, r"from: year outside the horizon.*2000 to 2050"),
    ({"for": -1.0}, r"for: value out of range"),
    ({"shape": "wave"}, r"shape: not allowed"),
    ({"shape": "step"}, r"the length does not go with the shape"),
    ({"by": None}, r"the size does not go with the shape"),
    ({"by": None, "shape": "recorded", "recorded": 2011}, r"there is no crisis to replay"),
    ({"strength": 3}, r"strength: unknown key"),
    ({"by": None, "shape": "profile", "for": None, "profile": {0: "1%", 1: 2.0}},
     r"the sizes of a profile differ in kind"),
])
def test_a_bad_key_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        line(**values)


def test_a_computed_variable_is_refused_with_its_causes(tmp_path: Path) -> None:
    given = command_shock(["coal exports"], ["-20%"], start=2026.0, years=2.0)
    with pytest.raises(InputError, match=r"found: coal exports; allowed: causes of it such as "):
        shock(given, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sizes_must_match_names() -> None:
    with pytest.raises(InputError, match="every shock needs a size"):
        command_shock(["a", "b"], ["1%", "2%", "3%"], start=2026.0, years=1.0)
    both = command_shock(["world thermal price", "world coking price"], ["-10%"], start=2026.0,
                         years=1.0)
    assert [one.by for one in both.shocks] == ["-10%", "-10%"]


@pytest.mark.parametrize(("text", "message"), [
    ("", "the file is empty"),
    ("name: other\n", r"key missing"),
    ("name: bad\ncolour: red\n", r"colour: unknown key"),
    ("- 1\n", "not a shock"),
])
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_shock(path)
    with pytest.raises(InputError, match=r"no such shock.*export-demand-fall"):
        load_shock("export-demand-fal")


def test_overlapping_shocks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    one = "  - {on: exchange rate, by: 10%, from: 2026, for: 3}\n"
    path.write_text("name: twice\ntitle: {en: a, ru: b}\nnarrative: c\nshocks:\n" + one + one,
                    encoding="utf-8")
    with pytest.raises(InputError, match="shocks overlap"):
        load_shock(path)


SCRIPT = """
import json, resource, sys
from kuzbass.experiments.shock import command_shock, shock
from kuzbass.report.shock_figures import write_shock_figures
given = command_shock(["export demand"], ["-20%"], start=2026.0, years=2.0)
shock(given, out=sys.argv[1], draw=write_shock_figures)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "mebibytes": used.ru_maxrss / 1024}))
"""


@pytest.mark.slow
def test_a_shock_takes_under_30_seconds_and_2_gibibytes(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "out")],
                          capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    # Processor time of one thread: the clock on the wall depends on who else is at work.
    assert measured["seconds"] < 30.0
    assert measured["mebibytes"] < 2048.0
