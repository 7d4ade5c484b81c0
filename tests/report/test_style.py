"""Colours, units, and files that repeat byte for byte."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import pytest

from kuzbass.report import style


def test_shipped_scenarios_keep_their_colours():
    assert style.colour("s3-decline", ["s3-decline"]) == "#8a2f4f"


def test_other_scenarios_get_colours_of_their_own():
    names = ["baseline", "mine", "yours"]
    found = {style.colour(name, names) for name in names}
    assert len(found) == 3


@pytest.mark.parametrize(("unit", "label"), [
    ("Mt/year", "Mt a year"), ("percent", "%"), ("bn RUB2000/year", "bn RUB of 2000 a year"),
    ("% of 2019", "% of 2019")])
def test_units_are_written_out(unit, label):
    assert style.unit_label(unit) == label


@pytest.mark.parametrize(("text", "cut"), [
    ("Decline", "Decline"),
    ("Moderate growth, many industries, interregional cooperation",
     "Moderate growth, many industries, …"),
    ("M" * 50, "M" * 34 + " …")])
def test_long_titles_are_cut_at_a_word(text, cut):
    assert style.short(text) == cut


def test_labels_leave_out_the_base_and_fall_back_on_the_name():
    assert style.label("real GRP index") == "Real GRP"
    assert style.label("coal output", "ru") == "Добыча угля"
    assert style.label("no such variable") == "no such variable"


def test_files_repeat_and_hold_no_date(tmp_path):
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        figure, axes = style.grid("Title", "Subtitle", "Note", 2, 2, height=1.0)
        axes[0].plot([0, 1], [2, 3])
        paths, text = style.save(figure, folder / "one")
        assert [path.suffix for path in paths] == [".png", ".svg"]
        assert paths[1].read_text(encoding="utf-8") == text
        assert "dc:date" not in text
        made.append([path.read_bytes() for path in paths])
    assert made[0] == made[1]


def test_pyplot_is_not_needed():
    code = "import sys, kuzbass.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_settings_of_the_user_do_not_matter():
    before = mpl.rcParams["font.size"]
    with mpl.rc_context({"font.size": 30.0}), style.styled():
        assert mpl.rcParams["font.size"] == 9.0
    assert mpl.rcParams["font.size"] == before
