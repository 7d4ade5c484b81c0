"""The command line: what it does, and what it says when it cannot."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kuzbass import __version__
from kuzbass.cli import main
from kuzbass.region.scenario import scenario_names

QUICK = ["--dt", "1/8", "--until", "2024"]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kuzbass(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command; return exit code, stdout and stderr."""

    def run(*args: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.fixture
def csv_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out netCDF and figures, which take most of the time of a short run."""
    monkeypatch.setattr("kuzbass.report.write_report", lambda _results, _folder: [])
    monkeypatch.setattr("kuzbass.experiments.tables.write_grid", lambda _grid, _file: None)


def scenario(place: Path, body: str = "", *, name: str = "mine", extends: str = "baseline") -> Path:
    text = f"""name: {name}
title: {{en: Mine, ru: Моё}}
narrative: Made up for a test.
extends: {extends}
{body}"""
    path = place / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_version(kuzbass: Command) -> None:
    assert kuzbass("--version") == (0, f"kuzbass {__version__}\n", "")


def test_no_command_shows_the_help(kuzbass: Command) -> None:
    code, out, _ = kuzbass()
    assert code == 0
    for command in ("run", "list", "check"):
        assert f"\n  {command}" in out


def test_list(kuzbass: Command) -> None:
    code, out, _ = kuzbass("list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == scenario_names()
    code, out, _ = kuzbass("list", "--variables")
    assert code == 0
    assert "RUB/USD  [10 to " in next(line for line in out.splitlines() if "exchange rate" in line)


@pytest.mark.slow
def test_run_of_a_file_writes_one_whole_folder(
    kuzbass: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = scenario(tmp_path, "shocks:\n  - {on: exchange rate, by: '10%', from: 2025, for: 1}\n")
    args = ["run", str(file), "--scenario", "baseline", "--dt", "1/8", "--until", "2025"]
    code, out, err = kuzbass(*args)
    assert (code, err) == (0, "")
    folder = tmp_path / "kuzbass-out" / "run"
    assert f"Written to {folder}" in out
    assert "ends with 2025" in out
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == shlex.join(["kuzbass", *args])
    assert manifest["time_step"] == 0.125
    assert set(manifest["scenarios"]) == {"baseline", "mine"}
    assert set(manifest["files"]) == tree(folder) - {"manifest.json", "figures"}
    table = pd.read_csv(folder / "annual.csv").set_index(["scenario", "variable", "year"])["value"]
    ratio = table["mine", "exchange rate", 2025] / table["baseline", "exchange rate", 2025]
    assert ratio == pytest.approx(1.1)
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.usefixtures("csv_only")
def test_run_twice_gives_the_same_csv_and_replaces_the_folder(
    kuzbass: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = ("run", "--scenario", "s3-decline", *QUICK, "--out", out)
    assert kuzbass(*args)[0] == 0
    first = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    assert len(first) == 8
    (out / "stale.csv").write_text("x", encoding="utf-8")
    assert kuzbass(*args)[0] == 0
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == first
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.usefixtures("csv_only")
def test_keep_writes_beside(kuzbass: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    args = ("run", "--scenario", "baseline", *QUICK, "--out", tmp_path / "out", "--keep")
    code, text, _ = kuzbass(*args)
    assert code == 0
    assert f"Written to {tmp_path / 'out-2'}" in text
    assert list((tmp_path / "out").iterdir()) == []


# Each case: the file's body, and what the message must say (key, value, what is allowed).
BAD_BODIES = {
    "unknown key": ("driver: {}\n", ["driver", "unknown key", "allowed: drivers"]),
    "unknown variable": (
        "drivers:\n  exchange rat: {path: {2026: 9}, basis: assumption, range: [8, 9], why: x}\n",
        ["drivers.exchange rat", "unknown variable", "exchange rate"]),
    "computed variable": (
        "parameters:\n  coal output: {value: 400, basis: assumption, why: x}\n",
        ["parameters.coal output", "a scenario sets causes", "allowed: drivers"]),
    "wrong section": (
        "parameters:\n  western port programme: {value: 1, basis: assumption, why: x}\n",
        ["parameters.western port programme", "wrong section", "allowed: under policies"]),
    "wrong type": (
        "policies:\n  western port programme: {value: much, from: 2026, basis: x, why: x}\n",
        ["policies.western port programme.value", "number", "found: much"]),
    "value out of range": (
        "policies:\n  western port programme: {value: 99, from: 2026, basis: assumption, why: x}\n",
        ["policies.western port programme", "found: 99", "allowed: ", " to 10 Mt/(year*year)"]),
    "year outside the horizon": (
        "drivers:\n  exchange rate: {path: {2019: 90}, basis: assumption, range: [1, 2], why: x}\n",
        ["drivers.exchange rate.path", "year outside the horizon", "2019",
         "allowed: 2025 to 2050"]),
    "policy before the horizon": (
        "policies:\n  western port programme: {value: 1, from: 2020, basis: assumption, why: x}\n",
        ["policies.western port programme.from", "2025", "found: 2020"]),
    "overlapping shocks": (
        "shocks:\n  - {on: exchange rate, by: '-5%', from: 2026, for: 2}\n"
        "  - {on: exchange rate, by: 3, from: 2027, for: 1}\n",
        ["shocks overlap", "'exchange rate' from 2026 and from 2027"]),
    "broken YAML": ("drivers: [\n", ["line 6", "broken YAML"]),
    "key given twice": ("extends: baseline\n", ["line 5", "the key 'extends' stands twice"]),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_scenario_is_one_message_and_nothing_is_written(
    kuzbass: Command, tmp_path: Path, case: str
) -> None:
    body, expected = BAD_BODIES[case]
    file = scenario(tmp_path, body)
    code, out, err = kuzbass("run", file, *QUICK, "--out", tmp_path / "deep" / "out")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {file}: ")
    assert err.count("\n") == 1
    for part in expected:
        assert part in err
    assert tree(tmp_path) == {"mine.yaml"}
    assert kuzbass("check", file) == (2, "", err)


@pytest.mark.parametrize(("content", "expected"), [
    (None, "file not found"),
    (b"", "the file is empty"),
    (b"name: \xff\xfe\n", "not UTF-8 text (allowed: UTF-8)"),
    (b"- a list\n", "not a scenario"),
])
def test_unreadable_scenario(
    kuzbass: Command, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    code, out, err = kuzbass("run", file, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {file}: ")
    assert expected in err
    assert not (tmp_path / "out").exists()


def test_cyclic_extends(kuzbass: Command, tmp_path: Path) -> None:
    scenario(tmp_path, name="a", extends="b")
    scenario(tmp_path, name="b", extends="a")
    code, _, err = kuzbass("run", tmp_path / "a.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "extends: scenarios extend each other in a circle (found: a -> b -> a; allowed:" in err


def test_unknown_scenario_offers_the_nearest(kuzbass: Command, tmp_path: Path) -> None:
    code, _, err = kuzbass("run", "--scenario", "s1-coal-paradigma", "--out", tmp_path / "out")
    assert code == 2
    assert "scenario: no such scenario (found: s1-coal-paradigma; allowed: s1-coal-paradigm" in err


@pytest.mark.parametrize(("options", "expected"), [
    (["--dt", "0.3"], "time step: not a possible time step (found: 0.3; allowed: 1, 1/2, 1/4"),
    (["--dt", "0"], "time step: not a possible time step (found: 0;"),
    (["--dt", "-1/8"], "found: -0.125"),
    (["--dt", "1/0"], "--dt: not a number (found: 1/0;"),
    (["--dt", "soon"], "--dt: not a number (found: soon;"),
    (["--until", "1999"], "until: not a possible last year (found: 1999; allowed: 2000 to 2050)"),
    (["--until", "2051"], "found: 2051"),
    (["--engine", "fast"], "engine: no such engine (found: fast; allowed: auto, kernel, pysd)"),
    (["--until", "late"], "Invalid value for '--until'"),
    (["--colour"], "No such option: --colour"),
])
def test_bad_option(
    kuzbass: Command, tmp_path: Path, options: list[str], expected: str
) -> None:
    code, out, err = kuzbass("run", *options, "--out", tmp_path / "deep" / "out")
    assert (code, out) == (2, "")
    assert expected in err
    assert tree(tmp_path) == set()


def test_shock_after_the_end_of_the_run(kuzbass: Command, tmp_path: Path) -> None:
    file = scenario(tmp_path, "shocks:\n  - {on: exchange rate, by: 5, from: 2030, for: 1}\n")
    code, _, err = kuzbass("run", file, "--until", "2028", "--out", tmp_path / "out")
    assert code == 2
    assert "shocks.0.from: the shock moves nothing" in err
    assert "found: 2030 to 2031; allowed: before 2029" in err


def test_foreign_folder_is_refused_before_anything_is_computed(
    kuzbass: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuzbass.experiments.run.run_scenarios", None)
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    code, out, err = kuzbass("run", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert f"error: {tmp_path}: the output folder exists and was not written by kuzbass" in err
    assert tree(tmp_path) == {"mine.txt"}


def test_unwritable_place(kuzbass: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    place = tmp_path / "file" / "out"
    code, out, err = kuzbass("run", "--out", place)
    assert (code, out) == (2, "")
    assert f"error: {place}: the output folder cannot be written" in err
    assert tree(tmp_path) == {"file"}


def test_interrupt_leaves_nothing(
    kuzbass: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kuzbass.experiments.tables.write_tables", stop)
    code, _, err = kuzbass("run", "--scenario", "baseline", *QUICK, "--out", tmp_path / "a" / "b")
    assert code != 0
    assert "Traceback" not in err
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("observed.csv", b"series,unit,year,value\na,b,2000,1\n", ["sector", "column missing"]),
    ("targets.csv", b"", ["the file is empty"]),
    ("judged.csv", b"\xff\xfe", ["not UTF-8"]),
    ("other.csv", b"a,b\n1,2\n", ["not a table of the data package", "found: a,b"]),
    ("model.mdl", b"", ["empty"]),
    ("model.mdl", b"a = 1 ~ Dmnl ~ x |", ["model.mdl"]),
    ("notes.txt", b"x", ["cannot be checked", "found: .txt", "allowed: a scenario, shock, plan"]),
])
def test_check_refuses_a_bad_file(
    kuzbass: Command, tmp_path: Path, name: str, content: bytes, expected: list[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    code, out, err = kuzbass("check", file)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {file}: ")
    for part in expected:
        assert part in err


def test_check_goes_on_after_a_bad_file(kuzbass: Command, tmp_path: Path) -> None:
    good = scenario(tmp_path)
    code, out, err = kuzbass("check", tmp_path / "lost.yaml", good)
    assert code == 2
    assert out == f"ok: {good}: scenario, Mine\n"
    assert err == f"error: {tmp_path / 'lost.yaml'}: file not found\n"
