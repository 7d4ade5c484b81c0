"""New right-hand sides in the text of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuzbass.errors import ModelError
from kuzbass.paths import model_path
from kuzbass.sd.mdl import load_model
from kuzbass.sd.rewrite import cut_file, replace_equations

FILE = Path("model.mdl")
TEXT = ("{UTF-8}\r\nbirths= stock*rate ~ person/year ~ ten per cent = a guess |\r\n"
        "rate=\r\n\t0.1\r\n\t~\t1/year [0.0,1.0]\r\n\t~\tbirths. Source: rate= 3\r\n\t|\r\n"
        "\\\\\\---/// Sketch\r\nrate= 5 ~ |\r\n")


def test_only_the_right_side_changes() -> None:
    found = replace_equations(TEXT, {"Rate": "0.25", "BIRTHS": "1.0"}, FILE)
    assert found == TEXT.replace("0.1\r\n", "0.25\r\n").replace("stock*rate", "1.0")


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ModelError, match=r"model.mdl: deaths: no such equation"):
        replace_equations(TEXT, {"deaths": "1.0"}, FILE)


def test_every_constant_of_the_shipped_model_can_be_written() -> None:
    model = load_model()
    text = model_path().read_bytes().decode("utf-8")
    constants = {name: model.equations[name].text.partition("=")[2].strip()
                 for name, variable in model.variables.items() if variable.kind == "constant"}
    assert len(constants) > 200
    assert replace_equations(text, constants, model.path) == text


def test_a_cut_variable_is_a_constant(tmp_path: Path) -> None:
    file = tmp_path / "cut.mdl"
    cut_file(model_path(), file, {"nominal GRP": 88.7})
    cut, whole = load_model(file), load_model()
    assert cut.variables["nominal GRP"].kind == "constant"
    assert float(cut.equations["nominal GRP"].ast) == 88.7
    same = [name for name in whole.variables
            if cut.equations[name].text == whole.equations[name].text]
    assert len(same) == len(whole.variables) - 1
