"""Checks of files without a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments.check import check_file, check_files
from kuzbass.paths import data_dir, model_path, scenario_dir

MODELS = Path(__file__).resolve().parents[1] / "models"


def test_what_is_shipped_is_sound() -> None:
    found = list(check_files([scenario_dir(), data_dir(), model_path()]))
    assert [str(error) for _, _, error in found if error is not None] == []
    what = {path.name: text for path, text, _ in found}
    assert what["s3-decline.yaml"].startswith("scenario, ")
    assert what["targets.csv"] == "table targets.csv"
    assert "indicators" in what["indicators.csv"]
    assert what["kuzbass.mdl"].endswith(" warnings")


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("", encoding="utf-8")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    (tmp_path / "c.mdl").write_text("nothing", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not looked at", encoding="utf-8")
    found = list(check_files([tmp_path, MODELS / "teacup.mdl"]))
    assert [path.name for path, _, _ in found] == ["a.yaml", "b.csv", "c.mdl", "teacup.mdl"]
    assert all(isinstance(error, KuzbassError) for _, _, error in found[:3])
    for path, _, error in found[:3]:
        assert str(path) in str(error)


def test_range_of_the_model_is_checked_to_the_last_year(tmp_path: Path) -> None:
    text = (scenario_dir() / "s1-coal-paradigm.yaml").read_text(encoding="utf-8")
    text = text.replace("name: s1-coal-paradigm", "name: late", 1)
    path = tmp_path / "late.yaml"
    path.write_text(text + "shocks:\n  - {on: exchange rate, by: 400, from: 2049, shape: step}\n",
                    encoding="utf-8")
    with pytest.raises(InputError, match=r"value out of range.*allowed: 10 to \d+ RUB/USD"):
        check_file(path)


def test_model_that_breaks_a_house_rule_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kuzbass.mdl"
    text = model_path().read_text(encoding="utf-8")
    text, found = re.subn(r"(western port programme=[^~]*~\s*[^\[]*)\[[^\]]*\]", r"\1", text)
    assert found == 1
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="western port programme: a constant needs a range"):
        check_file(path)


def test_unknown_suffix_and_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be checked.*found: .txt"):
        check_file(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"lost.csv: file not found"):
        check_file(tmp_path / "lost.csv")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    [(path, _, error)] = check_files([tmp_path])
    assert path == tmp_path
    assert isinstance(error, InputError)
