r"""A faster grammar for PySD's Vensim reader, which matches names and comments letter by letter.

The rules below take whole runs of letters at once and match the same texts: repetitions are
possessive (``*+``), for a parsing expression grammar never gives back what it took.  A PySD whose
rules differ is read by its own.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from pysd.translators.vensim import vensim_utils

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RULES", "quick_grammar"]

# PySD's rule -> ours.
RULES = {
    r'basic_id = id_start id_continue*':
        r'basic_id = ~r"\w[\w0-9\'\$\s\_]*+"IU',
    r'escape_group = "\"" ( "\\\"" / ~r"[^\"]" )* "\""':
        r'escape_group = ~r"\"(?:\\\"|[^\"])*+\""',
    r'element = ( escape_group / ~r"[^~|]")*':
        r'element = ~r"(?:\"(?:\\\"|[^\"])*+\"|[^~|])*+"',
    r'doc = (~r"[^~|]")*':
        r'doc = ~r"[^~|]*+"',
}
_SWAPPING = Lock()
_MADE: dict[str, Any] = {}


@contextmanager
def quick_grammar() -> Iterator[None]:
    """Let PySD read with the faster rules; it is left as it was."""
    grammar = vensim_utils.Grammar
    with _SWAPPING:
        include, made = grammar._include_common_grammar, grammar._grammar
        grammar._include_common_grammar = lambda text: _quicker(include(text))
        grammar._grammar = _MADE
        try:
            yield
        finally:
            grammar._include_common_grammar, grammar._grammar = include, made


def _quicker(text: str) -> str:
    for rule, ours in RULES.items():
        text = text.replace(rule, ours)
    return text
