"""Optimise and sensitivity on the shipped model: small, interrupted, on threads and on Dask."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.lab.metrics import oriented
from kuzbass.experiments.lab.optimise import (
    OptimiseResult,
    OptimiseStudy,
    optimise_lines,
    prepare_optimise,
    run_optimise,
)
from kuzbass.experiments.lab.optimise_plan import OptimisePlan
from kuzbass.experiments.lab.plan_files import read_plan
from kuzbass.experiments.lab.sensitivity import (
    SensitivityResult,
    SensitivityStudy,
    prepare_sensitivity,
    run_sensitivity,
    sensitivity_lines,
)
from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
from kuzbass.paths import scenario_dir
from kuzbass.sd.mdl import Model

FILES = {"optimise": ("front", "convergence", "robust"),
         "sensitivity": ("factors", "screening", "indices", "weighted", "modes", "patterns")}
KEPT = ("small business support", "managed closure rate", "research support share")


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped plans with three levers and few runs."""
    folder = tmp_path_factory.mktemp("plans")
    files = {}
    for name in FILES:
        data = yaml.safe_load((scenario_dir() / "plans" / f"{name}.yaml").read_text("utf-8"))
        data["levers"] = {lever: data["levers"][lever] for lever in KEPT}
        if name == "optimise":
            data |= {"population": 8, "generations": 4, "again": 3}
            data["futures"]["runs"] = 8
        else:
            data["morris"] |= {"trajectories": 4, "most": 3}
            data["sobol"] = {"base": 8, "most": 16, "resamples": 20}
        files[name] = folder / f"{name}.yaml"
        files[name].write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False),
                               encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def optimiser(plans: dict[str, Path], model: Model) -> OptimiseStudy:
    return prepare_optimise(*read_plan(OptimisePlan, plans["optimise"]), model)


@pytest.fixture(scope="module")
def explainer(plans: dict[str, Path], model: Model) -> SensitivityStudy:
    return prepare_sensitivity(*read_plan(SensitivityPlan, plans["sensitivity"]), model)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in FILES}


@pytest.fixture(scope="module")
def found(optimiser: OptimiseStudy, folders: dict[str, Path]) -> OptimiseResult:
    return run_optimise(optimiser, folders["optimise"], threads=2)


@pytest.fixture(scope="module")
def explained(explainer: SensitivityStudy, folders: dict[str, Path]) -> SensitivityResult:
    return run_sensitivity(explainer, folders["sensitivity"], threads=2)


def test_every_solution_has_the_objectives_that_the_lab_gives(
    optimiser: OptimiseStudy, found: OptimiseResult
) -> None:
    levers = found.front[list(KEPT)].to_numpy()
    moves = optimiser.lab.moves(KEPT, levers, 2026.0, 2.0)
    metrics = dict(zip(optimiser.lab.names, optimiser.lab.evaluate(moves).T, strict=True))
    assert found.front["index"].to_numpy() == pytest.approx(metrics["index 2035"])
    assert found.front["cost"].to_numpy() == pytest.approx(
        metrics["regional cost"] + metrics["federal cost"] + metrics["company cost"])
    assert (metrics["federal cost"] <= 400.0).all()


def test_no_solution_is_beaten_by_another(found: OptimiseResult) -> None:
    sign = np.array([-1.0 if better == "more" else 1.0 for _, better in found.objectives.values()])
    less = found.front[list(found.objectives)].to_numpy() * sign
    for own in less:
        assert not ((less <= own).all(axis=1) & (less < own).any(axis=1)).any()


def test_doing_nothing_is_tried_by_every_seed(
    optimiser: OptimiseStudy, found: OptimiseResult
) -> None:
    # A solution that is cheaper by less than epsilon may stand for it.
    nothing = optimiser.lab.evaluate()[0]
    place = [optimiser.lab.names.index(name) for name in
             ("regional cost", "federal cost", "company cost")]
    epsilon = optimiser.plan.objectives["cost"].epsilon
    assert found.front["cost"].min() <= nothing[place].sum() + epsilon


def test_the_hypervolume_grows(found: OptimiseResult) -> None:
    assert len(found.convergence) == 3 * 4
    for _, own in found.convergence.groupby("seed"):
        # The front keeps one solution of an epsilon box, so a better one may cost a part of a box.
        assert (own["hypervolume"].diff().dropna() >= -0.01).all()
        assert own["hypervolume"].iloc[-1] >= own["hypervolume"].iloc[0]
        assert own["hypervolume"].iloc[-1] <= 1.0
        assert own["progress"].iloc[0] == own["front"].iloc[0]


def test_robustness_is_that_of_the_same_futures(
    optimiser: OptimiseStudy, found: OptimiseResult
) -> None:
    row = found.robust.iloc[1]
    levers = found.front.set_index("solution").loc[row["solution"], list(KEPT)].to_numpy(float)
    futures = optimiser.futures.values(optimiser.lab.settings["baseline"].factors)
    metrics = optimiser.lab.evaluate(optimiser.lab.moves(KEPT, levers, 2026.0, 2.0), futures)
    index = metrics[:, optimiser.lab.names.index("index 2035")]
    assert row["index, mean"] == pytest.approx(index.mean())
    assert row["index, tenth percentile"] == pytest.approx(np.quantile(index, 0.1))
    assert row["index, worst"] == pytest.approx(index.min())
    # The best of a column of regrets is at least as good as any single solution.
    assert (found.robust["index, largest regret"] >= 0.0).all()
    assert found.robust["satisfied"].between(0.0, 1.0).all()
    assert optimise_lines(found, Path("out"))[-1] == "Written to out"


def test_a_debt_is_worse_in_its_tenth_percentile(found: OptimiseResult) -> None:
    assert (found.robust["debt, tenth percentile"] >= found.robust["debt, mean"] - 1e-9).all()
    assert (found.robust["debt, worst"] >= found.robust["debt, tenth percentile"] - 1e-9).all()


def test_every_factor_is_screened_in_every_output(
    explainer: SensitivityStudy, explained: SensitivityResult
) -> None:
    assert len(explained.screening) == 3 * len(explainer.kinds)
    assert set(explained.factors["kind"]) == {"parameter", "driver", "lever"}
    assert set(KEPT) <= set(explained.factors["factor"])
    kept = explained.screening.groupby("factor")["kept"].first()
    assert kept.sum() == 3
    assert set(explained.indices["factor"]) == set(kept[kept].index)


def test_an_elementary_effect_is_a_difference_of_two_runs(
    explainer: SensitivityStudy, explained: SensitivityResult
) -> None:
    # Where nothing interacts, mu* is the change over the whole range.
    names = ("research support share",)
    ends = explainer.evaluate(names, np.array([[0.0], [1.0]]))
    place = list(explainer.plan.metrics()).index("index 2035")
    own = explained.screening.set_index(["output", "factor"]).loc[("index", names[0])]
    assert own["mu_star"] == pytest.approx(abs(ends[1, place] - ends[0, place]), rel=0.5)


def test_paths_and_losses_have_their_own_years(explained: SensitivityResult) -> None:
    years = explained.indices.groupby("output")["year"].agg(["min", "max"])
    assert years.loc["index"].tolist() == [2025, 2035]
    assert years.loc["crisis loss"].tolist() == [0, 5]
    assert explained.units == {"index": "index points", "GRP": "% of 2019", "crisis loss": "%"}
    assert explained.base == 16
    assert explained.modes.groupby("mode")["share"].first().sum() == pytest.approx(1.0)
    assert sensitivity_lines(explained, Path("out"))[-1] == "Written to out"


def _same(one: Path, other: Path, name: str) -> None:
    for table in FILES[name]:
        assert (one / f"{table}.csv").read_bytes() == (other / f"{table}.csv").read_bytes(), table


@pytest.mark.usefixtures("found", "explained")
def test_one_thread_gives_the_same_as_two(
    optimiser: OptimiseStudy, explainer: SensitivityStudy, folders: dict[str, Path],
    tmp_path: Path,
) -> None:
    for name in FILES:
        (tmp_path / name).mkdir()
    run_optimise(optimiser, tmp_path / "optimise", threads=1)
    run_sensitivity(explainer, tmp_path / "sensitivity", threads=1)
    for name in FILES:
        _same(tmp_path / name, folders[name], name)
        assert not (tmp_path / name / "work").exists()


@pytest.mark.usefixtures("found", "explained")
def test_what_an_interruption_has_left_is_not_done_again(
    optimiser: OptimiseStudy, folders: dict[str, Path], tmp_path: Path,
) -> None:
    stopped: list[int] = []

    class Stop(Exception):  # noqa: N818 - not an error
        pass

    def tell(_text: str, done: int, _total: int) -> None:
        stopped.append(done)
        if done == 6:
            raise Stop

    with pytest.raises(Stop):
        run_optimise(optimiser, tmp_path, progress=tell)
    left = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("generation-*.npy")}
    assert len(left) == 6
    run_optimise(optimiser, tmp_path, progress=lambda *_: [
        _unchanged(path, at) for path, at in left.items() if path.exists()])
    _same(tmp_path, folders["optimise"], "optimise")


def _unchanged(path: Path, at: int) -> None:
    assert path.stat().st_mtime_ns == at


def test_work_of_another_plan_is_refused(optimiser: OptimiseStudy, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="another plan"):
        run_optimise(optimiser, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("found", "explained")
def test_a_dask_cluster_gives_the_same(
    optimiser: OptimiseStudy, explainer: SensitivityStudy, folders: dict[str, Path],
    tmp_path: Path, name: str,
) -> None:
    if name == "optimise":
        run_optimise(optimiser, tmp_path, threads=2, scheduler="local")
    else:
        run_sensitivity(explainer, tmp_path, threads=2, scheduler="local")
    _same(tmp_path, folders[name], name)


SCRIPT = "import sys; from kuzbass.cli import main; main(sys.argv[1:])"
Begun = Callable[[Path], bool]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pattern"), [
    ("optimise", "seed-2/generation-*.npy"), ("sensitivity", "morris/part-*.npy")])
@pytest.mark.usefixtures("found", "explained")
def test_a_killed_command_goes_on_and_ends_the_same(
    plans: dict[str, Path], folders: dict[str, Path], tmp_path: Path, name: str, pattern: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, command = tmp_path / "out", [name, str(plans[name]), "--threads", "1"]
    work = tmp_path / ".out.unfinished" / "work"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, *command, "--out", str(out)],
                          stderr=subprocess.DEVNULL) as child:
        end = time.monotonic() + 300.0
        while child.poll() is None and not list(work.glob(pattern)):
            assert time.monotonic() < end
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert work.exists()
    assert not out.exists()
    with pytest.raises(SystemExit) as caught:
        main([*command, "--out", str(out)])
    assert caught.value.code in (0, None)
    assert not work.exists()
    _same(out, folders[name], name)
    assert (out / "report.html").stat().st_size > 10_000
    assert pd.read_json(out / "manifest.json", typ="series")["program"] == "kuzbass"
    assert "Written to" in capsys.readouterr().out


def test_objectives_are_all_such_that_less_is_better(optimiser: OptimiseStudy) -> None:
    metrics = optimiser.lab.evaluate()
    place = optimiser.lab.names.index("index 2035")
    known = optimiser.plan.metrics["index 2035"]
    assert optimiser.objectives(metrics)[0, 0] == -oriented(known, metrics[:, place])[0]
    broken = metrics.copy()
    broken[:] = np.nan
    assert (optimiser.objectives(broken) >= 1e12).all()
    assert (optimiser.broken(broken)[:, 1:] >= 1e12).all()
