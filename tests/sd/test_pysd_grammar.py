"""The faster grammar reads what PySD's own reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parsimonious.exceptions import ParseError
from pysd.translators.vensim import vensim_utils
from pysd.translators.vensim.vensim_file import VensimFile

from kuzbass.sd.pysd_grammar import RULES, quick_grammar

MODELS = Path(__file__).parents[1] / "models"
END = """
INITIAL TIME = 0 ~ Year ~ |
FINAL TIME = 2 ~ Year ~ |
TIME STEP = 1 ~ Year ~ |
SAVEPER = TIME STEP ~ Year ~ |
"""


def parsed(file: Path) -> Any:
    document = VensimFile(file, encoding="utf-8")
    document.parse()
    return document.get_abstract_model()


@pytest.mark.parametrize("file", sorted(MODELS.glob("*.mdl")), ids=lambda file: file.stem)
def test_models_are_read_alike(file: Path) -> None:
    own = repr(parsed(file))
    with quick_grammar():
        assert repr(parsed(file)) == own


def test_odd_names_and_comments_are_read_alike(tmp_path: Path) -> None:
    file = tmp_path / "odd.mdl"
    file.write_text(
        '{UTF-8}\n"a \\"quoted\\" name, [1] ~ | (x)" = 3 ~ Dmnl ~ with "quotes" and [brackets] |\n'
        'добыча угля 2019 = "a \\"quoted\\" name, [1] ~ | (x)" * 2 ~ t/Year [0,?] ~ |\n'
        "it's $ 5 = IF THEN ELSE(добыча угля 2019 > 1, MAX(-2, 3), 1e-3) ~ Dmnl ~ a\\\n\t\tb |\n"
        + END, encoding="utf-8")
    own = repr(parsed(file))
    assert "добыча" in own
    with quick_grammar():
        assert repr(parsed(file)) == own


@pytest.mark.parametrize("line", [
    '"never closed = 3 ~ Dmnl ~ |', '"ends in an escape\\" = 3 ~ Dmnl ~ |', "a = (3 ~ Dmnl ~ |"])
def test_what_is_wrong_stays_wrong(line: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.mdl"
    file.write_text("{UTF-8}\n" + line + END, encoding="utf-8")
    with pytest.raises(ParseError):
        parsed(file)
    with quick_grammar(), pytest.raises(ParseError):
        parsed(file)


def test_pysd_is_left_as_it_was() -> None:
    made, include = vensim_utils.Grammar._grammar, vensim_utils.Grammar._include_common_grammar
    with pytest.raises(ZeroDivisionError), quick_grammar():
        1 / (vensim_utils.Grammar._grammar is made)
    assert vensim_utils.Grammar._grammar is made
    assert vensim_utils.Grammar._include_common_grammar == include


def test_every_rule_is_one_of_pysd() -> None:
    """If a new PySD words its rules otherwise, reading is right but slow: this test says so."""
    folder = Path(vensim_utils.__file__).parent / "parsing_grammars"
    text = "\n".join(file.read_text(encoding="ascii") for file in folder.glob("*.peg"))
    assert [rule for rule in RULES if rule not in text] == []
