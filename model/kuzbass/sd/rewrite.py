"""Writes new right-hand sides into the text of an .mdl file and leaves all else as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kuzbass.errors import ModelError, plain_name

__all__ = ["cut_file", "replace_equations"]

_SKETCH = "\\\\\\---///"
_EQUATION = re.compile(
    r'(?P<left>\s*(?:\{[^}]*\}\s*)?"?(?P<name>[^"=~(\[{}]+?)"?\s*=\s*)[^~]*?(?P<end>\s*~)')


def replace_equations(text: str, right_sides: Mapping[str, str], path: Path) -> str:
    """Return the text of an .mdl file with other right-hand sides.

    Parameters
    ----------
    text : str
        Line ends, comments, units and the sketch stay as they are.
    right_sides : mapping of str to str
        Variable (case and ``_`` are free) -> expression.
    path : Path
        The file, for the message.

    Raises
    ------
    ModelError
        The file has no such equation.
    """
    wanted = {plain_name(name): right for name, right in right_sides.items()}
    equations, mark, sketch = text.partition(_SKETCH)
    blocks = equations.split("|")
    for number, block in enumerate(blocks):
        found = _EQUATION.match(block)
        name = plain_name(found["name"]) if found else ""
        if found and name in wanted:
            blocks[number] = (found["left"] + wanted.pop(name) + found["end"]
                              + block[found.end():])
    if wanted:
        raise ModelError("no such equation in the file", file=path, key=", ".join(sorted(wanted)))
    return "|".join(blocks) + mark + sketch


def cut_file(source: Path, target: Path, variables: Mapping[str, float]) -> None:
    """Write a copy of a model in which some variables are constants instead of being computed.

    Their equations give way to a number, so that a run can set them to an observed path: partial
    models after Homer 2012.
    """
    text = source.read_text(encoding="utf-8-sig")
    numbers = {name: repr(float(value)) for name, value in variables.items()}
    target.write_text(replace_equations(text, numbers, source), encoding="utf-8")
