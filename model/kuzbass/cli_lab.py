"""The commands of the policy lab; thin, as those of `kuzbass.cli`, which takes them in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kuzbass.experiments.run import Progress

__all__ = ["add_findings_command", "add_policy_commands", "add_search_commands"]

_OUT = Path("kuzbass-out")
_Plan = Annotated[str, typer.Argument(
    metavar="PLAN", help="A plan file, or the name of a shipped one.")]
_Threads = Annotated[int | None, typer.Option(
    metavar="N", help="Threads, or workers of a local cluster; all processors if left out.",
    show_default=False)]
_Scheduler = Annotated[str | None, typer.Option(
    metavar="ADDRESS", help="tcp://host:port of a Dask scheduler, or local to start one.",
    show_default=False)]


def add_policy_commands(
    app: typer.Typer, progress: Callable[[], AbstractContextManager[Progress]]
) -> None:
    """Add `policy` and `robust` to the command line; `progress` shows what is being done."""

    @app.command()
    def policy(
        context: typer.Context,
        plan: _Plan = "policy",
        out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "policy",
        keep: Annotated[bool, typer.Option(
            "--keep", help="Keep an existing output folder and write beside it.")] = False,
    ) -> None:
        """Run policies in scenarios and shocks, each against its twin without policy."""
        from kuzbass.experiments.lab import policy as study
        from kuzbass.experiments.lab.plan import PolicyPlan, load_plan
        from kuzbass.report.lab_figures import write_policy

        given, file = load_plan(PolicyPlan, plan)
        with progress() as tell:
            result = study.policy(given, file, out=out, keep=keep, progress=tell,
                                  command=context.obj or "kuzbass policy", draw=write_policy)
        for line in study.policy_lines(result):
            typer.echo(line)

    @app.command()
    def robust(
        context: typer.Context,
        plan: _Plan = "robust",
        runs: Annotated[int | None, typer.Option(
            metavar="N", help="Futures, instead of those of the plan.",
            show_default=False)] = None,
        seed: Annotated[int | None, typer.Option(metavar="N", show_default=False)] = None,
        threads: Annotated[int | None, typer.Option(
            metavar="N", help="Threads, or workers of a local cluster; all processors if left "
            "out.", show_default=False)] = None,
        scheduler: Annotated[str | None, typer.Option(
            metavar="ADDRESS", help="tcp://host:port of a Dask scheduler, or local to start one.",
            show_default=False)] = None,
        out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = _OUT / "robust",
    ) -> None:
        """Try policies in thousands of futures; goes on where it was interrupted."""
        from kuzbass.experiments.lab import robust as study
        from kuzbass.experiments.lab.plan import RobustPlan, change_plan, load_plan
        from kuzbass.experiments.lab.study import prepare
        from kuzbass.experiments.output import output_folder
        from kuzbass.report.lab_robust import write_robust

        given, file = load_plan(RobustPlan, plan)
        given = change_plan(given, file, {"futures.runs": runs, "futures.seed": seed})
        ready = prepare(given, file)
        with output_folder(out, command=context.obj or "kuzbass robust",
                           resumable=True) as folder, progress() as tell:
            result = study.run_robust(ready, folder.path, threads=threads, scheduler=scheduler,
                                      progress=tell)
            tell("drawing", 0, 0)
            folder.manifest.update(result.manifest)
            write_robust(result, folder.path)
        for line in study.robust_lines(result, folder.target):
            typer.echo(line)


def add_search_commands(
    app: typer.Typer, progress: Callable[[], AbstractContextManager[Progress]]
) -> None:
    """Add `attain`, `optimise` and `sensitivity`; `progress` shows what is being done."""

    @app.command()
    def attain(
        context: typer.Context,
        scenario: Annotated[str, typer.Argument(
            metavar="SCENARIO", help="The scenario whose targets are asked for.")],
        plan: Annotated[str, typer.Option(
            metavar="PLAN", help="A plan file, or the name of a shipped one.")] = "attain",
        out: Annotated[Path | None, typer.Option(
            metavar="DIR", help="Output folder; kuzbass-out/attain-SCENARIO if left out.",
            show_default=False)] = None,
        keep: Annotated[bool, typer.Option(
            "--keep", help="Keep an existing output folder and write beside it.")] = False,
    ) -> None:
        """Find the smallest change of causes that brings a scenario to the authors' targets."""
        from kuzbass.experiments.lab import attain as study
        from kuzbass.experiments.lab.attain_plan import AttainPlan
        from kuzbass.experiments.lab.plan_files import read_plan
        from kuzbass.experiments.output import output_folder
        from kuzbass.report.attain import write_attain_report

        given, file = read_plan(AttainPlan, plan)
        place = out or _OUT / f"attain-{Path(scenario).stem}"
        command = context.obj or "kuzbass attain"
        with output_folder(place, keep=keep, command=command) as folder, progress() as tell:
            result = study.attain(given, file, scenario, progress=tell)
            folder.manifest.update(result.manifest)
            study.write_attain(result, folder.path)
            write_attain_report(result, folder.path)
        for line in study.attain_lines(result, folder.target):
            typer.echo(line)

    @app.command()
    def optimise(
        context: typer.Context,
        plan: _Plan = "optimise",
        threads: _Threads = None,
        scheduler: _Scheduler = None,
        out: Annotated[Path, typer.Option(
            metavar="DIR", help="Output folder.")] = _OUT / "optimise",
    ) -> None:
        """Search for mixes of levers that no other beats; goes on where it was interrupted."""
        from kuzbass.experiments.lab import optimise as study
        from kuzbass.experiments.lab.optimise_plan import OptimisePlan
        from kuzbass.experiments.lab.plan_files import read_plan
        from kuzbass.experiments.output import output_folder
        from kuzbass.report.optimise import write_optimise

        ready = study.prepare_optimise(*read_plan(OptimisePlan, plan))
        with output_folder(out, command=context.obj or "kuzbass optimise",
                           resumable=True) as folder, progress() as tell:
            result = study.run_optimise(ready, folder.path, threads=threads, scheduler=scheduler,
                                        progress=tell)
            tell("drawing", 0, 0)
            folder.manifest.update(result.manifest)
            write_optimise(result, folder.path)
        for line in study.optimise_lines(result, folder.target):
            typer.echo(line)

    @app.command()
    def sensitivity(
        context: typer.Context,
        plan: _Plan = "sensitivity",
        threads: _Threads = None,
        scheduler: _Scheduler = None,
        out: Annotated[Path, typer.Option(
            metavar="DIR", help="Output folder.")] = _OUT / "sensitivity",
    ) -> None:
        """Tell which factors the results hang on; goes on where it was interrupted."""
        from kuzbass.experiments.lab import sensitivity as study
        from kuzbass.experiments.lab.plan_files import read_plan
        from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
        from kuzbass.experiments.output import output_folder
        from kuzbass.report.sensitivity import write_sensitivity

        ready = study.prepare_sensitivity(*read_plan(SensitivityPlan, plan))
        with output_folder(out, command=context.obj or "kuzbass sensitivity",
                           resumable=True) as folder, progress() as tell:
            result = study.run_sensitivity(ready, folder.path, threads=threads,
                                           scheduler=scheduler, progress=tell)
            tell("drawing", 0, 0)
            folder.manifest.update(result.manifest)
            write_sensitivity(result, folder.path)
        for line in study.sensitivity_lines(result, folder.target):
            typer.echo(line)


def add_findings_command(
    app: typer.Typer, progress: Callable[[], AbstractContextManager[Progress]]
) -> None:
    """Add `findings` to the command line; `progress` shows what is being done."""

    @app.command()
    def findings(
        context: typer.Context,
        quick: Annotated[bool, typer.Option(
            "--quick", help="Small samples, to try the command: its numbers are no results.")
        ] = False,
        threads: _Threads = None,
        page: Annotated[Path | None, typer.Option(
            "--page", metavar="DIR", help="Put the page and its figures there too, such as docs.",
            show_default=False)] = None,
        out: Annotated[Path, typer.Option(
            metavar="DIR", help="Output folder.")] = _OUT / "findings",
    ) -> None:
        """Run the shipped plans and write down what they found; goes on where interrupted."""
        from kuzbass.experiments import findings as study
        from kuzbass.experiments.output import output_folder
        from kuzbass.report.findings import publish, write_findings

        with output_folder(out, command=context.obj or "kuzbass findings",
                           resumable=True) as folder, progress() as tell:
            found = study.run_findings(folder.path, sizes=study.QUICK if quick else study.FULL,
                                       threads=threads, progress=tell)
            tell("drawing", 0, 0)
            folder.manifest.update(found.manifest)
            names = write_findings(found, folder.path)
        typer.echo(f"Written to {folder.target}")
        if page is not None:
            publish(names, folder.target, page)
            typer.echo(f"Page and figures put into {page}")
