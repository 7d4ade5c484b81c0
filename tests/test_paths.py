"""The shipped files are found in a checkout and in a wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kuzbass import paths
from kuzbass.errors import KuzbassError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model" / "kuzbass"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "_PACKAGE", folder)
    return folder


def test_checkout_uses_the_top_level_folders(package: Path) -> None:
    root = package.parents[1]
    for name in ("sdmodels", "scenarios", "data"):
        (root / name).mkdir()
    assert paths.model_path() == root / "sdmodels" / "kuzbass.mdl"
    assert paths.scenario_dir() == root / "scenarios"
    assert paths.data_dir() == root / "data"


def test_wheel_carries_its_own_files(package: Path) -> None:
    (package.parents[1] / "data").mkdir()
    inside = package / "_assets" / "data"
    inside.mkdir(parents=True)
    assert paths.data_dir() == inside


def test_missing_folder_names_the_places(package: Path) -> None:
    with pytest.raises(KuzbassError, match=r"'data' .* is missing .*_assets"):
        paths.data_dir()
    assert package.is_dir()
