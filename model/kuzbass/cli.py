"""The command line: one thin command per question; the work is done in experiments/ and report/.

Commands import what they need when they run, so ``kuzbass --help`` is quick.
"""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so --help is quick

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kuzbass import __version__
from kuzbass.errors import InputError, KuzbassError

if TYPE_CHECKING:
    from kuzbass.experiments.run import Progress

__all__ = ["app", "main"]

_OUT = Path("kuzbass-out")

app = typer.Typer(
    name="kuzbass", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="A system-dynamics model of the Kuzbass economy: scenarios, resilience, targets.",
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0, or 2 after bad input."""
    given = list(sys.argv[1:] if args is None else args)
    try:
        app(args=given, prog_name="kuzbass", obj=shlex.join(["kuzbass", *given]))
    except KuzbassError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


@app.callback(invoke_without_command=True)
def _kuzbass(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if show_version:
        typer.echo(f"kuzbass {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def run(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(
        metavar="FILE.yaml", help="Scenario files, or names of shipped ones.",
        show_default=False)] = None,
    scenario: Annotated[list[str] | None, typer.Option(
        "--scenario", metavar="NAME", help="A shipped scenario; may be given several times.",
        show_default=False)] = None,
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, kernel or pysd.")] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "run",
    dt: Annotated[str | None, typer.Option(
        metavar="YEARS", help="Time step such as 1/32 or 0.125; the model's if left out.",
        show_default=False)] = None,
    until: Annotated[int, typer.Option(metavar="YEAR", help="Last year, 2000 to 2050.")] = 2035,
    keep: Annotated[bool, typer.Option(
        "--keep", help="Keep an existing output folder and write beside it.")] = False,
) -> None:
    """Simulate scenarios (all shipped ones if none is named), score and compare them."""
    from kuzbass.experiments.output import output_folder
    from kuzbass.experiments.run import run_scenarios
    from kuzbass.experiments.summary import print_summary
    from kuzbass.experiments.tables import write_tables
    from kuzbass.report import write_report

    step = None if dt is None else _fraction(dt)
    command = context.obj or "kuzbass run"
    with output_folder(out, keep=keep, command=command) as folder, _progress() as progress:
        results = run_scenarios([*(scenario or ()), *(files or ())], engine=engine,
                                time_step=step, until=until, progress=progress)
        progress("writing tables, figures and report", 0, 0)
        folder.manifest.update(results.manifest)
        write_tables(results, folder.path)
        write_report(results, folder.path)
    print_summary(results, folder.target)


@app.command("list")
def list_(
    variables: Annotated[bool, typer.Option(
        "--variables", help="List drivers, policies and parameters instead.")] = False,
) -> None:
    """List the shipped scenarios, or what a scenario may set."""
    from kuzbass.experiments.listing import scenario_lines, variable_lines

    for line in variable_lines() if variables else scenario_lines():
        typer.echo(line)


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(
        metavar="PATH...", help="Scenarios (.yaml), data tables (.csv), models (.mdl), or folders "
        "of them.")],
) -> None:
    """Check scenario, data and model files without running them."""
    from kuzbass.experiments.check import check_files

    bad = 0
    for file, what, error in check_files(paths):
        if error is None:
            typer.echo(f"ok: {file}: {what}")
        else:
            bad += 1
            typer.echo(f"error: {error}", err=True)
    if bad:
        raise typer.Exit(KuzbassError.exit_code)


def _fraction(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError("not a number", key="--dt", value=text,
                         allowed="a power of one half such as 1/32 or 0.125") from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show on stderr what is being done; plain silence where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True,
                  disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total or None)

        yield tell


if __name__ == "__main__":
    main()
