"""Ensembles: same bits however they are run, and a store that survives kills and full disks."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from kuzbass.errors import InputError
from kuzbass.sd import ensemble
from kuzbass.sd.ensemble import Case, Factor, Members, SavedTimes, Series, Store, opening
from kuzbass.sd.ensemble.quantiles import BINS, Histogram, exact
from kuzbass.sd.kernel import Kernel, compile_model
from kuzbass.sd.sampling import Choice, Design, RunTable, Uniform

MODELS = Path(__file__).resolve().parents[1] / "models"
RUNS = 100
PRICE = np.linspace(60.0, 90.0, 41)[None, :]
SHOWN = (Series("capacity", "Mt/Year"), Series("net price", "USD/t"))
FACTORS = {
    "tax rate": Factor(Uniform(low=0.1, high=0.4)),
    "initial capacity": Factor(Uniform(low=5.0, high=20.0)),
    "world price": Factor(Uniform(low=0.5, high=1.5), "scale"),
}


def build(kernel: Kernel, runs: int = RUNS, seed: int = 1) -> Members:
    cases = (Case("high", {"world price": PRICE}, FACTORS, {"scenario": "high"}),
             Case("low", {"world price": 0.8 * PRICE}, {"tax rate": FACTORS["tax rate"]},
                  {"scenario": "low"}))
    return Members(kernel, Design(tuple(FACTORS), runs, "latin-hypercube", seed), cases,
                   SavedTimes(SHOWN, kernel.time), opening(np.linspace(0.0, 10.0, 41), 4.0, 2.0))


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return compile_model(MODELS / "small.mdl", vary=list(FACTORS),
                         outputs=[one.name for one in SHOWN])


@pytest.fixture(scope="module")
def members(kernel: Kernel) -> Members:
    return build(kernel)


def start(folder: Path, members: Members, **options: Any) -> Store:
    return Store(folder, members, {"plan": 1}, **{"chunk": 16, "scalars": (10.0,), **options})


def tables(folder: Path, members: Members) -> list[pd.DataFrame]:
    return [pd.read_parquet(folder / "runs" / case.name) for case in members.cases]


def test_members_run_what_the_design_says(members: Members, kernel: Kernel) -> None:
    part = members.part(0, 20, 50)
    points = members.design.unit(20, 50)
    tax, start_, factor = 0.1 + 0.3 * points[:, 0], 5.0 + 15.0 * points[:, 1], 0.5 + points[:, 2]
    np.testing.assert_allclose(part.factors["world price"], factor, rtol=1e-15)
    # The factor is 1 to time 4 and full from time 6 on.
    times = np.linspace(0.0, 10.0, 41)
    share = np.interp(times, [4.0, 6.0], [0.0, 1.0])
    path = PRICE * (1.0 + np.outer(factor - 1.0, share))
    expected = kernel.run({"tax rate": tax, "initial capacity": start_, "world price": path})
    np.testing.assert_allclose(part.values, expected.values, rtol=1e-13)
    assert part.first == 20
    # In the second case one factor varies, with the same points.
    other = members.part(1, 20, 50)
    assert list(other.factors) == ["tax rate"]
    np.testing.assert_array_equal(other.factors["tax rate"], part.factors["tax rate"])


def test_a_factor_that_opens_at_once() -> None:
    np.testing.assert_array_equal(opening(np.array([0.0, 1.0, 2.0]), 1.0, 0.0), [0.0, 1.0, 1.0])


def test_rows_are_taken_as_a_whole(kernel: Kernel) -> None:
    rows = RunTable(("tax rate", "initial capacity"), np.array([[0.1, 5.0], [0.2, 6.0]]))
    case = Case("rows", {}, {"draw": Factor(Choice(2), "row")})
    members = Members(kernel, Design(("draw",), 40), (case,), SavedTimes(SHOWN, kernel.time),
                      rows=rows)
    part = members.part(0, 0, 40)
    chosen = rows.table[part.factors["draw"].astype(int)]
    assert part.factors["draw"].sum() == 20
    np.testing.assert_array_equal(part.values[0, 0], chosen[:, 1])
    np.testing.assert_allclose(part.values[0, 1], 60.0 * (1.0 - chosen[:, 0]), rtol=1e-14)


@pytest.mark.parametrize("exact_bytes", [2**29, 0])
def test_the_same_bits_for_any_chunk_threads_and_order(
    tmp_path: Path, members: Members, exact_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuzbass.sd.ensemble.store.EXACT_BYTES", exact_bytes)
    found = []
    for number, (chunk, threads) in enumerate([(100, 1), (16, 3), (33, 2)]):
        folder = tmp_path / str(number)
        store = start(folder, members, chunk=chunk)
        assert store.binned == (exact_bytes == 0)
        ensemble.run_ensemble(members, store, threads=threads)
        assert store.missing() == []
        found.append((store.summaries(), tables(folder, members)))
    for summaries, frames in found[1:]:
        for one, first in zip(summaries, found[0][0], strict=True):
            np.testing.assert_array_equal(one.quantiles, first.quantiles)
            np.testing.assert_array_equal(one.variance, first.variance)
            assert one.runs == RUNS
        for frame, first_frame in zip(frames, found[0][1], strict=True):
            pd.testing.assert_frame_equal(frame, first_frame)


def test_tables_and_exact_quantiles_hold_what_the_kernel_gives(
    tmp_path: Path, members: Members
) -> None:
    store = start(tmp_path, members)
    ensemble.run_ensemble(members, store, threads=2)
    whole = members.part(0, 0, RUNS)
    summary = store.summaries()[0]
    for number in range(2):
        quantiles = np.quantile(whole.values[:, number], ensemble.LEVELS, axis=1)
        np.testing.assert_array_equal(summary.quantiles[:, :, number], quantiles)
    np.testing.assert_allclose(summary.variance, whole.values.var(axis=2), rtol=1e-12)
    table = tables(tmp_path, members)[0]
    assert list(table["run"]) == list(range(RUNS))
    assert set(table["scenario"]) == {"high"}
    assert table["finite"].all()
    np.testing.assert_array_equal(table["world price"], whole.factors["world price"])
    np.testing.assert_array_equal(table["capacity 10"], whole.values[-1, 0])
    store.close()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(("asked", "kind"), [("f32", np.float32), ("f64", np.float64)])
def test_trajectories_are_kept_when_asked_for(
    tmp_path: Path, members: Members, asked: str, kind: type
) -> None:
    store = start(tmp_path, members, trajectories=asked)
    ensemble.run_ensemble(members, store)
    group = zarr.open_group(tmp_path / "trajectories.zarr" / "low", mode="r", zarr_format=3)
    kept: Any = group["net price"]
    assert kept.dtype == kind
    assert kept.attrs["units"] == "USD/t"
    np.testing.assert_array_equal(kept[:], members.part(1, 0, RUNS).values[:, 1].astype(kind))
    times: Any = group["time"]
    np.testing.assert_array_equal(times[:], members.kernel.time)


def test_nothing_is_kept_unless_asked_for(tmp_path: Path, members: Members) -> None:
    ensemble.run_ensemble(members, start(tmp_path, members))
    assert not (tmp_path / "trajectories.zarr").exists()


def test_binned_quantiles_are_off_by_at_most_a_bin() -> None:
    rng = np.random.default_rng(3)
    values = np.stack([rng.normal(0.0, 1.0, 50_000), rng.lognormal(0.0, 1.0, 50_000),
                       np.full(50_000, 7.25)])[:, None, :]
    histogram = Histogram(values[:, :, :4096])
    for part in np.array_split(values, 13, axis=2):
        histogram.add(part)
    summary = histogram.summary()
    assert summary.runs == 50_000
    for t in range(3):
        quantiles, variance = exact(values[t])
        width = 1.5 * np.ptp(values[t, 0, :4096]) / BINS
        assert np.abs(summary.quantiles[:, t, 0] - quantiles[:, 0]).max() <= width
        # A heavy tail reaches beyond the bins, whose ends stand for it.
        assert summary.variance[t, 0] == pytest.approx(variance[0], rel=0.03 if t == 1 else 1e-4)
    assert (summary.quantiles[:, 2] == 7.25).all()


def test_binned_quantiles_see_runs_beyond_the_first() -> None:
    values = np.concatenate([np.linspace(0.0, 1.0, 100), np.linspace(0.0, 100.0, 9_900)])
    histogram = Histogram(values[None, None, :100])
    histogram.add(values[None, None])
    # What lies beyond the bins is in the last one; its end is the largest value.
    assert histogram.high[0, 0] == 100.0
    assert histogram.counts.sum() == 10_000


def bad_members(folder: Path) -> Members:
    text = (MODELS / "small.mdl").read_text(encoding="utf-8")
    old = "world price * (1.0 - tax rate)"
    assert old in text
    path = folder / "bad.mdl"
    path.write_text(text.replace(old, "LN(tax rate * 10.0 - Time / one year) * world price"),
                    encoding="utf-8")
    bad = compile_model(path, vary=["tax rate"], outputs=["capacity"])
    case = Case("bad", {}, {"tax rate": Factor(Uniform(low=0.25, high=1.0))})
    return Members(bad, Design(("tax rate",), 64), (case,),
                   SavedTimes((Series("capacity", "Mt/Year"),), bad.time))


@pytest.mark.parametrize("exact_bytes", [2**29, 0])
def test_runs_that_do_not_stay_finite_are_named_and_left_out(
    tmp_path: Path, exact_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuzbass.sd.ensemble.store.EXACT_BYTES", exact_bytes)
    members = bad_members(tmp_path)
    store = start(tmp_path / "store", members, chunk=10)
    ensemble.run_ensemble(members, store)
    table = tables(tmp_path / "store", members)[0]
    bad = table.loc[~table["finite"], "run"]
    assert 0 < len(bad) < 64
    assert [run for _, run, _, _ in store.nonfinite()] == list(bad)
    for case, run, variable, at in store.nonfinite():
        assert (case, variable) == ("bad", "net price")
        # LN(10 tax - t) is not finite from the first step on that is no earlier than 10 tax.
        assert at == np.ceil(10.0 * table.loc[run, "tax rate"] / 0.25) * 0.25
    summary = store.summaries()[0]
    assert summary.runs == 64 - len(bad)
    assert np.isfinite(summary.quantiles).all()


FAILING = {
    "table": "pandas.DataFrame.to_parquet",
    "values": "numpy.save",
    "state": "numpy.savez",
    "trajectories": "zarr.open_group",
}


@pytest.mark.parametrize("writer", FAILING)
def test_a_full_disk_leaves_a_store_that_goes_on(
    tmp_path: Path, members: Members, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"trajectories": "f64"} if writer == "trajectories" else {}
    whole = start(tmp_path / "whole", members, **options)
    ensemble.run_ensemble(members, whole)
    store = start(tmp_path / "broken", members, **options)
    with monkeypatch.context() as patch:
        patch.setattr(FAILING[writer], full_after(3, FAILING[writer]))
        with pytest.raises(InputError) as caught:
            ensemble.run_ensemble(members, store, threads=2)
    assert "No space left on device" in str(caught.value)
    assert "goes on where this one stopped" in str(caught.value)
    assert not list((tmp_path / "broken").rglob("*.part"))
    again = start(tmp_path / "broken", members, **options)
    assert len(again.missing()) == 14 - 3
    ensemble.run_ensemble(members, again)
    for one, other in zip(again.summaries(), whole.summaries(), strict=True):
        np.testing.assert_array_equal(one.quantiles, other.quantiles)
    for one, other in zip(tables(tmp_path / "broken", members),
                          tables(tmp_path / "whole", members), strict=True):
        pd.testing.assert_frame_equal(one, other)


def full_after(calls: int, name: str) -> Callable[..., Any]:
    """Return a writer that works `calls` times and then finds the disk full."""
    owner, _, method = name.rpartition(".")
    original = {"pandas.DataFrame": pd.DataFrame, "numpy": np, "zarr": zarr}[owner]
    write, done = getattr(original, method), [0]

    def writer(*args: Any, **options: Any) -> Any:
        done[0] += 1
        if done[0] > calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*args, **options)

    return writer


def test_a_folder_of_another_plan_is_refused(tmp_path: Path, members: Members) -> None:
    start(tmp_path, members)
    start(tmp_path, members)
    with pytest.raises(InputError, match="holds an unfinished ensemble of another plan"):
        Store(tmp_path, members, {"plan": 2}, chunk=16)
    with pytest.raises(InputError, match="holds an unfinished ensemble of another plan"):
        start(tmp_path, members, chunk=17)


SCRIPT = """
import pickle, sys, time
from pathlib import Path
from kuzbass.sd import ensemble
members = pickle.loads(Path(sys.argv[1]).read_bytes())
class Slow(ensemble.Store):
    def add(self, part):
        super().add(part)
        print(part.case, part.first, flush=True)
        time.sleep(0.2)
store = Slow(Path(sys.argv[2]), members, {"plan": 1}, chunk=16, scalars=(10.0,))
ensemble.run_ensemble(members, store, threads=1)
"""


@pytest.mark.parametrize("exact_bytes", [2**29, 0])
def test_a_kill_costs_at_most_one_chunk(
    tmp_path: Path, members: Members, exact_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tmp_path / "members.pickle"
    content.write_bytes(pickle.dumps(members))
    script = SCRIPT.replace("members = ", f"ensemble.store.EXACT_BYTES = {exact_bytes}\n"
                            "members = ", 1)
    child = subprocess.Popen([sys.executable, "-c", script, content, tmp_path / "killed"],
                             stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout:
        seen = [child.stdout.readline() for _ in range(5)]
        child.send_signal(signal.SIGKILL)
    assert all(seen)
    monkeypatch.setattr("kuzbass.sd.ensemble.store.EXACT_BYTES", exact_bytes)
    store = start(tmp_path / "killed", members)
    done = 14 - len(store.missing())
    assert 5 <= done <= 6
    ensemble.run_ensemble(members, store)
    whole = start(tmp_path / "whole", members)
    ensemble.run_ensemble(members, whole)
    for one, other in zip(store.summaries(), whole.summaries(), strict=True):
        np.testing.assert_array_equal(one.quantiles, other.quantiles)


def test_progress_counts_runs(tmp_path: Path, members: Members) -> None:
    told: list[tuple[str, int, int]] = []
    ensemble.run_ensemble(members, start(tmp_path, members), threads=1,
                          progress=lambda *what: told.append(what))
    done = [count for text, count, total in told if text == "simulating"]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 200)


@pytest.mark.parametrize(("options", "message"), [
    ({"threads": 0}, "threads: not a possible number of threads"),
    ({"scheduler": "cluster"}, "--scheduler: not a scheduler (found: cluster"),
    ({"scheduler": "tcp://127.0.0.1:9"}, "--scheduler: cannot be reached"),
])
def test_impossible_ways_to_run_are_refused(
    tmp_path: Path, members: Members, options: Mapping[str, Any], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kuzbass.sd.ensemble.drive.TIMEOUT", "1s")
    with pytest.raises(InputError) as caught:
        ensemble.run_ensemble(members, start(tmp_path, members), **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(("options", "message"), [
    ({"chunk": 0}, "chunk: not a possible number of runs"),
    ({"trajectories": "f16"}, "trajectories: not a precision (found: f16; allowed: f32 or f64)"),
])
def test_impossible_stores_are_refused(
    tmp_path: Path, members: Members, options: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        start(tmp_path, members, **options)
    assert message in str(caught.value)


def test_members_that_do_not_fit_together_are_refused(kernel: Kernel) -> None:
    reduction = SavedTimes(SHOWN, kernel.time)
    design = Design(("tax rate", "world price"), 10)
    with pytest.raises(InputError, match="nothing to run"):
        Members(kernel, design, (), reduction)
    with pytest.raises(InputError, match="initial capacity: is not a factor of the design"):
        Members(kernel, design, (Case("one", {}, FACTORS),), reduction)
    scale = {"world price": FACTORS["world price"]}
    with pytest.raises(InputError, match="world price: has no path to scale"):
        Members(kernel, design, (Case("one", {}, scale),), reduction)


def uses_pysd() -> bool:
    return "pysd" in sys.modules


def kill_one(pids: list[int]) -> None:
    os.kill(pids.pop(), signal.SIGKILL)


@pytest.mark.slow
def test_workers_need_no_pysd_and_one_may_die(tmp_path: Path, kernel: Kernel) -> None:
    distributed: Any = pytest.importorskip("distributed")
    members = build(kernel, 6_000)
    whole = start(tmp_path / "whole", members, chunk=300)
    ensemble.run_ensemble(members, whole)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster, \
            distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())

        def progress(_text: str, done: int, _total: int) -> None:
            if done and len(pids) == 2:
                kill_one(pids)

        store = start(tmp_path / "cluster", members, chunk=300)
        ensemble.run_ensemble(members, store, scheduler=cluster.scheduler_address,
                              progress=progress)
        assert len(pids) == 1, "a worker has been killed"
        assert not any(client.run(uses_pysd).values())
        # The worker that took the dead one's place may have come too late for a chunk.
        assert any(client.run(lambda: "kuzbass.sd.kernel" in sys.modules).values())
    for one, other in zip(store.summaries(), whole.summaries(), strict=True):
        np.testing.assert_array_equal(one.quantiles, other.quantiles)


@pytest.mark.slow
def test_a_local_cluster_gives_the_same_bits(tmp_path: Path, members: Members) -> None:
    pytest.importorskip("distributed")
    local, remote = (start(tmp_path / name, members) for name in ("local", "remote"))
    ensemble.run_ensemble(members, local)
    ensemble.run_ensemble(members, remote, threads=2, scheduler="local")
    for one, other in zip(local.summaries(), remote.summaries(), strict=True):
        np.testing.assert_array_equal(one.quantiles, other.quantiles)
