"""Read models on disk: the same model comes back, and nothing stale or broken does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuzbass.errors import ModelError
from kuzbass.sd import mdl, model_cache
from kuzbass.sd.engine import simulate
from kuzbass.sd.kernel import cache
from kuzbass.sd.mdl import load_model

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUZBASS_CACHE", str(tmp_path / "cache"))
    mdl._load.cache_clear()


def copy(place: Path, name: str) -> Path:
    path = place / name
    path.write_bytes((MODELS / name).read_bytes())
    return path


def refuse(*_args: object) -> None:
    pytest.fail("the model is read anew")


def test_a_model_read_before_comes_back_without_the_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_model(MODELS / "lookup_clamp.mdl")
    monkeypatch.setattr(mdl, "_read", refuse)
    again = load_model(copy(tmp_path, "lookup_clamp.mdl"))
    assert again.path == tmp_path / "lookup_clamp.mdl"
    assert again.variables == first.variables
    assert again.source == first.source
    assert [one.text for one in again.equations.values()] == [
        one.text for one in first.equations.values()]
    for name, curve in first.curves().items():
        np.testing.assert_array_equal(again.curves()[name].y, curve.y)
        with pytest.raises(ValueError, match="read-only"):
            again.curves()[name].y[0] = 1.0
    before, after = simulate(first, engine="pysd"), simulate(again, engine="pysd")
    for name in before.data_vars:
        np.testing.assert_array_equal(before[name], after[name])


def test_a_damaged_entry_is_as_good_as_none(tmp_path: Path) -> None:
    model = load_model(MODELS / "teacup.mdl")
    entry = cache.folder() / model_cache._name(model.sha256)
    content = bytearray(entry.read_bytes())
    content[-1] ^= 1
    entry.write_bytes(bytes(content))
    assert model_cache.recall(model.path, model.sha256) is None
    assert load_model(copy(tmp_path, "teacup.mdl")).variables == model.variables


def test_other_code_has_other_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(MODELS / "teacup.mdl")
    assert model_cache.recall(model.path, model.sha256) is not None
    monkeypatch.setattr(model_cache, "_code", lambda: "changed")
    assert model_cache.recall(model.path, model.sha256) is None


def test_a_refused_model_is_refused_again(tmp_path: Path) -> None:
    path = tmp_path / "broken.mdl"
    text = (MODELS / "teacup.mdl").read_text(encoding="utf-8")
    path.write_text(text.replace("INTEG", "INTEGRAL"), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(ModelError, match=r"broken\.mdl"):
            load_model(path)
