"""The table of calibrated parameters, and the constants of the model file written from it.

``python -m kuzbass.experiments.parameters --adopt FOLDER`` takes the table, the draws and the
hold-out of a finished calibration over into the data package; ``--write`` writes the constants of
the model file; without an option, it says where the two differ.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments.calibrate import Calibration, Setting
from kuzbass.experiments.tables import write_csv
from kuzbass.paths import data_dir, model_path
from kuzbass.region.data import TABLES, read_table
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.rewrite import replace_equations

__all__ = ["adopt", "draws_table", "drift", "parameter_table", "rounded", "write_constants"]

_DIGITS = 5
_FIELDS = re.compile(r'"fields": \[[^\]]*\]')
PARAMETERS = "parameters.csv"
ADOPTED = (PARAMETERS, "holdout.csv", "rolling_origins.csv")  # and the draws
COLUMNS = TABLES[PARAMETERS].columns


def rounded(value: float, lower: float, upper: float) -> float:
    """Round a value to the digits of the table, within its range."""
    return float(np.clip(float(f"{value:.{_DIGITS}g}"), lower, upper))


def parameter_table(calibration: Calibration) -> pd.DataFrame:
    """Return the rows of ``parameters.csv``: every candidate, fitted or not."""
    setting, refit = calibration.setting, calibration.refit
    values, earlier = refit.values(), calibration.training.values()
    choice = calibration.choices["refit"]
    rows = []
    for one in setting.candidates:
        decision = str(choice.at[one.name, "decision"])
        status = decision if decision in ("fitted", "at bound") else "fixed"
        row = _row(setting, one.name, values[one.name], status)
        row["fit_training"] = rounded(earlier[one.name], one.lower, one.upper)
        row["note"] = _note(choice, one.name, decision)
        if status == "fitted":
            interval = calibration.intervals.loc[one.name].to_dict()
            low, high = (rounded(float(interval[end]), one.lower, one.upper)
                         for end in ("low", "high"))
            row |= {"low": low, "high": high, "interval": interval["interval"]}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draws_table(calibration: Calibration) -> pd.DataFrame:
    """Return the draws of the refit, rounded, within the ranges of the parameters."""
    draws = calibration.draws["refit"].copy()
    ranges = {one.name: (one.lower, one.upper) for one in calibration.setting.candidates}
    for name in draws:
        draws[name] = [rounded(value, *ranges[str(name)]) for value in draws[name]]
    return draws


def _row(setting: Setting, name: str, value: float, status: str) -> dict[str, object]:
    variable = setting.model.variables[name]
    one = next(candidate for candidate in setting.candidates if candidate.name == name)
    free = next(free for given, free in setting.plan.parameters.items()
                if setting.model.name(given) == name)
    source = variable.comment.rpartition("Source:")[2].strip()
    return {"parameter": name, "unit": variable.unit,
            "value": rounded(value, one.lower, one.upper), "lower": one.lower, "upper": one.upper,
            "prior_mean": one.mean, "prior_sd": one.sd, "status": status,
            "source": free.prior.source if free.prior else source}


def _note(choice: pd.DataFrame, name: str, decision: str) -> str:
    row = choice.loc[name]
    if decision == "fitted":
        return f"collinearity {row['gamma']:.1f} with those chosen before"
    if decision == "at bound":
        return "the fit drives it to the end of its range"
    like = f"most like {row['most_like']}, cosine {row['cosine']:.2f}"
    return f"{decision.removeprefix('fixed: ')}; {like}"


def drift(model: Model, table: pd.DataFrame) -> list[str]:
    """Return the parameters whose value in the model file is not that of the table."""
    return [str(row["parameter"]) for _, row in table.iterrows()
            if float(model.equations[model.name(str(row["parameter"]))].ast) != row["value"]]


def write_constants(path: Path, table: pd.DataFrame) -> list[str]:
    """Write the values of a table of parameters into a model file.

    Returns
    -------
    list of str
        The constants that changed.

    Raises
    ------
    InputError, ModelError
        A value leaves its range in the model file, or the file lacks a constant.
    """
    model = load_model(path)
    changed = drift(model, table)
    values = table.set_index("parameter")["value"]
    for name in changed:
        variable = model.variables[model.name(name)]
        low, high = variable.lower, variable.upper
        if (low is not None and values[name] < low) or (high is not None and values[name] > high):
            raise InputError("is out of range", file=path, key=name, value=values[name],
                             allowed=f"{low} to {high}")
    text = path.read_bytes().decode("utf-8")
    new = replace_equations(text, {name: repr(float(values[name])) for name in changed}, path)
    path.write_bytes(new.encode("utf-8"))
    return changed


def adopt(folder: Path, data: Path) -> None:
    """Copy the tables and the draws of a calibration into a data package; describe the draws.

    Raises
    ------
    InputError
        The folder lacks them, or they are broken.
    """
    tables = {name: read_table(name, folder / name) for name in ADOPTED}
    draws = read_draws(folder / DRAWS, folder / PARAMETERS)
    units = tables[PARAMETERS].set_index("parameter")["unit"]
    fields = ",\n".join(
        "          " + json.dumps({"name": name, "type": "number", "unit": units[name],
                                   "constraints": {"required": True}}) for name in draws.columns)
    package = data / "datapackage.json"
    head, mark, tail = package.read_text(encoding="utf-8").partition(f'"path": "{DRAWS}"')
    tail = _FIELDS.sub(lambda _: f'"fields": [\n{fields}\n        ]', tail, count=1)
    for name in ADOPTED:
        shutil.copyfile(folder / name, data / name)
    write_csv(draws, data / DRAWS)  # in the order of the table
    package.write_text(head + mark + tail, encoding="utf-8")


def main(args: list[str] | None = None) -> None:
    """Compare, write or adopt, as the module says."""
    parser = argparse.ArgumentParser(prog="python -m kuzbass.experiments.parameters")
    parser.add_argument("--adopt", type=Path, metavar="FOLDER",
                        help="folder of a finished calibration")
    parser.add_argument("--write", action="store_true", help="write the constants of the model")
    given = parser.parse_args(args)
    try:
        if given.adopt is not None:
            adopt(given.adopt, data_dir())
        table = read_table(PARAMETERS)
        names = write_constants(model_path(), table) if given.write else drift(load_model(), table)
    except KuzbassError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{len(names)} constants {'written' if given.write else 'differ'}", *names, sep="\n")


if __name__ == "__main__":
    main()
