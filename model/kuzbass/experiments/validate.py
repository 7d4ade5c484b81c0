"""Puts a model to the canon of tests: structure, extreme conditions, behaviour.

The tests are registered in `kuzbass.experiments.validation`; this runs them in the order of the
stages of Barlas (1996) and tells what they found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pandas as pd
from rich.console import Console
from rich.table import Table

from kuzbass.errors import InputError, ModelError, nearest
from kuzbass.experiments.output import data_record, output_folder, software_versions
from kuzbass.experiments.run import Progress
from kuzbass.experiments.tables import write_csv
from kuzbass.experiments.validation import TESTS, Context, Outcome, Test
from kuzbass.sd.mdl import Model, load_model

__all__ = ["COLUMNS", "ValidationReport", "print_report", "run_tests", "validate"]

COLUMNS = ("id", "part", "name", "stage", "required", "verdict", "figure", "detail")


@dataclass(frozen=True)
class ValidationReport:
    """What the tests found.

    Attributes
    ----------
    table : DataFrame
        One row per test and part, `COLUMNS`; the verdict is ``pass``, ``fail`` or ``info``.
    tables : mapping of str to DataFrame
        Numbers behind the verdicts, by name.
    manifest : mapping
        What was tested: model, data, versions.
    seconds : mapping of str to float
        How long each test took.
    """

    table: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    manifest: Mapping[str, object]
    seconds: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Whether no required test failed."""
        return self.failures.empty

    @property
    def failures(self) -> pd.DataFrame:
        """The rows of required tests that failed."""
        return self.table[self.table["required"] & (self.table["verdict"] == "fail")]

    @property
    def summary(self) -> pd.DataFrame:
        """One row per test, with the figure of its first failure or of its first part.

        Columns ``id``, ``name``, ``stage``, ``verdict``, ``passed``, ``failed``, ``parts``
        (numbers of parts), ``part``, ``figure``, ``detail``.
        """
        rows = []
        for id_, part in self.table.groupby("id", sort=False):
            failed = part[part["verdict"] == "fail"]
            required = failed[failed["required"]]
            shown = required if len(required) else failed if len(failed) else part
            verdict = "fail" if len(required) else (
                "info" if (part["verdict"] == "info").all() or not part["required"].any()
                else "pass")
            rows.append({
                "id": id_, "name": part["name"].iloc[0], "stage": part["stage"].iloc[0],
                "verdict": verdict, "passed": int((part["verdict"] == "pass").sum()),
                "failed": len(failed), "parts": len(part),
                "part": shown["part"].iloc[0] if len(part) > 1 else "",
                "figure": shown["figure"].iloc[0], "detail": shown["detail"].iloc[0],
            })
        return pd.DataFrame(rows)


def run_tests(
    model: Model, only: Sequence[str] = (), progress: Progress | None = None
) -> ValidationReport:
    """Put a model to the tests.

    Parameters
    ----------
    model : Model
    only : sequence of str
        Ids of tests; all of them if empty.
    progress : callable, optional
        Told what is being done: text, tests done, tests in all.

    Raises
    ------
    InputError
        An id that no test has.
    """
    for id_ in only:
        if id_ not in TESTS:
            raise InputError("no such test", key="only", value=id_,
                             allowed=", ".join(nearest(id_, TESTS)) or ", ".join(TESTS))
    chosen = [test for id_, test in TESTS.items() if not only or id_ in only]
    context = Context(model)
    rows: list[dict[str, object]] = []
    tables: dict[str, pd.DataFrame] = {}
    seconds: dict[str, float] = {}
    for done, test in enumerate(chosen):
        if progress is not None:
            progress(test.name, done, len(chosen))
        start = perf_counter()
        for outcome in _outcomes(test, context):
            rows.append({
                "id": test.id, "part": outcome.part, "name": test.name, "stage": test.stage,
                "required": test.required and outcome.required, "verdict": outcome.verdict,
                "figure": outcome.figure, "detail": outcome.detail})
            tables.update(outcome.tables)
        seconds[test.id] = perf_counter() - start
    manifest = {
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "versions": software_versions(),
    }
    return ValidationReport(pd.DataFrame(rows, columns=list(COLUMNS)), tables, manifest, seconds)


def _outcomes(test: Test, context: Context) -> Iterable[Outcome]:
    try:
        return test.run(context)
    except ModelError as error:
        # A model that cannot be run fails the test; the others still have their say.
        return [Outcome("fail" if test.required else "info", "cannot be computed", str(error))]


def validate(
    out: str | Path, *, keep: bool = False, progress: Progress | None = None,
    only: Sequence[str] = (), model: Path | None = None, command: str = "kuzbass validate",
) -> ValidationReport:
    """Put a model to the tests and write what they found.

    ``validation.csv`` (one row per test and part), ``validation.json`` (the same with a summary)
    and one CSV file per table of numbers.

    Parameters
    ----------
    out : str or Path
        Output folder.
    keep : bool
        Whether to keep an existing folder and write beside it.
    progress : callable, optional
        Told what is being done: text, tests done, tests in all.
    only : sequence of str
        Ids of tests; all of them if empty.
    model : Path, optional
        The .mdl file; the shipped model if left out.
    command : str
        The command line, for the manifest.

    Raises
    ------
    InputError, ModelError
        A bad model, statement, id or output folder.
    """
    with output_folder(out, keep=keep, command=command) as folder:
        report = run_tests(load_model(model), only, progress)
        folder.manifest.update(report.manifest)
        write_csv(report.table, folder.path / "validation.csv")
        for name, table in report.tables.items():
            write_csv(table, folder.path / f"{name}.csv")
        text = json.dumps(_record(report), indent=1, ensure_ascii=False) + "\n"
        (folder.path / "validation.json").write_text(text, encoding="utf-8")
    return report


def _record(report: ValidationReport) -> dict[str, object]:
    return {
        "passed": report.passed,
        "failures": len(report.failures),
        "summary": report.summary.to_dict("records"),
        "tests": report.table.to_dict("records"),
    }


_MARKS = {"pass": "[green]pass[/]", "fail": "[red]FAIL[/]", "info": "[dim]info[/]"}


def print_report(report: ValidationReport, console: Console | None = None) -> None:
    """Print one line per test, then every required part that failed."""
    console = console or Console()
    # A pipe has no width; rich would cut the table at 80 columns.
    if not console.is_terminal and console.width < 120:
        console = Console(file=console.file, width=120)
    table = Table(box=None, pad_edge=False)
    for column in ("test", "", "parts", "figure"):
        table.add_column(column, overflow="fold")
    stage = ""
    for _, row in report.summary.iterrows():
        if row["stage"] != stage:
            stage = row["stage"]
            table.add_section()
            table.add_row(f"[bold]{stage}[/]")
        parts = "" if row["parts"] == 1 else f"{row['parts'] - row['failed']} of {row['parts']}"
        shown = f"{row['part']}: " if row["part"] else ""
        table.add_row(row["name"], _MARKS[row["verdict"]], parts, f"{shown}{row['figure']}")
    console.print(table)
    for _, row in report.failures.iterrows():
        place = f"{row['id']}/{row['part']}" if row["part"] else row["id"]
        console.print(f"FAIL {place}: {row['figure']}. {row['detail']}", markup=False,
                      highlight=False, soft_wrap=True)
    count = len(report.failures)
    console.print("All required tests pass." if report.passed else
                  f"{count} parts of required tests fail.", highlight=False)
