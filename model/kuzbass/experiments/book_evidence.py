"""The evidence of the model book: calibration, hold-out, and the tests, run when it is built."""

from __future__ import annotations

import pandas as pd

from kuzbass.experiments.calibration_wide import CLAIMS
from kuzbass.experiments.holdout import summary
from kuzbass.experiments.run import Progress
from kuzbass.experiments.validate import run_tests
from kuzbass.region.data import judged, read_table
from kuzbass.sd.mdl import Model

__all__ = ["CLAIMS", "EVIDENCE", "evidence_tables"]

EVIDENCE = ("calibration", "hold-out shares", "hold-out", "rolling origins", "validation",
            "known misses")


def evidence_tables(model: Model, progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables that a reader needs in order to trust the model, by `EVIDENCE`.

    Parameters
    ----------
    model : Model
        It is put to all tests.
    progress : callable, optional
        Told what is being done: text, steps done, steps in all.

    Raises
    ------
    InputError
        A table of the data package is missing or broken.
    """
    held, rolling = read_table("holdout.csv"), read_table("rolling_origins.csv")
    labels = judged().drop_duplicates("series").set_index("series")["label"]
    held.insert(2, "label", held["series"].map(labels))
    report = run_tests(model, progress=progress)
    misses = read_table("known_misses.csv").rename(columns={"figure": "figure then"})
    known = misses.merge(report.known[["id", "part", "figure"]], how="left",
                         left_on=["test", "part"], right_on=["id", "part"])
    return {
        "calibration": read_table("parameters.csv"),
        "hold-out shares": _shares(held, "fit", "drivers"),
        "hold-out": held,
        "rolling origins": _shares(rolling, "origin"),
        "validation": report.summary,
        "known misses": known[["test", "part", "reason", "figure then", "figure"]].fillna(
            {"figure": "does not fail"}),
    }


def _shares(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Return the shares of the series of full weight, a row for each group."""
    return pd.DataFrame([{**dict(zip(by, key, strict=True)), **summary(part)}
                         for key, part in table.groupby(list(by))])
