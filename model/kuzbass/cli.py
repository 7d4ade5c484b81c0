"""The command line: one thin command per question; the work is done in experiments/ and report/.

Commands import what they need when they run, so ``kuzbass --help`` is quick.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kuzbass import __version__
from kuzbass.cli_lab import (
    add_findings_command,
    add_policy_commands,
    add_search_commands,
)
from kuzbass.errors import InputError, KuzbassError

if TYPE_CHECKING:
    from kuzbass.experiments.run import Progress

__all__ = ["app", "main"]

_OUT = Path("kuzbass-out")
_Keep = Annotated[bool, typer.Option(
    "--keep", help="Keep an existing output folder and write beside it.")]

app = typer.Typer(
    name="kuzbass", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="A system-dynamics model of the Kuzbass economy: scenarios, resilience, targets.",
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0, or 2 after bad input."""
    given = list(sys.argv[1:] if args is None else args)
    try:
        app(args=_one_by_one(given), prog_name="kuzbass", obj=shlex.join(["kuzbass", *given]))
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
    keep: _Keep = False,
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


@app.command()
def ensemble(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(
        metavar="PLAN", help="A plan file, or the name of a shipped one.")] = "ensemble",
    scenario: Annotated[list[str] | None, typer.Option(
        "--scenario", metavar="NAME", help="Instead of those of the plan; may be given several "
        "times.", show_default=False)] = None,
    runs: Annotated[int | None, typer.Option(
        metavar="N", help="Runs of each scenario.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(
        metavar="N", help="Threads, or workers of a local cluster; all processors if left out.",
        show_default=False)] = None,
    scheduler: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help="tcp://host:port of a Dask scheduler, or local to start one.",
        show_default=False)] = None,
    trajectories: Annotated[str | None, typer.Option(
        metavar="f32|f64", help="Keep all trajectories, in Zarr.", show_default=False)] = None,
    chunk: Annotated[int, typer.Option(
        metavar="N", help="Runs that an interruption may cost; changes no number.")] = 4096,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "ensemble",
) -> None:
    """Run scenarios over uncertain parameters and drivers; goes on where it was interrupted."""
    from kuzbass.experiments.ensemble import prepare, run_plan
    from kuzbass.experiments.ensemble_plan import change_plan, load_plan
    from kuzbass.experiments.output import output_folder
    from kuzbass.report.bands import write_bands

    given, file = load_plan(plan)
    given = change_plan(given, file, {"scenarios": scenario, "runs": runs, "seed": seed})
    study = prepare(given, file)
    command = context.obj or "kuzbass ensemble"
    with output_folder(out, command=command, resumable=True) as folder, _progress() as progress:
        results = run_plan(study, folder.path, threads=threads, scheduler=scheduler, chunk=chunk,
                           trajectories=trajectories, progress=progress)
        progress("drawing", 0, 0)
        folder.manifest.update(results.manifest)
        write_bands(results, folder.path)
    typer.echo(f"{study.members.runs} runs of each of {len(results.titles)} scenarios, quantiles "
               f"{results.manifest['quantiles']}.")
    if len(results.nonfinite):
        typer.echo(f"{len(results.nonfinite)} runs did not stay finite and are left out: see "
                   "nonfinite.csv.", err=True)
    typer.echo(f"Written to {folder.target}")


@app.command("run-model")
def run_model_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.mdl", help="Any model in the subset.")],
    params: Annotated[list[str] | None, typer.Option(
        "--params", metavar="NAME=VALUE ... | RUNS.csv", help="Constants and drivers, or a table "
        "with a line for each run.", show_default=False)] = None,
    outputs: Annotated[list[str] | None, typer.Option(
        "--outputs", metavar="NAME ...", help="Variables to write; all if left out.",
        show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "model",
) -> None:
    """Run any Vensim model once, or once for every line of a table, and write CSV."""
    from kuzbass.experiments.output import output_folder
    from kuzbass.experiments.run_model import run_model

    with output_folder(out, command=context.obj or "kuzbass run-model") as folder:
        runs = run_model(file, folder.path, params=params or (), outputs=outputs or (),
                         threads=threads)
        folder.manifest.update(runs.manifest)
    for run_, variable, time in runs.nonfinite:
        typer.echo(f"run {run_} is left out: '{variable}' is not finite at {time:g}", err=True)
    typer.echo(f"{runs.runs} run{'s' if runs.runs > 1 else ''} of {len(runs.variables)} "
               f"variables. Written to {folder.target}")


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


@app.command()
def calibrate(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(
        metavar="PLAN", help="A plan file, or the name of a shipped one.")] = "calibrate",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer starts and shorter walks.")] = False,
    data: Annotated[Path | None, typer.Option(
        metavar="FILE.csv", help="Instead of the shipped observed.csv.",
        show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "calibrate",
) -> None:
    """Fit the model on 2000-2015 and on 2000-2021; goes on where it was interrupted."""
    from kuzbass.experiments.calibrate import prepare
    from kuzbass.experiments.calibration_report import print_calibration, run_calibration

    setting = prepare(plan, data=data, quick=quick)
    with _progress() as progress:
        calibration, tables, folder = run_calibration(
            setting, out, progress=progress, command=context.obj or "kuzbass calibrate")
    print_calibration(calibration, tables, folder)


@app.command()
def validate(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Option(
        "--only", metavar="ID", help="One test; may be given several times.",
        show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(
        metavar="FILE.mdl", help="Another model file.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "validate",
    keep: _Keep = False,
) -> None:
    """Put the model to the canon of tests; ends with code 1 if a required one fails."""
    from kuzbass.experiments import validate as battery

    with _progress() as progress:
        report = battery.validate(out, keep=keep, progress=progress, only=only or (), model=model,
                                  command=context.obj or "kuzbass validate")
    battery.print_report(report)
    raise typer.Exit(0 if report.passed else 1)


@app.command()
def book(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "book",
    keep: _Keep = False,
) -> None:
    """Write the model book: every equation, diagram, source and plot, cross-linked."""
    from kuzbass.experiments import book as writer
    from kuzbass.report.book import book_pages

    with _progress() as progress:
        folder = writer.book(out, book_pages, keep, progress=progress,
                             command=context.obj or "kuzbass book")
    typer.echo(f"Written to {folder}")


@app.command()
def shock(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(
        metavar="[SHOCK]", help="A shock file, or the name of a shipped one.",
        show_default=False)] = None,
    on: Annotated[list[str] | None, typer.Option(
        "--on", metavar="NAME", help="What is shocked; may be given several times.",
        show_default=False)] = None,
    by: Annotated[list[str] | None, typer.Option(
        "--by", metavar="SIZE", help="-20% of the base path, or -5 in its unit.",
        show_default=False)] = None,
    start: Annotated[float | None, typer.Option(
        "--from", metavar="YEAR", show_default=False)] = None,
    years: Annotated[float | None, typer.Option(
        "--for", metavar="YEARS", show_default=False)] = None,
    shape: Annotated[str, typer.Option(
        metavar="SHAPE", help="pulse, step, ramp or recorded.")] = "pulse",
    recorded: Annotated[int | None, typer.Option(
        metavar="YEAR", help="The crisis whose profile is followed.", show_default=False)] = None,
    scenario: Annotated[str | None, typer.Option(metavar="NAME", show_default=False)] = None,
    target: Annotated[str, typer.Option(
        metavar="VARIABLE", help="Whose response is explained.")] = "real GRP index",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "shock",
    keep: _Keep = False,
) -> None:
    """Send a shock through the economy: measures, the chain itself, cuts, figures."""
    from kuzbass.experiments import shock as study
    from kuzbass.experiments.stories import shock_lines
    from kuzbass.region.shocks import shock_names
    from kuzbass.report.shock_figures import write_shock_figures

    if (name is None) == (on is None):
        raise InputError("give either a shock file or --on", key="shock", value=name,
                         allowed=", ".join(shock_names()))
    if on is not None and start is None:
        raise InputError("missing", key="--from", allowed="the year in which it begins")
    given = name or "" if on is None or start is None else study.command_shock(
        on, by or (), start=start, years=years, shape=shape, recorded=recorded,
        scenario=scenario or "baseline")
    with _progress() as progress:
        result = study.shock(given, scenario=scenario, target=target, out=out, keep=keep,
                             command=context.obj or "kuzbass shock", draw=write_shock_figures,
                             progress=progress)
    _say(shock_lines(result))


@app.command()
def replay(
    context: typer.Context,
    year: Annotated[int, typer.Argument(help="2009, 2013, 2020, 2021 or 2022.")],
    at: Annotated[int | None, typer.Option(
        metavar="YEAR", help="Year of a scenario on which it is laid.", show_default=False)] = None,
    scenario: Annotated[str, typer.Option(metavar="NAME")] = "baseline",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "replay",
    keep: _Keep = False,
) -> None:
    """Replay a crisis, or lay it on a year of a scenario."""
    from kuzbass.experiments import replay as study
    from kuzbass.experiments.stories import replay_lines
    from kuzbass.report.shock_figures import write_replay_figures

    with _progress() as progress:
        result = study.replay(year, at=at, scenario=scenario, out=out, keep=keep,
                              command=context.obj or "kuzbass replay", draw=write_replay_figures,
                              progress=progress)
    _say(replay_lines(result))


@app.command()
def loops(
    context: typer.Context,
    scenario: Annotated[list[str] | None, typer.Option(
        "--scenario", metavar="NAME", help="All shipped ones if left out.",
        show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "loops",
    keep: _Keep = False,
) -> None:
    """Say which feedback loops dominate before, in and after each crisis."""
    from kuzbass.experiments import loops as study
    from kuzbass.experiments.stories import loops_lines
    from kuzbass.report.shock_figures import write_loops_figures

    with _progress() as progress:
        result = study.loops(scenario or (), out=out, keep=keep,
                             command=context.obj or "kuzbass loops", draw=write_loops_figures,
                             progress=progress)
    _say(loops_lines(result))


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _one_by_one(args: list[str]) -> list[str]:
    """Repeat the option before every value, for options that take all up to the next option."""
    if "run-model" not in args:
        return args
    result: list[str] = []
    option = ""
    for arg in args:
        if arg.startswith("--"):
            option = arg if arg in ("--params", "--outputs") else ""
            result += [] if option else [arg]
        else:
            result += [option, arg] if option else [arg]
    return result


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


add_policy_commands(app, _progress)
add_search_commands(app, _progress)
add_findings_command(app, _progress)

if __name__ == "__main__":
    main()
