"""A small plan of policies, and a lab of the shipped model compiled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab import Futures, Lab, Metric, prepare_lab
from kuzbass.experiments.lab.evaluate import ShockAt
from kuzbass.experiments.run import load_scenarios
from kuzbass.sd.mdl import Model, load_model

Write = Callable[..., Path]

BODY = """
scenarios: [baseline]
metrics: [index 2035, GRP 2035, regional cost]
funding: {regional_share: 0.1, added_debt: 0.25, federal: 60.0}
thresholds: [{metric: GRP 2035, at_least: 90.0}]
policies:
  firms:
    title: {en: Small firms, ru: Малый бизнес}
    levers:
      small business support: {value: 0.02, from: 2026, ramp: 2.0, basis: assumption, why: Made up.}
  reserve:
    title: {en: Reserve, ru: Резерв}
    levers:
      reserve saving share: {value: 0.9, from: 2027, basis: assumption, why: Made up.}
"""
ROBUST = """
futures: {runs: 24, method: latin-hypercube, seed: 3}
boxes: {failures: {low: {metric: index 2035, at_most: 0.0}}}
"""
METRICS = {
    "index": Metric(of="resilience index", better="more", years=(2030,)),
    "lowest GRP": Metric(of="real GRP index", better="more", take="min", years=(2025, 2031)),
    "jobs": Metric(of="employed", better="more", years=(2030,), percent_of=2019),
    "debt": Metric(of="regional state debt", better="less", years=(2031,)),
    "loss": Metric(of="real GRP index", better="less", take="max", years=(0, 2), loss_in="crisis"),
}


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="session")
def futures(model: Model) -> Futures:
    """Three hundred futures of the plan of the ensemble, to 2031."""
    return Futures.of_plan("ensemble", model_interface(model, end=2032.0),
                           {"runs": 300, "method": "latin-hypercube", "seed": 5})


@pytest.fixture(scope="session")
def lab(model: Model, futures: Futures) -> Lab:
    """Two scenarios to 2031, with a crisis like that of 2020 from 2028 on."""
    return prepare_lab(load_scenarios(["baseline", "s2-interregional"]), METRICS, futures=futures,
                       shocks={"crisis": ShockAt("as-in-2020", 2028.0)}, until=2031, model=model)


@pytest.fixture(scope="session")
def plan_text() -> Callable[..., str]:
    """Return the text of a plan of two policies."""

    def make(name: str = "mine", *, robust: bool = False) -> str:
        text = f"name: {name}\ntitle: {{en: Mine, ru: Моё}}\nnarrative: Made up.{BODY}"
        return text + (ROBUST if robust else "")

    return make


@pytest.fixture
def write(tmp_path: Path, plan_text: Callable[..., str]) -> Write:
    """Write a plan; the text may be changed by pairs of old and new parts."""

    def make(*changes: tuple[str, str], robust: bool = False, name: str = "mine") -> Path:
        text = plan_text(name, robust=robust)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return make
