"""Arrays, element by element: names, values and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import dependencies
from kuzbass.sd.kernel.verify import verify
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.engine import Engine
    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

MODELS = Path(__file__).resolve().parents[1] / "models"
RANGES = {"Region": ["North", "South", "East"], "Coast": ["North", "South"],
          "Grade": ["thermal", "coking"], "Product": ["power", "steel"],
          "Zone": ["North", "South", "East"], "Age": ["age1", "age2", "age3", "age4"]}
WEIGHT = np.array([1.0, 2.0, 3.0])
SHARE = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
MATRIX = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
OUTPUT = 7.0 * WEIGHT[:, None] * SHARE
PRICE = np.array([42.0, 100.0])

# At time 2.
VALUES: dict[str, tuple[str, Any]] = {
    "weight": ("Region", WEIGHT),
    "share": ("Region,Grade", SHARE),
    "matrix": ("Region,Grade", MATRIX),
    "cube": ("Coast,Grade,Product", [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]),
    "level": ("Region", [7.0] * 3),
    "price": ("Grade", PRICE),
    "output": ("Region,Grade", OUTPUT),
    "turned": ("Grade,Region", OUTPUT.T),
    "total": ("", OUTPUT.sum()),
    "by region": ("Region", OUTPUT.sum(axis=1)),
    "by grade": ("Grade", OUTPUT.sum(axis=0)),
    "coast total": ("", OUTPUT[:2, 0].sum()),
    "fraction": ("Region", WEIGHT / 6.0),
    "value": ("Region", SHARE @ PRICE + 1.0),
    "nested": ("", 6.0 * 100.0),
    "product of weights": ("", 6.0),
    "lowest": ("Grade", [1.0, 2.0]),
    "highest": ("", 6.0),
    "mapped": ("Product", 2.0 * PRICE),
    "mirrored": ("Region", WEIGHT),
    "crossed": ("Region,Zone", np.outer(WEIGHT, WEIGHT)),
    "patchy": ("Region", [10.0, 20.0, -1.0]),
    "grid": ("Region,Grade", [[0.5, 1.0], [3.0, 2.0], [5.0, 6.0]]),
    "coastal": ("Coast", [8.0, 9.0]),
    "cohort": ("Age", [8.0, 4.0, 2.0, 1.0]),
    "survivors": ("Age", [1.0, 4.0, 2.0, 1.0]),
    "picked": ("", 3.0),
    "spread": ("Region,Grade", np.full((3, 2), 10.0)),
    "chosen": ("Region", [42.0, 7.0, 7.0]),
    "guarded": ("Region,Grade", [[4.0, 4.0 / 3.0], [2.0, 2.0], [1.0, 0.0]]),
    "count": ("", 3.0),
    "place": ("Region", [1.0, 2.0, 3.0]),
}


@pytest.fixture
def arrays(tmp_path: Path) -> Edit:
    """Copy subscripts.mdl with one piece of text replaced; return the path of the copy."""

    def edit(old: str, new: str) -> Path:
        text = (MODELS / "subscripts.mdl").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "edited.mdl"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit


@pytest.mark.parametrize("engine", ["kernel", "pysd"])
def test_every_element(tiny: Tiny, engine: Engine) -> None:
    run = simulate(tiny("subscripts"), engine=engine)
    expected = {"one year": 1.0}
    for name, (ranges, values) in VALUES.items():
        axes = [RANGES[one] for one in ranges.split(",") if one]
        if not axes:
            expected[name] = float(values)
        for place in np.ndindex(*map(len, axes)) if axes else ():
            elements = ",".join(axis[at] for axis, at in zip(axes, place, strict=True))
            expected[f"{name}[{elements}]"] = float(np.asarray(values)[place])
    assert set(run.data_vars) == set(expected)
    found = {str(name): float(run[name][-1]) for name in run.data_vars}
    assert found == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", ["subscripts", "array_states", "array_tables"])
def test_the_engines_agree(tiny: Tiny, name: str) -> None:
    assert verify(tiny(name)).iloc[0] < 5e-15


def test_names_of_elements(tiny: Tiny) -> None:
    model = tiny("subscripts")
    assert model.name("GRID[ north , Coking ]") == "grid[North,coking]"
    assert model.elements("by_grade") == ["by grade[thermal]", "by grade[coking]"]
    assert model.elements("total") == ["total"]
    with pytest.raises(InputError, match=r"no such variable .*did you mean grid\[North,coking\]"):
        model.name("grid[North,cooking]")
    with pytest.raises(InputError, match=r"wight: .*no such variable .*did you mean"):
        model.elements("wight")


def test_equations_of_elements(tiny: Tiny) -> None:
    model = tiny("subscripts")
    assert model.equations["price[coking]"].text == "price[coking]= 100.0"
    assert model.equations["price[thermal]"].text == "price[thermal]= 40.0 + Time/one year"
    assert model.variables["price[coking]"].kind == "constant"
    assert model.variables["price[thermal]"].kind == "auxiliary"
    assert model.variables["price[thermal]"].unit == "Dmnl"
    causes = set(dependencies(model).predecessors("coast total"))
    assert causes == {"output[North,thermal]", "output[South,thermal]"}


def test_inputs_of_one_element_and_of_all(tiny: Tiny) -> None:
    model = tiny("subscripts")
    one = {"weight[south]": 5.0, "level": 1.0}
    assert verify(model, one).iloc[0] < 5e-15
    run = simulate(model, one, outputs=["by region", "weight[North]"])
    assert {str(name): float(run[name][0]) for name in run.data_vars} == {
        "by region[North]": 1.0, "by region[South]": 5.0, "by region[East]": 3.0,
        "weight[North]": 1.0}


def test_paths_and_tables_of_elements(tiny: Tiny) -> None:
    model = tiny("array_tables")
    inputs = {"price[North]": pd.Series({0.0: 1.0, 10.0: 21.0}), "x[South]": 1.0,
              "response[South]": pd.Series({0.0: 0.0, 2.0: 8.0})}
    assert verify(model, inputs).iloc[0] < 5e-15
    run = simulate(model, inputs)
    np.testing.assert_allclose(run["price[North]"], 1.0 + 2.0 * run["time"], rtol=1e-15)
    np.testing.assert_allclose(run["price[South]"], 1.0 + 0.2 * run["time"], rtol=1e-15)
    np.testing.assert_array_equal(run["own[South]"], 4.0)
    np.testing.assert_array_equal(run["own[North]"], 2.0)
    every = simulate(model, {"price": 3.0}, engine="pysd")
    np.testing.assert_array_equal(every["price[South]"], 3.0)


def test_an_input_is_not_set_twice(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"weight\[East\]: is set twice \(found: also as 'weight'"):
        simulate(tiny("subscripts"), {"weight": 1.0, "weight[East]": 2.0})


def test_no_change_of_an_array_reaches_the_next_run(tiny: Tiny) -> None:
    model = tiny("subscripts")
    before = simulate(model, engine="pysd")
    changed = simulate(model, {"weight[South]": 5.0}, engine="pysd")
    assert float(changed["total"][0]) == 7.0 * 9.0
    assert simulate(model, engine="pysd").equals(before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight[Region]=\n\t1.0, 2.0, 3.0", "weight[Region]=\n\t1.0, 2.0",
         r"weight: an array of numbers of the wrong size \(found: 2; allowed: 3\)"),
        ("0.25, 0.75; 0.5, 0.5; 1.0, 0.0;", "0.25, 0.75; 0.5, 0.5;",
         r"share: an array of numbers of the wrong size \(found: 4; allowed: 3 x 2\)"),
        ("patchy[East]", "patchy[South]", r"patchy\[South\]: defined more than once"),
        ("patchy[East]", "patchy[Est]",
         r"patchy: not a subscript \(found: Est; allowed: did you mean East"),
        ("share[East,thermal]", "share[Est,thermal]", r"picked: not a subscript \(found: Est"),
        ("share[East,thermal]", "share[East]",
         r"picked: uses a variable that is not defined \(found: share\[East\]"),
        ("share[East,thermal]", "share", r"picked: uses an array without subscripts \(found: sh"),
        ("share[East,thermal]", "share[East,Grade]",
         r"picked: a subscript on the right side stands for nothing \(found: Grade\)"),
        ("mapped[Product]=\n\tprice[Grade]", "mapped[Age]=\n\tprice[Grade]",
         r"mapped\[age1\]: a subscript on the right side stands for nothing \(found: Grade\)"),
        ("crossed[Region,Zone]", "crossed[Region,Region]",
         "crossed: unsupported construct: a subscript that stands twice on the left side"),
        ("coastal[Coast]=\n\tweight[Coast] + level[Coast]",
         "coastal[Region]=\n\tweight[Region] + coastal[Region]",
         r"algebraic loop: coastal\[(North|South|East)\] -> coastal"),
        ("-> Product", "-> (Product: steel, power)",
         r"Grade: unsupported construct: a mapping that lists subscripts \(found: -> \(Product"),
        ("Zone <-> Region", "Zone <-> Area", r"Zone: not a subscript range \(found: Area\)"),
        ("Region:\n\tNorth, South, East", "Region:\n\tGET XLS SUBSCRIPT('a.xls','s','A1','A3','')",
         "Region: unsupported construct: a spreadsheet read"),
        ("fraction[Region]=\n\tweight[Region] / SUM(weight[Region!])",
         "fraction[Region]=\n\tweight[Region] / (weight[North] - 1.0)",
         r"fraction\[North\]: is not finite at the start \(found: inf\)"),
    ],
)
def test_broken_arrays_are_refused_by_name(
    arrays: Edit, old: str, new: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(arrays(old, new))


def test_a_missing_element_is_refused_where_it_is_used(arrays: Edit) -> None:
    path = arrays(":EXCEPT: [East]", ":EXCEPT: [East],[South]")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("level[Region], price[thermal])", "patchy[Region], 1.0)"),
                    encoding="utf-8")
    with pytest.raises(ModelError, match=r"chosen\[South\]: uses a variable that is not defined "
                                         r"\(found: patchy\[South\]"):
        load_model(path)


def test_case_and_line_breaks_do_not_matter(arrays: Edit) -> None:
    path = arrays("coastal[Coast]=\n\tweight[Coast] + level[Coast]",
                  "coastal[COAST]\\\n\t\t=\n\tweight[coast] + \\\n\t\tlevel[CoAsT]")
    model = load_model(path)
    assert model.equations["coastal[North]"].text == (
        "coastal[COAST]= weight[coast] + level[CoAsT]")
    assert verify(model)["coastal[South]"] == 0.0
