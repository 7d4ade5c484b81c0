"""Reading a model: the catalogue, and one refusal per thing that can be wrong."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.sd import mdl, pysd_fixes
from kuzbass.sd.mdl import Model, Variable, load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


def test_catalogue(tiny: Tiny) -> None:
    model = tiny("small")
    assert model.variables["tax rate"] == Variable(
        "tax rate", "constant", "Dmnl", 0.0, 1.0, "A lever. Source: assumption.", "Policies")
    kinds = {name: variable.kind for name, variable in model.variables.items()}
    assert kinds["world price table"] == "lookup"
    assert kinds["world price"] == "auxiliary"
    assert kinds["perceived price"] == "auxiliary"
    assert kinds["capacity"] == "stock"
    assert kinds["TIME STEP"] == "control"
    assert model.variables["capacity"].group == "Mining"
    assert model.variables["capacity"].lower is None
    assert (model.initial_time, model.final_time, model.time_step) == (0.0, 10.0, 0.25)
    assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert model.equations["revenue"].supplementary
    assert not model.equations["capacity"].supplementary
    assert model.equations["net price"].text == "net price= world price * (1.0 - tax rate)"


def test_points_of_a_lookup(tiny: Tiny) -> None:
    curve = tiny("small").curves()["world price table"]
    np.testing.assert_array_equal(curve.x, [0.0, 5.0, 10.0])
    np.testing.assert_array_equal(curve.y, [60.0, 110.0, 80.0])


def test_names_are_found_as_vensim_finds_them(tiny: Tiny) -> None:
    model = tiny("small")
    assert model.name("World_Price  TABLE") == "world price table"
    with pytest.raises(InputError, match=r"small\.mdl has no such variable .*world price"):
        model.name("wrold price")


def test_nothing_is_written_beside_the_model(edited: Edit) -> None:
    path = edited("0.2", "0.3")
    load_model(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_loading_again_gives_the_same_object_until_the_file_changes(edited: Edit) -> None:
    path = edited("0.2", "0.3")
    model = load_model(path)
    assert load_model(path) is model
    path.write_text(path.read_text(encoding="utf-8").replace("0.3", "0.4"), encoding="utf-8")
    assert load_model(path).sha256 != model.sha256


def test_windows_line_ends_make_no_difference(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("small")
    path = tmp_path / "crlf.mdl"
    path.write_bytes(model.path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_model(path).variables == model.variables


def test_a_model_travels_to_another_process(tiny: Tiny) -> None:
    model = tiny("small")
    copy = pickle.loads(pickle.dumps(model))
    assert copy.variables == model.variables
    assert copy.source == model.source


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing.mdl: the model file does not exist"),
        (b" \n", "the model file is empty"),
        ("{UTF-8}\nцена= 1.0 ~ Dmnl ~ |".encode("cp1251"),
         r"not UTF-8 \(found: byte 0xF6 at position 8; allowed: UTF-8 text\)"),
        (b"{UTF-8}\nnot a model", r"not a list of equations .* \(found: near 'not a model'\)"),
    ],
)
def test_unreadable_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "missing.mdl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_a_folder_or_another_format_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder.mdl"
    folder.mkdir()
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        load_model(folder)
    with pytest.raises(ModelError, match=r"not a Vensim model \(found: \.xmile"):
        load_model(tmp_path / "model.xmile")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("world price * (1.0 - tax rate)", "world price * (1.0 - ",
         r"net price: syntax error \(found: world price \* \(1\.0 -\)"),
        ("~\tUSD/t [10.0,200.0]\n\t~\tPrice that", "~\t\n\t~\tPrice that",
         "reference price: missing unit .*Dmnl for a pure number"),
        ("15:0,0,0,0,0,0", "15:0,0,0,1,0,0",
         r"settings line 15: unsupported integration method \(found: Runge-Kutta 4; allowed: Eu"),
        ("15:0,0,0,0,0,0", "15:0,0,0,3,0,0", "Runge-Kutta 2"),
        ("{UTF-8}\n", "{UTF-8}\n:MACRO: F(x)\nF = x\n\t~\tDmnl\n\t~\t|\n:END OF MACRO:\n",
         ":MACRO:: unsupported construct: a macro"),
        ("tax rate=", "tax rate[Region]=", r"tax rate: not a subscript \(found: Region\)"),
        ("1.0 - tax rate", "1.0 - tax rat", r"net price: uses a variable that is not defined "
         r"\(found: tax_rat; allowed: did you mean tax rate"),
        ("1.0 - tax rate", "1.0 - TWIST(tax rate)",
         r"net price: calls a function that is not known \(found: TWIST\)"),
        ("tax rate=\n\t0.2", "tax rate=\n\tGET DIRECT CONSTANTS('a.xlsx','s','B2')",
         "tax rate: unsupported construct: a spreadsheet read"),
        ("tax rate=\n\t0.2", "tax rate:INTERPOLATE:",
         "tax rate: unsupported construct: outside data"),
        ("tax rate=\n\t0.2", "tax rate=\n\t0.2 + net price / reference price * 0.0",
         "algebraic loop: (net price -> tax rate -> net price|tax rate -> net price -> tax rate)"),
        ("closing, initial capacity", "closing, closing",
         "loop of initial values: (capacity -> closing|closing -> capacity).* at: capacity"),
        ("(5.0,110.0)", "(5.0,110.0),(5.0,120.0)",
         r"world price table: a lookup has two points with the same x \(found: 5\.0\)"),
        ("one year=\n\t1.0", "one year=\n\t0.0", "world price: cannot be computed at time 0.0: "),
        ("one year=\n\t1.0\n", "tax rate=\n\t0.3\n", "tax rate: defined more than once"),
        ("FINAL TIME=", "Last Time=", "FINAL TIME: missing control variable"),
        ("FINAL TIME=\n\t10.0", "FINAL TIME=\n\tone year * 10.0",
         "FINAL TIME: a control variable must be a number"),
        ("tax rate=\n\t0.2", "tax rate=\n\t:NA:", "tax rate: is not finite at the start"),
        ("tax rate=\n\t0.2", "tax rate :THE CONDITION:\n\tx = 1",
         ":THE CONDITION:: unsupported construct: a reality check"),
    ],
)
def test_broken_model_is_refused_by_name(edited: Edit, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(edited(old, new))


def test_an_array_is_not_a_number(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The case that hides behind some versions of xarray: a table returned as a whole."""
    monkeypatch.setattr(pysd_fixes, "interpolator",
                        lambda curve: lambda _value, _subs=None: curve.y)
    with pytest.raises(ModelError, match=r"world price: does not evaluate to one number .*array"):
        mdl._check_values(tiny("small"))
