"""`kuzbass robust`: the same numbers however it is run, and what is made of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.lab import robust, robustness
from kuzbass.experiments.lab.plan import Boxes, Failure, RobustPlan, change_plan, load_plan
from kuzbass.experiments.lab.robust import RobustResult, members_of, robust_lines, run_robust
from kuzbass.experiments.lab.study import Study, prepare
from kuzbass.report.lab_robust import write_robust
from kuzbass.sd.ensemble import Store
from kuzbass.sd.mdl import Model

Write = Callable[..., Path]
POLICIES = ("none", "firms", "reserve")
TABLES = ("performance", "robustness", "satisficing", "agreement", "boxes", "peeling", "scores",
          "nonfinite")


@dataclass(frozen=True)
class Done:
    study: Study
    result: RobustResult
    folder: Path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, plan_text: Callable[..., str]) -> Path:
    path = tmp_path_factory.mktemp("plan") / "mine.yaml"
    path.write_text(plan_text(robust=True), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(file: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Done:
    plan, path = load_plan(RobustPlan, file)
    study = prepare(plan, path, model=model)
    folder = tmp_path_factory.mktemp("robust")
    return Done(study, run_robust(study, folder, threads=2, chunk=7), folder)


def test_runs_are_those_of_the_lab(done: Done) -> None:
    study, result = done.study, done.result
    assert study.futures is not None
    factors = study.futures.values(study.lab.settings["baseline"].factors)
    assert result.policies == POLICIES
    assert result.values.shape == (3, 24, len(study.lab.names))
    for place, moves in enumerate(study.policies.values()):
        np.testing.assert_array_equal(result.values[place], study.lab.evaluate(moves, factors))
    np.testing.assert_array_equal(result.futures["Brent price"], factors["Brent price"])


def test_the_tables_are_what_the_formulas_say(done: Done) -> None:
    result = done.result
    index = result.oriented("index 2035")
    table = result.robustness.set_index(["metric", "policy"])
    own = table.loc["index 2035"]
    np.testing.assert_allclose(own["maximin"], index.min(axis=1))
    np.testing.assert_allclose(own["percentile"], np.quantile(index, 0.1, axis=1))
    np.testing.assert_allclose(own["minimax regret"], (index.max(axis=0) - index).max(axis=1))
    np.testing.assert_allclose(own["90th percentile regret"],
                               robustness.regret_quantile(index, 0.9))
    # Costs are better if less: the worst case of a cost is its largest value, with a minus.
    cost = result.values[:, :, result.metrics.index("regional cost")]
    np.testing.assert_allclose(table.loc["regional cost"]["maximin"], -cost.max(axis=1))
    grp = result.values[:, :, result.metrics.index("GRP 2035")]
    share = result.satisficing.set_index(["threshold", "policy"])["share"]
    np.testing.assert_allclose(share["all"], (grp >= 90.0).mean(axis=1))
    np.testing.assert_allclose(share["GRP 2035 at least 90"], share["all"])
    assert own["rank maximin"].min() == 1.0
    assert own.loc[own["rank maximin"] == 1.0, "maximin"].iloc[0] == own["maximin"].max()
    assert own.loc[own["rank minimax regret"] == 1.0, "minimax regret"].iloc[0] == (
        own["minimax regret"].min())
    levels = result.performance.set_index(["policy", "metric"])
    assert levels.at[("firms", "index 2035"), "q50"] == pytest.approx(np.median(index[1]))


def test_rank_agreement_stands_for_each_metric_and_each_kind(done: Done) -> None:
    table = done.result.agreement
    kinds = len(robustness.CLASSES)
    assert len(table) == 3 * kinds**2 + kinds * 3**2
    same = table[table["one"] == table["other"]]["tau"].dropna()
    np.testing.assert_allclose(same, 1.0)
    assert table["tau"].dropna().between(-1.0, 1.0).all()
    assert len({kind for kind, _ in robustness.CLASSES.values()}) >= 3


@pytest.mark.parametrize(("threads", "chunk"), [(1, 24), (2, 5)])
def test_other_threads_and_chunks_give_the_same_bytes(
    done: Done, tmp_path: Path, threads: int, chunk: int
) -> None:
    run_robust(done.study, tmp_path, threads=threads, chunk=chunk)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (
            done.folder / f"{name}.csv").read_bytes(), name


@pytest.mark.slow
def test_a_cluster_of_two_processes_gives_the_same_bytes(done: Done, tmp_path: Path) -> None:
    run_robust(done.study, tmp_path, threads=2, scheduler="local", chunk=6)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (
            done.folder / f"{name}.csv").read_bytes(), name


SCRIPT = """
import sys
from pathlib import Path
from kuzbass.experiments.lab import robust
from kuzbass.sd import ensemble
add = ensemble.Store.add
def slow(store, part):
    add(store, part)
    print(part.case, part.first, flush=True)
    import time
    time.sleep(0.3)
ensemble.Store.add = slow
robust.CHUNK = robust.run_robust.__kwdefaults__["chunk"] = 4
from kuzbass.cli import main
main(["robust", sys.argv[1], "--threads", "1", "--out", sys.argv[2]])
"""


@pytest.mark.slow
def test_a_kill_costs_a_chunk_and_changes_nothing(
    done: Done, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, file, out], stdout=subprocess.PIPE,
                             text=True)
    assert child.stdout is not None
    with child, child.stdout:
        seen = [child.stdout.readline() for _ in range(3)]
        child.send_signal(signal.SIGKILL)
    assert all(seen)
    unfinished = tmp_path / ".out.unfinished"
    assert unfinished.is_dir()
    assert not out.exists()
    store = Store(unfinished, members_of(done.study), done.study.record, chunk=4,
                  scalars=(2035.0,))
    left = 18 - len(store.missing())
    assert 3 <= left <= 4
    monkeypatch.setitem(robust.run_robust.__kwdefaults__, "chunk", 4)
    with pytest.raises(SystemExit) as caught:
        main(["robust", str(file), "--out", str(out)])
    assert caught.value.code in (0, None)
    assert not unfinished.exists()
    for name in TABLES:
        assert (out / f"{name}.csv").read_bytes() == (done.folder / f"{name}.csv").read_bytes()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seed"] == 3
    assert {"report.html", "figures/regret.png", "figures/satisficing.png",
            "figures/agreement.png"} <= set(manifest["files"])
    assert "24 futures, 3 policies" in capsys.readouterr().out


def test_an_unfinished_folder_of_another_plan_is_refused(done: Done, tmp_path: Path) -> None:
    Store(tmp_path, members_of(done.study), done.study.record, chunk=7, scalars=(2035.0,))
    other = replace(done.study, record={**done.study.record, "seed": 4})
    with pytest.raises(InputError, match="holds an unfinished ensemble of another plan"):
        run_robust(other, tmp_path, chunk=7)


def test_another_seed_gives_other_futures(done: Done, file: Path, model: Model) -> None:
    plan, path = load_plan(RobustPlan, file)
    other = prepare(change_plan(plan, path, {"futures.seed": 4}), path, model=model)
    assert other.futures is not None
    factors = other.futures.values(other.lab.settings["baseline"].factors)
    assert not np.array_equal(factors["Brent price"], done.result.futures["Brent price"])


@pytest.fixture(scope="module")
def made_up(done: Done) -> RobustResult:
    """The result with made-up futures, in which the index fails where two factors say so."""
    source = np.random.default_rng(2)
    futures = pd.DataFrame({"scenario": "baseline", "run": range(200)})
    futures[list("abcde")] = source.random((200, 5))
    values = np.ones((3, 200, len(done.study.lab.names)))
    values[:, (futures["a"] < 0.5) & (futures["b"] < 0.5), 0] = -1.0
    failures = {"fails": Failure(metric="index 2035", at_most=0.0),
                "never": Failure(metric="index 2035", at_most=-5.0)}
    plan = done.result.plan.model_copy(update={"boxes": Boxes(failures=failures, factors=3)})
    boxes, peeling, scores, notes = robust._boxes(plan, done.study.lab, values, futures, POLICIES)
    return replace(done.result, plan=plan, values=values, futures=futures, boxes=boxes,
                   peeling=peeling, scores=scores, notes=notes)


def test_boxes_name_the_factors_that_make_it_fail(made_up: RobustResult) -> None:
    prim = made_up.boxes[made_up.boxes["method"] == "PRIM"]
    assert set(prim["factor"]) == {"a", "b"}
    assert prim["high"].between(0.4, 0.6).all()
    assert set(prim["failure"]) == {"fails"}
    assert set(made_up.boxes["method"]) == {"PRIM", "CART"}
    fails = made_up.fails("fails", "none")
    assert fails.sum() == (made_up.values[0, :, 0] < 0.0).sum()
    assert (made_up.regret("index 2035") == 0.0).all(), "all policies are alike"
    assert any("never" in note and "no box is looked for" in note for note in made_up.notes)


def test_figures_and_page_with_boxes(made_up: RobustResult, tmp_path: Path) -> None:
    write_robust(made_up, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure ") == 4
    assert "fails under none" in page
    assert (tmp_path / "figures" / "box-0.png").stat().st_size > 10_000


def test_what_is_told_is_sorted_by_the_worst_case(done: Done, tmp_path: Path) -> None:
    lines = robust_lines(done.result, tmp_path)
    table = done.result.robustness
    own = table[table["metric"] == "index 2035"].set_index("policy")["maximin"]
    told = [line.split()[0] for line in lines[1:4]]
    assert told == list(own.sort_values(ascending=False).index)
