"""What `kuzbass policy` and `kuzbass robust` share: a checked plan, its policies and its lab."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.evaluate import Lab, ShockAt, prepare_lab
from kuzbass.experiments.lab.futures import Futures
from kuzbass.experiments.lab.levers import (
    COSTS,
    FEDERAL_COST,
    REGIONAL_COST,
    Moves,
    model_levers,
    moves_of,
)
from kuzbass.experiments.lab.plan import NONE, PolicyPlan, RobustPlan
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.run import load_scenarios
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.sd.kernel import ENGINE
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["DEBT", "REVENUE", "Study", "prepare"]

REVENUE, DEBT = "own budget revenue", "regional state debt"


@dataclass(frozen=True)
class Study:
    """A plan made ready.

    Attributes
    ----------
    plan : PolicyPlan
    lab : Lab
    policies : mapping of str to Moves
        ``none`` first.
    futures : Futures or None
    record : mapping
        Everything that decides the numbers, JSON values only.
    """

    plan: PolicyPlan
    lab: Lab
    policies: Mapping[str, Moves]
    futures: Futures | None
    record: Mapping[str, Any]

    @property
    def titles(self) -> dict[str, dict[str, str]]:
        """Titles of the policies in English and Russian."""
        return {NONE: {"en": "No policy", "ru": "Без мер"},
                **{name: one.title.model_dump() for name, one in self.plan.policies.items()}}


def prepare(
    plan: PolicyPlan, file: Path, outputs: Sequence[str] = (), model: Model | None = None
) -> Study:
    """Check a plan against the model, compile, and check that its policies can be paid.

    Parameters
    ----------
    plan, file
        From `kuzbass.experiments.lab.plan.load_plan`.
    outputs : sequence of str
        Further variables for `Lab.annual`.
    model : Model, optional
        The shipped one if left out.

    Raises
    ------
    InputError
        A scenario, lever, metric, shock or future that does not fit the model, a lever out of its
        range, or a policy that nobody pays.
    """
    model = model or load_model()
    interface = model_interface(model, end=plan.until + 1.0)
    levers = model_levers(model)
    policies = {NONE: Moves((), np.empty((1, 0)), np.empty((1, 0)), np.empty((1, 0)))}
    policies |= {name: moves_of(one.levers, levers, file, f"policies.{name}.levers")
                 for name, one in plan.policies.items()}
    scenarios = load_scenarios(plan.scenarios)
    futures = None
    if isinstance(plan, RobustPlan):
        assert plan.futures is not None  # the plan has been checked
        sampling = plan.futures.model_dump()
        futures = Futures.of_plan(sampling.pop("plan"), interface, sampling)
    shocks = {name: ShockAt(one.shock, one.start) for name, one in plan.shocks.items()}
    lab = prepare_lab(scenarios, plan.all_metrics, shocks=shocks, futures=futures, model=model,
                      outputs=[*outputs, *COSTS, REVENUE, DEBT], until=plan.until, file=file)
    check_funding(lab, policies, plan, file)
    record = {
        "plan": plan.model_dump(mode="json", by_alias=True),
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {name: one.record() for name, one in scenarios.items()},
        "shocks": {name: one.file().model_dump(mode="json", by_alias=True)
                   for name, one in shocks.items()},
        "tables": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                   for path in (futures.files if futures else ())},
        "engine": ENGINE, "time_step": model.time_step, "until": plan.until,
        "seed": futures.seed if futures else None,
        "versions": software_versions(),
    }
    return Study(plan, lab, policies, futures, record)


def check_funding(
    lab: Lab, policies: Mapping[str, Moves], plan: PolicyPlan, file: Path
) -> None:
    """Refuse a policy that costs more than the plan's funding in the central future.

    All costs are those beyond the twin without policy.

    Raises
    ------
    InputError
        Names the policy, the scenario, the year and the limit.
    """
    moves = Moves.stack(list(policies.values()), lab.levers)
    for scenario in lab.settings:
        annual = lab.annual(moves, scenario=scenario)
        extra = {name: annual[name] - annual[name][:, :1] for name in (*COSTS, DEBT)}
        limits = plan.funding
        checks = {
            "regional_share": (extra[REGIONAL_COST] / annual[REVENUE], limits.regional_share,
                               "of own revenue"),
            "added_debt": (extra[DEBT] / annual[REVENUE], limits.added_debt, "of own revenue"),
            "federal": (extra[FEDERAL_COST], limits.federal, "bn RUB a year"),
        }
        for key, (spent, limit, unit) in checks.items():
            later = np.where((lab.years >= FIRST_YEAR)[:, None], spent, -np.inf)
            for run, name in enumerate(policies):
                year = int(later[:, run].argmax())
                if later[year, run] > limit:
                    raise InputError(
                        f"unfunded: beyond the {key} of the plan in {scenario}", file=file,
                        key=f"policies.{name}", allowed=f"{limit:g} {unit}",
                        value=f"{later[year, run]:.3g} in {lab.years[year]:.0f}")
