"""Labels and model name the same variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kuzbass.region.data import judged, labels, read_table
from kuzbass.region.resilience import load_indicators

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

COMPUTED = ("Indicators", "Foreign trade")


def test_every_label_is_of_a_variable_of_the_model(model: Model) -> None:
    assert sorted(set(labels().index) - set(model.variables)) == []


def test_every_variable_that_a_reader_meets_has_a_label(model: Model) -> None:
    variables = model.variables.values()
    wanted = {
        *judged()["variable"],
        *read_table("targets.csv")["variable"],
        *load_indicators().variables,
        *(v.name for v in variables if v.kind == "stock"),
        *(v.name for v in variables if v.group == "Drivers" and v.kind == "auxiliary"),
        *(v.name for v in variables if v.group == "Policies" and v.kind == "constant"),
        *(v.name for v in variables if v.group in COMPUTED and v.kind == "auxiliary"),
    }
    assert sorted(wanted - set(labels().index)) == []


def test_labels_are_distinct_and_russian_ones_are_russian() -> None:
    table = labels()
    for column in ("label_en", "label_ru"):
        assert not table[column].duplicated().any()
        assert (table[column] == table[column].str.strip()).all()
    assert table["label_ru"].map(lambda text: bool(re.search("[а-яё]", text))).all()
    assert not table["label_en"].map(lambda text: bool(re.search("[А-яё]", text))).any()


def test_terms_of_the_field() -> None:
    russian = labels()["label_ru"]
    assert russian["fixed investment"] == "Инвестиции в основной капитал"
    assert russian["real GRP index"].startswith("ВРП в постоянных ценах")
    assert russian["net financial result"] == "Сальдированный финансовый результат организаций"
