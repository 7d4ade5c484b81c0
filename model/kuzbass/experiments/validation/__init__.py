"""The tests of the canon, applied to the model of the region.

Importing this package registers all of them, in the order of the stages of Barlas (1996).
"""

from kuzbass.experiments.validation import (  # isort: skip - the order of the stages
    direct, conditions, behaviour,
)
from kuzbass.experiments.validation.context import Context
from kuzbass.experiments.validation.registry import TESTS, Outcome, Test, canon

__all__ = ["TESTS", "Context", "Outcome", "Test", "behaviour", "canon", "conditions", "direct"]
