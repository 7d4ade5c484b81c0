"""Runs a calibration into an output folder and says on the terminal what came out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from kuzbass.experiments.calibrate import Calibration, Progress, Setting, Window, calibrate
from kuzbass.experiments.calibration_wide import CLAIMS, wide_table
from kuzbass.experiments.holdout import coverage, holdout, period_fit, rolling_origins, summary
from kuzbass.experiments.output import output_folder
from kuzbass.experiments.parameters import draws_table, parameter_table
from kuzbass.experiments.run import load_scenarios, simulate_scenario
from kuzbass.experiments.score import BASELINE, annual_statistics, observed_index, score
from kuzbass.experiments.tables import write_csv
from kuzbass.experiments.validation.behaviour import bar_outcome
from kuzbass.region.data import judged, model_side, observed_for, read_table
from kuzbass.sd.calibration import at_bounds, share_at_best
from kuzbass.sd.forecast import NAIVE

__all__ = ["calibration_tables", "print_calibration", "run_calibration"]

_STEPS = "steps.jsonl"
_LISTED = 12


def run_calibration(
    setting: Setting, out: str | Path, *, progress: Progress | None = None,
    command: str = "kuzbass calibrate",
) -> tuple[Calibration, dict[str, pd.DataFrame], Path]:
    """Calibrate and write all tables; goes on where an earlier run was interrupted.

    Parameters
    ----------
    setting : Setting
        From `kuzbass.experiments.calibrate.prepare`.
    out : str or Path
        Output folder.
    progress : callable, optional
        Told what is being done: text, steps done, steps in all.
    command : str
        The command line, for the manifest.

    Returns
    -------
    tuple of (Calibration, dict of str to DataFrame, Path)
        The results, the tables by file name without suffix, and the folder.

    Raises
    ------
    InputError, ModelError
        A bad output folder, or a model that cannot be run.
    """
    with output_folder(out, command=command, resumable=True) as folder:
        calibration = calibrate(setting, folder.path / _STEPS, progress)
        tables = calibration_tables(calibration)
        for name, table in tables.items():
            write_csv(table, folder.path / f"{name}.csv")
        folder.manifest.update(calibration.manifest)
        (folder.path / _STEPS).unlink(missing_ok=True)
    return calibration, tables, folder.target


def calibration_tables(calibration: Calibration) -> dict[str, pd.DataFrame]:
    """Return every table of a calibration by name."""
    setting, training, refit = calibration.setting, calibration.training, calibration.refit
    windows = {"training": training, "wide": calibration.wide, "refit": refit}
    first, cut, last = 2000, training.last, refit.last
    fits = [*((label, windows[label], *years) for label in ("training", "wide")
              for years in ((first, cut), (cut + 1, last))), ("refit", refit, first, last)]
    fit = pd.concat([period_fit(setting, window.values(), start, end).assign(fit=label)
                     for label, window, start, end in fits], ignore_index=True)
    held, rolling = holdout(calibration), rolling_origins(calibration)
    return {
        "parameters": parameter_table(calibration),
        "parameter_draws": draws_table(calibration),
        "sectors": calibration.stages,
        "identifiability": pd.concat(
            [table.rename_axis("parameter").reset_index().assign(fit=label)
             for label, table in calibration.choices.items()], ignore_index=True),
        "wide_parameters": wide_table(setting.model, calibration.wide.problem.parameters,
                                      calibration.wide.values()),
        "starts": pd.concat([_starts(*one) for one in windows.items()], ignore_index=True),
        "fit": fit,
        "bars": pd.concat([_bars(setting, window.values()).assign(fit=label)
                           for label, window in windows.items()], ignore_index=True),
        "holdout": held,
        "holdout_summary": _summaries(held, "fit", "drivers"),
        "rolling_origins": rolling,
        "rolling_summary": _summaries(rolling, "origin"),
        "coverage": coverage(calibration).assign(fit="training"),
        "errors": pd.concat([_processes(*one) for one in windows.items()], ignore_index=True),
        "posterior": calibration.posterior.rename_axis("fit").reset_index(),
    }


def _bars(setting: Setting, values: Mapping[str, float]) -> pd.DataFrame:
    """Return the outcome of every row of ``bars.csv`` in the baseline with these parameters."""
    baseline = load_scenarios([BASELINE])[BASELINE]
    annual = annual_statistics(simulate_scenario(setting.model, baseline, values, until=2021))
    sides = {str(row["series"]): (model_side(row, annual), observed_for(row, setting.table))
             for _, row in judged().iterrows()}
    simulated, actual = score(annual).index, observed_index()
    sides |= {name: (simulated[column], actual[column]) for name, column in
              (("index", "index"), ("index P", "P"), ("index C", "C"))}
    rows = []
    for _, bar in read_table("bars.csv").iterrows():
        own, seen = sides[bar["series"]]
        years = seen.index.intersection(own.index)
        outcome = bar_outcome(bar, own.loc[years], seen.loc[years])
        rows.append({"bar": outcome.part, "verdict": outcome.verdict, "figure": outcome.figure})
    return pd.DataFrame(rows)


def _starts(label: str, window: Window) -> pd.DataFrame:
    return pd.DataFrame([
        {"fit": label, "start": number, "objective": fit.objective, "runs": fit.runs,
         "at_bound": ", ".join(at_bounds(window.problem, fit.point))}
        for number, fit in enumerate(window.fits)])


def _processes(label: str, window: Window) -> pd.DataFrame:
    series = window.problem.likelihood.series
    return pd.DataFrame([
        {"fit": label, "series": one.name, "scale": one.scale, "expected": one.expected,
         "rho": process.rho, "sigma": process.sigma}
        for one, process in zip(series, window.best.processes, strict=True)])


def _summaries(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    return pd.DataFrame([{**dict(zip(by, key, strict=True)), **summary(part)}
                         for key, part in table.groupby(list(by))])


def print_calibration(
    calibration: Calibration, tables: dict[str, pd.DataFrame], folder: Path,
    console: Console | None = None,
) -> None:
    """Print what was fitted, how surely, and how the hold-out went."""
    console = console or Console()
    for label, window in ((f"2000-{calibration.training.last}, frozen", calibration.training),
                          (f"2000-{calibration.wide.last}, all constants", calibration.wide),
                          (f"2000-{calibration.refit.last}, refit", calibration.refit)):
        share, optima = share_at_best(window.fits)
        stuck = at_bounds(window.problem, window.best.point)
        shown = f"{len(stuck)} of them" if len(stuck) > _LISTED else ", ".join(stuck) or "none"
        console.print(
            f"{label}: {len(window.problem.names)} parameters, objective "
            f"{window.best.objective:.1f}, {share:.0%} of {len(window.fits)} starts there, "
            f"{optima} optima; at a bound: {shown}", highlight=False)
    decisions = calibration.choices["refit"]["decision"].value_counts()
    console.print("candidates: " + ", ".join(f"{count} {decision}" for decision, count
                                             in decisions.items()), highlight=False)
    grid = Table(box=None, pad_edge=False)
    for column in ("hold-out", "series", "ratio at most 2", *(f"beats {name}" for name in NAIVE)):
        grid.add_column(column, justify="right" if column != "hold-out" else "left")
    for by, name in ((("fit", "drivers"), "holdout_summary"), (("origin",), "rolling_summary")):
        for shares in tables[name].to_dict("records"):  # years stay whole numbers
            grid.add_row(", ".join(f"{key} {shares[key]}" for key in by), f"{shares['series']:.0f}",
                         f"{shares['ratio at most 2']:.0%}",
                         *(f"{shares[f'better than {name}']:.0%}" for name in NAIVE))
    console.print(grid)
    for label, claim in CLAIMS.items():
        console.print(f"fit {label}: {claim}", highlight=False)
    for fit, table in tables["bars"].groupby("fit", sort=False):
        failed = table[table["verdict"] == "fail"]
        console.print(f"bars, {fit}: {(table['verdict'] == 'pass').sum()} met, "
                      f"{len(failed)} missed", highlight=False)
        for _, row in failed.iterrows() if len(failed) <= _LISTED else ():
            console.print(f"  {row['bar']}: {row['figure']}", highlight=False, soft_wrap=True)
    facts = calibration.posterior.loc["refit"]
    console.print(f"posterior: {facts['walkers']:.0f} walkers, {facts['steps']:.0f} steps, "
                  f"acceptance {facts['acceptance']:.2f}, R-hat {facts['largest_rhat']:.2f}, "
                  f"effective size {facts['smallest_ess']:.0f}", highlight=False)
    if calibration.resumed:
        console.print(f"{calibration.resumed} steps were on file from an earlier run.")
    console.print(f"Written to {folder}", highlight=False, soft_wrap=True)
