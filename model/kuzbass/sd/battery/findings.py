"""What a test of the battery finds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Breach"]


@dataclass(frozen=True)
class Breach:
    """One thing that is not as it must be.

    Attributes
    ----------
    element : str
        The variable.
    message : str
        What was found and what was expected.
    """

    element: str
    message: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.element}: {self.message}"
