"""The README: its Python example runs, its commands are there, its figures are those of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kuzbass.experiments.results import RunResults

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_two_commands_do_all_the_set_up(readme: str) -> None:
    main_job, tests = _blocks(readme, "bash")
    for command in (main_job, tests):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv ")
        assert "requirements.lock" in command
    assert main_job.rstrip().endswith("kuzbass run")
    assert tests.rstrip().endswith("python -m pytest")
    marked = readme.partition("<!-- test -->")[2].partition("<!-- end -->")[0]
    assert tests in marked


def test_python_example_runs(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = _blocks(readme, "python")
    exec(compile(example, "README.md", "exec"), {})
    assert "index" in capsys.readouterr().out


def test_named_files_exist(readme: str) -> None:
    for name in re.findall(r"\]\((docs/[^)]+)\)|`((?:sdmodels|data|docs)/[\w./-]+)`", readme):
        assert (ROOT / (name[0] or name[1])).exists(), name


def test_findings_are_those_of_a_run(readme: str, results: RunResults) -> None:
    text = readme.partition("<!-- findings -->")[2].partition("<!-- end findings -->")[0]
    text = " ".join(text.split())
    comparison = results.comparison
    required = comparison.fit[comparison.fit["judged"] == "required"]
    assert f"{int(required['passed'].sum())} of {len(required)} judged series" in text
    targets = comparison.targets
    assert f"{int(targets['inside'].sum())} of {len(targets)} targets" in text
    claims = comparison.index_claims
    assert f"{int((claims['verdict'] == 'holds').sum())} of {len(claims)} claims" in text
    for name in ("s1-coal-paradigm", "s2-interregional", "s3-decline"):
        annual = results.scenarios[name].annual
        grp = 100.0 * annual["real GRP index"].loc[2035] / annual["real GRP index"].loc[2019]
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        cells = [cell.strip() for cell in row.split("|")]
        assert float(cells[3]) == pytest.approx(grp, abs=0.51)
        assert float(cells[4]) == pytest.approx(annual["coal output"].loc[2035], abs=0.51)
        index = results.scenarios[name].index["index"].loc[2035]
        assert float(cells[5]) == pytest.approx(index, abs=0.0051)
