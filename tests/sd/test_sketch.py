"""The sketch section: what Vensim needs to load it, and what PySD and simlin read of it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import simlin
from pysd.translators.vensim.vensim_file import VensimFile

from kuzbass.errors import plain_name
from kuzbass.paths import model_path
from kuzbass.sd.diagram import faults
from kuzbass.sd.mdl import load_model
from kuzbass.sd.sketch import main, model_diagrams, sketch_text, with_sketch
from kuzbass.sd.views import Structure

MODELS = Path(__file__).resolve().parents[1] / "models"
START, END = "\\\\\\---///", "///---\\\\\\"


@dataclass
class Read:
    """One view as read back from the text."""

    ids: list[int] = field(default_factory=list)
    kinds: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    bits: dict[int, int] = field(default_factory=dict)
    arrows: list[list[str]] = field(default_factory=list)

    @property
    def defined(self) -> dict[str, int]:
        return {name: number for number, name in self.names.items() if self.bits[number] % 2}


def read_views(text: str) -> dict[str, Read]:
    """Read the records of every view, strictly by the format."""
    views: dict[str, Read] = {}
    for part in text.replace("\r\n", "\n").partition(END)[0].split(START)[1:]:
        lines = iter(part.split("\n")[1:])
        assert next(lines).startswith("V300")
        title = next(lines)
        assert title.startswith("*")
        assert next(lines).startswith("$192")
        view = views.setdefault(title[1:], Read())
        for line in lines:
            if not line:
                continue
            cells = line.split(",")
            number, kind = int(cells[1]), int(cells[0])
            view.ids.append(number)
            view.kinds[number] = kind
            if kind == 1:
                view.arrows.append(cells)
            if kind == 10:
                view.names[number] = cells[2].strip('"')
                view.bits[number] = int(cells[8])
            if kind == 12 and int(cells[8]) & 4:
                assert next(lines) != "", "the text of a comment stands on the next line"
    return views


def links_of(view: Read) -> dict[str, set[str]]:
    """Return the causes that are drawn for every defined word, pipes included."""
    name_of = dict(view.names)
    for number, kind in view.kinds.items():
        if kind == 11:
            name_of[number] = view.names[number + 1]  # the name stands right after its valve
    drawn: dict[str, set[str]] = defaultdict(set)
    for cells in view.arrows:
        one, other = int(cells[2]), int(cells[3])
        if cells[7] == "22":
            if other in view.names:
                drawn[name_of[other]].add(name_of[one])
        elif one in name_of and other in name_of:
            drawn[name_of[other]].add(name_of[one])
    return drawn


def check_views(views: dict[str, Read], structure: Structure) -> None:
    """Assert the rules by which Vensim loads a view without repairing it."""
    everywhere: set[str] = set()
    for title, view in views.items():
        assert view.ids == list(range(1, len(view.ids) + 1)), title
        for cells in view.arrows:
            assert {int(cells[2]), int(cells[3])} <= set(view.ids), title
        defined = [name for number, name in view.names.items() if view.bits[number] % 2]
        assert len(defined) == len(set(defined)), f"{title}: defined once in a view"
        everywhere |= set(defined)
        drawn = links_of(view)
        for name in defined:
            own = set(structure.causes(name)) - {name}
            assert drawn[name] == own, f"{title}: {name}"
        shadows = {number for number in view.names if view.bits[number] % 2 == 0}
        assert not shadows & {int(cells[3]) for cells in view.arrows}, title
        for number, kind in view.kinds.items():
            if kind == 11:
                assert number + 1 in view.names
    assert everywhere == set(structure.model.variables)


@pytest.fixture
def sketched(tmp_path: Path) -> Path:
    """A copy of a small model with a fresh sketch."""
    path = tmp_path / "model.mdl"
    shutil.copy(MODELS / "small.mdl", path)
    assert main([str(path)]) == 0
    return path


def test_a_sketch_keeps_the_rules_of_vensim(sketched: Path):
    structure = Structure.of(load_model(sketched))
    check_views(read_views(sketched.read_text(encoding="utf-8")), structure)


def test_the_rules_catch_a_broken_sketch(sketched: Path):
    structure = Structure.of(load_model(sketched))
    lines = sketched.read_text(encoding="utf-8").split("\n")
    arrow = next(n for n, line in enumerate(lines)
                 if line.startswith("1,") and line.split(",")[7] == "0")
    dropped = "\n".join([*lines[:arrow], *lines[arrow + 1:]])
    with pytest.raises(AssertionError):
        check_views(read_views(dropped), structure)
    word = next(n for n, line in enumerate(lines) if line.startswith("10,") and ",8,3," in line)
    shadowed = [*lines[:word], lines[word].replace(",8,3,", ",8,2,", 1), *lines[word + 1:]]
    with pytest.raises(AssertionError):
        check_views(read_views("\n".join(shadowed)), structure)


def test_equations_and_settings_are_kept_and_the_sketch_is_replaced(sketched: Path):
    original = load_model(MODELS / "small.mdl")
    rewritten = load_model(sketched)
    assert rewritten.variables == original.variables
    assert {n: e.text for n, e in rewritten.equations.items()} == {
        n: e.text for n, e in original.equations.items()}
    once = sketched.read_bytes()
    assert main([str(sketched)]) == 0
    assert sketched.read_bytes() == once, "idempotent"


def test_line_ends_are_those_of_windows_and_the_settings_close_the_file(sketched: Path):
    raw = sketched.read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    tail = raw.decode("utf-8").partition(END)[2]
    assert tail.strip().startswith(":L\x7f<%^E!@")
    assert "\r\n15:0,0,0,0,0,0\r\n" in tail


def test_settings_of_the_file_survive():
    model = load_model(MODELS / "small.mdl")
    text = (MODELS / "small.mdl").read_text(encoding="utf-8").partition(START)[0]
    own = f"{text}\n{START} Sketch\nV300\n*Old\n$1\n{END}\n:L\x7f<%^E!@\n22:Mt,Megatonne\n"
    result = with_sketch(own, model)
    assert "22:Mt,Megatonne\r\n" in result
    assert "*Old" not in result


def test_pysd_sees_the_views(sketched: Path):
    document = VensimFile(sketched)
    document.parse()
    document.parse_sketch(None)
    views = document.sections[0].views_dict
    seen = {plain_name(name) for names in views.values() for name in names}
    assert seen == {plain_name(name) for name in load_model(sketched).variables}


def test_another_engine_reads_the_file_and_runs_alike(sketched: Path):
    other = simlin.load(str(sketched)).run(analyze_loops=False).results
    before = simlin.load(str(MODELS / "small.mdl")).run(analyze_loops=False).results
    assert other.equals(before)


def test_bad_input_is_refused_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([]) == 2
    assert main([str(tmp_path / "missing.mdl")]) == 2
    assert "does not exist" in capsys.readouterr().err
    broken = tmp_path / "broken.mdl"
    broken.write_text("a= b\n\t~\tt\n\t~\tNo such b.\n\t|\n", encoding="utf-8")
    assert main([str(broken)]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["broken.mdl"]
    assert broken.read_text(encoding="utf-8").startswith("a= b")


@pytest.mark.slow
def test_the_whole_model_is_drawn_readably():
    structure = Structure.of(load_model(model_path()))
    diagrams = model_diagrams(structure)
    for drawn in diagrams:
        found = faults(drawn)
        assert found.box_overlaps == found.arrow_box == found.out_of_canvas == 0, drawn.title
        assert found.arrow_arrow + found.arrow_pipe < 3, drawn.title
    views = read_views("\n".join([*sketch_text(diagrams), END]))
    check_views(views, structure)
    assert next(iter(views)) == "Overview"
    assert any(title.startswith("Policies") for title in views)
