"""Error messages are whole sentences that a user can act on."""

from __future__ import annotations

import pickle

import pytest

from kuzbass.errors import InputError, KuzbassError, ModelError, nearest, plain_name


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("is unknown"), "is unknown"),
        (InputError("is unknown", key="a"), "a: is unknown"),
        (InputError("is out of range", file="s.yaml", key="tax", value=2.0, allowed="0 to 1"),
         "s.yaml: tax: is out of range (found: 2.0; allowed: 0 to 1)"),
        (ModelError("has no unit", file="m.mdl", allowed="a unit"),
         "m.mdl: has no unit (allowed: a unit)"),
        (InputError("is wrong", value=0), "is wrong (found: 0)"),
    ],
)
def test_message_leaves_out_absent_parts(error: KuzbassError, message: str) -> None:
    assert str(error) == message
    assert error.exit_code == 2


def test_error_survives_a_trip_to_another_process() -> None:
    error = ModelError("broken", file="m.mdl", key="x", value=1, allowed="y")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is ModelError
    assert (str(copy), copy.key, copy.value) == (str(error), "x", 1)


def test_nearest_ignores_case_and_underscores() -> None:
    names = ["coal output", "coal exports", "population"]
    assert nearest("Coal_Outputs", names)[0] == "coal output"
    assert nearest("zzz", names) == []
    assert len(nearest("coal", ["coal a", "coal b", "coal c", "coal d"], n=2)) == 2


def test_plain_name() -> None:
    assert plain_name("  Coal_output  East") == "coal output east"
