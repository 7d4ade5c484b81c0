"""For all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled kernels of the tests stay out of the user's cache."""
    if "KUZBASS_CACHE" in os.environ:  # a developer may keep one between test runs
        yield
        return
    os.environ["KUZBASS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["KUZBASS_CACHE"]
