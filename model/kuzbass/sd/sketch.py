"""Writes the sketch section of an .mdl file: views that Vensim opens and PySD reads.

The format is Vensim's (help pages "Sketch Information" and "Objects"); coordinates are centres,
sizes half sizes.  ``python -m kuzbass.sd.sketch FILE.mdl`` rewrites the sketch of a file.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kuzbass.errors import InputError, KuzbassError
from kuzbass.sd.diagram import LINE, Arrow, Box, Diagram, Pipe
from kuzbass.sd.layout import lay_out
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.sector_map import sector_map
from kuzbass.sd.views import Structure, plan_views

__all__ = ["main", "model_diagrams", "sketch_text", "with_sketch", "write_sketch"]

_START = "\\\\\\---///"
_END = "///---\\\\\\"
_HEADER = (
    f"{_START} Sketch information - do not modify anything except names",
    "V300  Do not put anything below this section - it will be ignored",
)
_LOOK = ("$192-192-192,0,Times New Roman|12||0-0-0|0-0-0|0-0-255|-1--1--1|-1--1--1|"
         "96,96,100,0")
_SETTINGS = (":L\x7f<%^E!@", "4:Time", "15:0,0,0,0,0,0", "19:100,0", "27:0,", "34:0,")
_PLAIN_NAME = re.compile(r"[^\W\d_][\w $']*")
_GREY = "128-128-128,0-0-0,|12||128-128-128"


def with_sketch(text: str, model: Model) -> str:
    """Return the text of a model file with a new sketch section.

    Parameters
    ----------
    text : str
        The .mdl text; an old sketch is replaced, the equations and the settings are kept.
    model : Model
        The same model, loaded.

    Returns
    -------
    str
        With Windows line ends, as Vensim writes them.  Applied twice it gives the same text.
    """
    return _with_views(text, model_diagrams(Structure.of(model)))


def _with_views(text: str, diagrams: Sequence[Diagram]) -> str:
    plain = text.replace("\r\n", "\n")
    equations, _, sketch = plain.partition(_START)
    settings = sketch.partition(_END)[2].strip("\n") or "\n".join(_SETTINGS)
    lines = [equations.rstrip("\n"), "", *sketch_text(diagrams), _END, settings, ""]
    return "\n".join(lines).replace("\n", "\r\n")


def write_sketch(path: Path) -> list[Diagram]:
    """Rewrite the sketch section of a model file; the file is replaced when all is written.

    Returns
    -------
    list of Diagram
        The views.

    Raises
    ------
    ModelError
        The file is not a model that the engine can read.
    InputError
        The file cannot be written.
    """
    diagrams = model_diagrams(Structure.of(load_model(path)))
    with path.open(encoding="utf-8", newline="") as stream:
        text = _with_views(stream.read(), diagrams)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
            temporary.chmod(path.stat().st_mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"the model file cannot be written ({error.strerror})",
                         file=path) from error
    return diagrams


def model_diagrams(structure: Structure) -> list[Diagram]:
    """Return the overview and all views of a model."""
    return [sector_map(structure), *(lay_out(view, structure) for view in plan_views(structure))]


def sketch_text(diagrams: Sequence[Diagram]) -> list[str]:
    """Return the lines of a sketch section, without its end mark."""
    lines: list[str] = []
    for diagram in diagrams:
        lines += [*_HEADER, f"*{diagram.title}", _LOOK, *_View(diagram).lines()]
    return lines


class _View:
    """Numbers the records of one view: dense, rising, a flow's name right after its valve."""

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.ids: dict[int, int] = {}
        self.next = 2  # the heading is 1
        halves = {pipe.valve for pipe in diagram.pipes}
        for number in range(len(diagram.boxes)):
            if number in halves:
                self.next += 2  # both halves of its pipe come before a valve
            self.ids[number] = self.next
            self.next += 2 if diagram.boxes[number].kind == "frame" else 1

    def lines(self) -> list[str]:
        """Return the records of the view."""
        diagram = self.diagram
        lines = _comment(1, diagram.heading, _heading_box(diagram))
        for number, box in enumerate(diagram.boxes):
            halves = [pipe for pipe in diagram.pipes if pipe.valve == number]
            for place, pipe in enumerate(sorted(halves, key=lambda pipe: not pipe.sink)):
                lines.append(self._pipe(self.ids[number] - 2 + place, pipe))
            lines += _records(self.ids[number], box)
        for arrow in diagram.arrows:
            lines.append(self._arrow(self.next, arrow))
            self.next += 1
        return lines

    def _pipe(self, number: int, pipe: Pipe) -> str:
        shape = 4 if pipe.sink else 100
        x, y = pipe.point
        return (f"1,{number},{self.ids[pipe.valve]},{self.ids[pipe.end]},{shape},0,0,22,0,0,0,"
                f"-1--1--1,,1|({x},{y})|")

    def _arrow(self, number: int, arrow: Arrow) -> str:
        shape, (x, y) = (0, (0, 0)) if arrow.control is None else (1, arrow.control)
        thick = min(arrow.weight // 2, 8) if arrow.weight > 1 else 0
        return (f"1,{number},{self.ids[arrow.source]},{self.ids[arrow.target]},{shape},"
                f"{int(arrow.hidden)},0,{thick},0,64,{int(arrow.initial)},-1--1--1,,1|({x},{y})|")


def _heading_box(diagram: Diagram) -> Box:
    half = 5 * len(diagram.heading)
    return Box(diagram.heading, "text", max(half + 20, 100), 30, half, LINE + 1)


def _records(number: int, box: Box) -> list[str]:
    """Return the lines of one box."""
    size = f"{box.x},{box.y},{box.w},{box.h}"
    hidden = int(box.hidden)
    if box.kind == "cloud":
        return [f"12,{number},48,{size},0,3,0,0,-1,0,0,0"]
    if box.kind == "valve":
        look = "33,3,0,0,4,0,0,0" if box.vertical else "34,3,0,0,1,0,0,0"
        return [f"11,{number},0,{size},{look}"]
    if box.kind == "frame":
        # A box with an empty text; its title is a comment of its own at the upper edge.
        title = Box(box.name, "text", box.x, box.y - box.h + LINE + 3, 5 * len(box.name), LINE)
        return [f"12,{number},0,{size},3,135,0,0,-1,0,0,0", " ",
                *_comment(number + 1, box.name, title)]
    name = box.name if _PLAIN_NAME.fullmatch(box.name) else f'"{box.name}"'
    if box.kind == "shadow":
        return [f"10,{number},{name},{size},8,2,{hidden},3,-1,0,0,0,{_GREY}"]
    look = {"stock": "3,3,0,0,0,0,0,0", "flow": "40,3,0,0,-1,0,0,0"}.get(
        box.kind, f"8,3,{hidden},0,0,0,0,0")
    return [f"10,{number},{name},{size},{look}"]


def _comment(number: int, text: str, box: Box) -> list[str]:
    return [f"12,{number},0,{box.x},{box.y},{box.w},{box.h},8,135,0,18,-1,0,0,0,"
            "-1--1--1,0-0-0,|14|B|0-0-0", text]


def main(args: Sequence[str] | None = None) -> int:
    """Rewrite the sketch of the file named on the command line; return the exit code."""
    given = list(sys.argv[1:] if args is None else args)
    if len(given) != 1:
        sys.stderr.write("usage: python -m kuzbass.sd.sketch FILE.mdl\n")
        return KuzbassError.exit_code
    try:
        diagrams = write_sketch(Path(given[0]))
    except KuzbassError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{given[0]}: {len(diagrams)} views\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
