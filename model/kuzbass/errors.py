"""Errors that a user can act on.

Every error of the package is one complete message: where it is (file, key), what is wrong,
what was found and what is allowed.  The command line prints it and ends with exit code 2.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BRACKETS = re.compile(r" ?([\[\],]) ?")

__all__ = ["InputError", "KuzbassError", "ModelError", "nearest", "plain_name"]


class KuzbassError(Exception):
    """Base of all errors of the package; ``str(error)`` is one complete message."""

    exit_code = 2


class _LocatedError(KuzbassError):
    """An error that names the place, the value found and the values allowed.

    Parameters
    ----------
    problem : str
        What is wrong, in a few words.
    file : str or Path, optional
        The file that holds the problem.
    key : str, optional
        The key, column, line or model element.
    value : object, optional
        What was found.  ``None`` means that there is nothing to show.
    allowed : str, optional
        What would have been accepted.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        key: str | None = None,
        value: object = None,
        allowed: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.key = key
        self.value = value
        self.allowed = allowed
        super().__init__(self._message())

    def _message(self) -> str:
        place = [str(part) for part in (self.file, self.key) if part is not None]
        details = []
        if self.value is not None:
            details.append(f"found: {self.value}")
        if self.allowed is not None:
            details.append(f"allowed: {self.allowed}")
        text = ": ".join([*place, self.problem])
        return f"{text} ({'; '.join(details)})" if details else text

    def __reduce__(self) -> tuple[object, ...]:
        # The default would lose the keyword-only arguments when a worker sends the error back.
        return _rebuild, (type(self), self.problem, self.file, self.key, self.value, self.allowed)


class InputError(_LocatedError):
    """Bad input: a scenario, a data file, an override or an argument."""


class ModelError(_LocatedError):
    """A problem of the model file itself: unreadable, unsupported or numerically broken."""


def nearest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of `names` that look most like `name`, best first.

    Letter case is ignored and ``_`` counts as a space, as in Vensim.
    """
    plain: dict[str, str] = {}
    for candidate in names:
        plain.setdefault(plain_name(candidate), candidate)
    return [plain[hit] for hit in difflib.get_close_matches(plain_name(name), plain, n=n)]


def plain_name(name: str) -> str:
    """Return `name` as Vensim compares names: lower case, ``_`` and spaces are one space.

    Spaces around the commas and brackets of subscripts do not count.
    """
    plain = " ".join(name.replace("_", " ").lower().split())
    return _BRACKETS.sub(r"\1", plain) if "[" in plain else plain


def _rebuild(
    cls: type[_LocatedError],
    problem: str,
    file: str | Path | None,
    key: str | None,
    value: object,
    allowed: str | None,
) -> _LocatedError:
    return cls(problem, file=file, key=key, value=value, allowed=allowed)
