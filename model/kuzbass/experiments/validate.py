"""Puts a model to the canon of tests: structure, extreme conditions, behaviour.

The tests are registered in `kuzbass.experiments.validation`; this runs them in the order of the
stages of Barlas (1996) and tells what they found.  What the model is known to miss stands in
``known_misses.csv`` with its reason: such a part is a known miss and never a pass, and a line whose
part no longer fails is refused like a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from kuzbass.region.data import read_table
from kuzbass.sd.mdl import Model, load_model

__all__ = ["COLUMNS", "KNOWN", "ValidationReport", "excuse", "print_report", "run_tests",
           "validate"]

KNOWN = "known miss"
COLUMNS = ("id", "part", "name", "stage", "required", "verdict", "figure", "detail")


@dataclass(frozen=True)
class ValidationReport:
    """What the tests found.

    Attributes
    ----------
    table : DataFrame
        One row per test and part, `COLUMNS`; the verdict is ``pass``, ``fail``, ``known miss`` or
        ``info``; a known miss carries its reason in front of the detail.
    tables : mapping of str to DataFrame
        Numbers behind the verdicts, by name.
    manifest : mapping
        What was tested: model, data, versions.
    seconds : mapping of str to float
        How long each test took.
    outdated : DataFrame
        Lines of ``known_misses.csv`` whose part of a test that was run does not fail.
    """

    table: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    manifest: Mapping[str, object]
    seconds: Mapping[str, float]
    outdated: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def passed(self) -> bool:
        """Whether no required test failed but for known misses, all of which still are."""
        return self.failures.empty and self.outdated.empty

    @property
    def known(self) -> pd.DataFrame:
        """The rows that are known misses."""
        return self.table[self.table["verdict"] == KNOWN]

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
            failed = part[part["verdict"].isin(["fail", KNOWN])]
            required = failed[failed["required"]]
            new = required[required["verdict"] == "fail"]
            shown = next((rows for rows in (new, required, failed) if len(rows)), part)
            verdict = "fail" if len(new) else KNOWN if len(required) else (
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
    misses, context = read_table("known_misses.csv"), Context(model)
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
    table, outdated = excuse(pd.DataFrame(rows, columns=list(COLUMNS)), misses)
    return ValidationReport(table, tables, manifest, seconds, outdated)


def excuse(table: pd.DataFrame, misses: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mark the required failures that are known, and find the known ones that do not fail.

    Parameters
    ----------
    table : DataFrame
        `COLUMNS`.
    misses : DataFrame
        ``known_misses.csv``.

    Returns
    -------
    tuple of (DataFrame, DataFrame)
        The table with its known misses; the lines of `misses` that are outdated.  Lines of tests
        that were not run say nothing.
    """
    reasons = {(miss["test"], miss["part"]): str(miss["reason"]) for _, miss in misses.iterrows()}
    places = list(zip(table["id"], table["part"], strict=True))
    listed = pd.Series([place in reasons for place in places], index=table.index, dtype=bool)
    known = listed & table["required"].astype(bool) & table["verdict"].eq("fail")
    details = [f"{reasons[place]} {detail}".strip() if one else detail
               for place, one, detail in zip(places, known, table["detail"], strict=True)]
    marked = table.assign(verdict=table["verdict"].mask(known, KNOWN), detail=details)
    found = {place for place, one in zip(places, known, strict=True) if one}
    over = pd.Series([place not in found for place in reasons], index=misses.index, dtype=bool)
    return marked, misses[over & misses["test"].isin(table["id"])]


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
        "known_misses": len(report.known),
        "outdated": report.outdated.to_dict("records"),
        "summary": report.summary.to_dict("records"),
        "tests": report.table.to_dict("records"),
    }


_MARKS = {"pass": "[green]pass[/]", "fail": "[red]FAIL[/]", KNOWN: "[yellow]known miss[/]",
          "info": "[dim]info[/]"}


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
        console.print(f"FAIL {_place(row['id'], row['part'])}: {row['figure']}. {row['detail']}",
                      markup=False, highlight=False, soft_wrap=True)
    for _, row in report.known.iterrows():
        console.print(f"known miss {_place(row['id'], row['part'])}: {row['figure']}. "
                      f"{row['detail']}", markup=False, highlight=False, soft_wrap=True)
    for _, row in report.outdated.iterrows():
        console.print(f"OUTDATED {_place(row['test'], row['part'])}: does not fail; remove its "
                      "line from known_misses.csv.", markup=False, highlight=False, soft_wrap=True)
    misses = f" but for {len(report.known)} known misses" if len(report.known) else ""
    wrong = [f"{len(rows)} {what}" for rows, what in (
        (report.failures, "parts of required tests fail"),
        (report.outdated, "known misses are outdated")) if len(rows)]
    console.print(f"{'; '.join(wrong)}." if wrong else f"All required tests pass{misses}.",
                  highlight=False)


def _place(test: str, part: str) -> str:
    return f"{test}/{part}" if part else test
