"""For all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kuzbass.experiments.replay import ReplayResult
    from kuzbass.experiments.shock import ShockResult


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled kernels of the tests stay out of the user's cache."""
    if "KUZBASS_CACHE" in os.environ:  # a developer may keep one between test runs
        yield
        return
    os.environ["KUZBASS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["KUZBASS_CACHE"]


@pytest.fixture(scope="session")
def export_shock(tmp_path_factory: pytest.TempPathFactory) -> ShockResult:
    """A fifth less foreign demand for two years, with its figures."""
    from kuzbass.experiments.shock import command_shock, shock  # noqa: PLC0415 - few tests need it
    from kuzbass.report.shock_figures import write_shock_figures  # noqa: PLC0415 - the same

    given = command_shock(["export demand"], ["-20%"], start=2026.0, years=2.0)
    return shock(given, out=tmp_path_factory.mktemp("shock") / "out", draw=write_shock_figures)


@pytest.fixture(scope="session")
def crisis_2020(tmp_path_factory: pytest.TempPathFactory) -> ReplayResult:
    """The replay of 2020 in its own years, with its figures."""
    from kuzbass.experiments.replay import replay  # noqa: PLC0415 - few tests need it
    from kuzbass.report.shock_figures import write_replay_figures  # noqa: PLC0415 - the same

    return replay(2020, out=tmp_path_factory.mktemp("replay") / "2020",
                  draw=write_replay_figures)
