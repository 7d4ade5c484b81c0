"""What the tests of the regional layer share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kuzbass.region.resilience import Family, load_indicators
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def model() -> Model:
    """The shipped model."""
    return load_model()


@pytest.fixture(scope="session")
def family() -> Family:
    """The admissible lists of the shipped indicators."""
    return Family(load_indicators())


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file into a temporary folder and return its path."""

    def file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return file
