"""What a run says, on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from kuzbass.experiments.results import RunResults

__all__ = ["fit_line", "notes", "print_summary", "summary_table"]

_REAL_GRP = "real GRP index"
_COAL = "coal output"


def summary_table(results: RunResults) -> Table:
    """Return GRP, coal output, index and targets inside of every scenario in the last year."""
    year = int(min(result.annual.index[-1] for result in results.scenarios.values()))
    table = Table(title=f"Scenarios in {year}", box=None, title_justify="left", pad_edge=False)
    table.add_column("scenario", no_wrap=True)
    for column in ("real GRP\n2019 = 100", "coal\nMt a year", "index", "5-95 % of\nlists",
                   "targets\ninside"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, result in results.scenarios.items():
        table.add_row(name, _grp(result.annual, year), f"{_value(result.annual, _COAL, year):.0f}",
                      f"{_value(result.index, 'index', year):z.2f}",
                      f"{_value(result.family, 'q05', year):z.2f} .. "
                      f"{_value(result.family, 'q95', year):z.2f}", _inside(results, name))
    return table


def _value(frame: pd.DataFrame, column: str, year: int) -> float:
    return float(frame[column].loc[year])


def _grp(annual: pd.DataFrame, year: int) -> str:
    if 2019 not in annual.index:
        return "-"
    return f"{100.0 * _value(annual, _REAL_GRP, year) / _value(annual, _REAL_GRP, 2019):.0f}"


def _inside(results: RunResults, name: str) -> str:
    rows = results.comparison.targets
    rows = rows[(rows["scenario"] == name) & rows["simulated"].notna()]
    return f"{int(rows['inside'].sum())} of {len(rows)}" if len(rows) else "-"


def fit_line(results: RunResults) -> str:
    """Return one line on the fit of the history."""
    fit = results.comparison.fit
    first, last = int(fit["first"].min()), int(fit["last"].max())
    judged = fit[fit["passed"].notna()]
    failed = judged.loc[~judged["passed"].astype(bool), "label"]
    outside = f"; outside: {', '.join(failed)}" if len(failed) else ""
    return (f"History {first}-{last}: {len(judged) - len(failed)} of {len(judged)} judged series "
            f"within their bars{outside}.")


def notes(results: RunResults) -> Iterator[str]:
    """Yield the claims on the index and the notes of the run, one a line."""
    verdicts = results.comparison.index_claims["verdict"]
    defined = verdicts[verdicts != "not defined"]
    if len(defined):
        yield (f"Claims of the paper on the index: {int((defined == 'holds').sum())} of "
               f"{len(defined)} hold (reconstructed list of indicators).")
    yield from results.notes


def print_summary(results: RunResults, folder: Path) -> None:
    """Print the summary of a run and where it was written."""
    console = Console()
    # A pipe has no width; rich would cut the table at 80 columns.
    if not console.is_terminal:
        console = Console(width=120)
    console.print(summary_table(results))
    for line in (fit_line(results), *notes(results), f"Written to {folder}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
