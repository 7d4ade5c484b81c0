"""Many runs of a compiled model: in chunks, on threads or on a cluster, resumable.

`Members` says what the runs are, `run_ensemble` runs them and fills a `Store`.  Whatever the number
of threads, workers and the size of the chunks, the numbers are the same to the last bit.
"""

from kuzbass.sd.ensemble.drive import run_ensemble
from kuzbass.sd.ensemble.members import Case, Factor, Members, Part, SavedTimes, Series, opening
from kuzbass.sd.ensemble.quantiles import LEVELS, Summary
from kuzbass.sd.ensemble.store import Store

__all__ = ["LEVELS", "Case", "Factor", "Members", "Part", "SavedTimes", "Series", "Store",
           "Summary", "opening", "run_ensemble"]
