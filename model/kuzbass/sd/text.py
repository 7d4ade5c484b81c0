"""The parts of an .mdl file that PySD does not keep: groups, raw equations, settings."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kuzbass.errors import ModelError, plain_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "check_integration_method", "read_entries", "read_text"]

_SKETCH = "\\\\\\---///"
_SETTINGS = "///---\\\\\\"
_GROUP = re.compile(r"\*{4,}\s*\.?([^*]+?)\s*\*{4,}")
_LEFT_SIDE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^=(:\[]+)')
# The fourth number of settings line 15 is the integration method; Vensim writes 0 for Euler.
_METHOD = re.compile(r"^15:[^,]*,[^,]*,[^,]*,\s*(\d+)", re.MULTILINE)
_METHOD_NAMES = {"1": "Runge-Kutta 4", "5": "Runge-Kutta 4", "3": "Runge-Kutta 2",
                 "4": "Runge-Kutta 2"}


@dataclass(frozen=True)
class Entry:
    """One equation block as written.

    Attributes
    ----------
    name : str
        Left side, without quotes.
    equation : str
        Both sides, white space collapsed.
    group : str
        Name of the Vensim group above it, ``""`` before the first group.
    supplementary : bool
        Marked ``:SUPPLEMENTARY``: meant to be read, not used by another equation.
    """

    name: str
    equation: str
    group: str
    supplementary: bool


def read_text(path: Path) -> tuple[str, str]:
    """Return the text of the .mdl file `path`, with Unix line ends, and its SHA-256.

    Raises
    ------
    ModelError
        The file is missing, unreadable, empty or not UTF-8.
    """
    if path.suffix.lower() != ".mdl":
        raise ModelError("not a Vensim model", file=path, value=path.suffix or "no suffix",
                         allowed="a text file with the suffix .mdl")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ModelError("the model file does not exist", file=path) from None
    except OSError as error:
        problem = f"the model file cannot be read: {error.strerror or error}"
        raise ModelError(problem, file=path) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError("the model file is not UTF-8", file=path,
                         value=f"byte 0x{raw[error.start]:02X} at position {error.start}",
                         allowed="UTF-8 text") from None
    if not text.strip():
        raise ModelError("the model file is empty", file=path, allowed="a Vensim model")
    return text.replace("\r\n", "\n"), hashlib.sha256(raw).hexdigest()


def check_integration_method(text: str, path: Path) -> None:
    """Refuse a model whose settings ask for another integration method than Euler.

    PySD integrates by Euler whatever the file says; Vensim would give other numbers.

    Raises
    ------
    ModelError
        The settings name another method.
    """
    settings = text.partition(_SETTINGS)[2]
    match = _METHOD.search(settings)
    if match and match[1] != "0":
        raise ModelError(
            "unsupported integration method", file=path, key="settings line 15",
            value=_METHOD_NAMES.get(match[1], f"method {match[1]}"),
            allowed="Euler (the fourth number is 0)",
        )


def read_entries(text: str) -> dict[str, list[Entry]]:
    """Return the equation blocks of an .mdl text by `kuzbass.errors.plain_name`.

    An array may have several, in the order of the file.
    """
    equations = text.partition(_SKETCH)[0]
    equations = re.sub(r"^\s*\{[^}]*\}", "", equations)
    entries: dict[str, list[Entry]] = {}
    group = ""
    for block in equations.split("|"):
        equation, *fields = (" ".join(part.split()) for part in block.split("~"))
        equation = equation.replace("\\ ", "")
        marker = _GROUP.match(equation)
        if marker:
            group = marker[1].strip()
            continue
        left = _LEFT_SIDE.match(equation)
        if left is None or not fields:
            continue
        name = left[1].strip().strip('"')
        entries.setdefault(plain_name(name), []).append(Entry(
            name, equation, group,
            any("SUPPLEMENTARY" in field.upper() for field in fields[2:]),
        ))
    return entries
