"""What is compiled once is not compiled again, and a warm start needs no PySD."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.sd.kernel import cache, compile_model, machine
from kuzbass.sd.kernel import compile as compiling
from kuzbass.sd.kernel.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = Path(__file__).resolve().parents[2] / "models" / "small.mdl"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KUZBASS_CACHE", str(tmp_path / "cache"))
    compiling._KERNELS.clear()
    yield
    compiling._KERNELS.clear()


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what is compiled."""
    texts: list[str] = []
    compile_text = machine.compile_text

    def record(text: str) -> bytes:
        texts.append(text)
        return compile_text(text)

    monkeypatch.setattr(machine, "compile_text", record)
    return texts


def _forget() -> None:
    compiling._KERNELS.clear()


def test_the_second_time_nothing_is_compiled(compilations: list[str]) -> None:
    first = compile_model(MODEL, vary=["tax rate"]).run({"tax rate": 0.4})
    assert len(compilations) == 1
    compile_model(MODEL, vary=["Tax_Rate"])
    _forget()
    again = compile_model(MODEL, vary=["tax rate"]).run({"tax rate": 0.4})
    assert len(compilations) == 1
    np.testing.assert_array_equal(again.values, first.values)


@pytest.mark.parametrize("changed", [
    {"vary": ["tax rate", "life of capacity"]}, {"outputs": ["capacity"]}, {"time_step": 0.125},
    {"final_time": 8.0}, {"save_every": 2.0}, {"method": "rk4"}])
def test_anything_else_is_compiled_anew(
    compilations: list[str], changed: dict[str, object]
) -> None:
    arguments = {"vary": ["tax rate"], **changed}
    compile_model(MODEL, vary=["tax rate"])
    compile_model(MODEL, **arguments)
    assert len(compilations) == 2
    assert compilations[0] != compilations[1]


def test_a_changed_model_is_compiled_anew(compilations: list[str], tmp_path: Path) -> None:
    path = Path(shutil.copy(MODEL, tmp_path))
    before = compile_model(path).run()
    path.write_text(path.read_text(encoding="utf-8").replace("\t0.2\n", "\t0.3\n"),
                    encoding="utf-8")
    after = compile_model(path).run()
    assert len(compilations) == 2
    assert after["tax rate"][0, 0] == 0.3
    assert before["tax rate"][0, 0] == 0.2


def test_another_generator_or_pysd_does_not_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cache.key("model")
    monkeypatch.setattr(cache, "GENERATOR", "0")
    other = cache.key("model")
    monkeypatch.setattr(cache, "_pysd_version", lambda: "3.15.0")
    assert len({plain, other, cache.key("model")}) == 3


def test_a_damaged_entry_is_made_anew(compilations: list[str]) -> None:
    expected = compile_model(MODEL).run()
    _forget()
    for file in cache.folder().iterdir():
        content = file.read_bytes()
        file.write_bytes(content[:-7])
    result = compile_model(MODEL).run()
    assert len(compilations) == 2
    np.testing.assert_array_equal(result.values, expected.values)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("KUZBASS_CACHE", str(blocked / "cache"))
    assert compile_model(MODEL).run().values.shape[2] == 1


def test_nothing_half_written_is_left() -> None:
    compile_model(MODEL)
    names = [file.name for file in cache.folder().iterdir()]
    assert len(names) == 2
    assert all(len(name) == 64 for name in names)


def test_a_path_for_a_constant_is_compiled_when_it_comes(compilations: list[str]) -> None:
    kernel = compile_model(MODEL, vary=["tax rate"], save_every=None)
    kernel.run({"tax rate": 0.1})
    assert len(compilations) == 1
    result = kernel.run({"tax rate": np.linspace(0.0, 1.0, 41)[None, :]})
    kernel.run({"tax rate": np.zeros((1, 41))})
    assert len(compilations) == 2
    np.testing.assert_allclose(result["tax rate"][:, 0], np.linspace(0.0, 1.0, 41))
    listed = compile_model(MODEL, vary=["tax rate"], moving=["tax rate"], save_every=None)
    assert len(compilations) == 2
    assert isinstance(listed, Kernel)


WARM = """
import sys
from pathlib import Path
from kuzbass.sd.kernel import compile_model
result = compile_model(Path(sys.argv[1]), vary=["tax rate"]).run({"tax rate": 0.4})
heavy = {"pysd", "pandas", "xarray", "networkx"} & set(sys.modules)
print(result["capacity"][-1, 0].hex(), *sorted(heavy))
"""


def test_a_warm_start_needs_no_pysd() -> None:
    result = compile_model(MODEL, vary=["tax rate"]).run({"tax rate": 0.4})
    done = subprocess.run([sys.executable, "-c", WARM, str(MODEL)], check=True, text=True,
                          capture_output=True, env=dict(os.environ))
    assert done.stdout.split() == [float(result["capacity"][-1, 0]).hex()]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUZBASS_CACHE", "/here")
    assert cache.folder() == Path("/here")
    monkeypatch.delenv("KUZBASS_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.folder() == Path("/xdg/kuzbass")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "kuzbass"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == Path.home() / "Library" / "Caches" / "kuzbass"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache.folder() == Path("/local/kuzbass")
