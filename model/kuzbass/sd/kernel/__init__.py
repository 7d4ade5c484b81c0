"""The compiled engine: a model as machine code that simulates eight runs at a time.

`compile_model` translates a model, folds in what does not vary and compiles the rest for this
machine; `Kernel.run` simulates any number of runs.  From the cache, neither PySD nor a compilation
is needed.
"""

from kuzbass.sd.kernel.compile import compile_model
from kuzbass.sd.kernel.kernel import ENGINE, Kernel, KernelResult, NonFinite
from kuzbass.sd.kernel.nodes import UnsupportedError
from kuzbass.sd.kernel.values import Scaled

__all__ = ["ENGINE", "Kernel", "KernelResult", "NonFinite", "Scaled", "UnsupportedError",
           "compile_model"]
