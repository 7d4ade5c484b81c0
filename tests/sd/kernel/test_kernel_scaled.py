"""A path with a factor for every run, as one input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.kernel import Kernel, Scaled, compile_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.kernel.kernel import Backend
    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]

DRIVER = "world price"
FACTORS = np.array([0.7, 1.0, 1.25, 0.9, 1.1, 1.0, 0.8, 1.2, 0.95])


def compiled(
    model: Model, backend: Backend = "llvm", scaled: tuple[str, ...] = (DRIVER,)
) -> Kernel:
    return compile_model(model, vary=[DRIVER, "tax rate"], scaled=scaled, save_every=None,
                         backend=backend)


def given(kernel: Kernel) -> Scaled:
    time = kernel.time
    return Scaled(np.linspace(40.0, 90.0, len(time))[None, :], FACTORS,
                  np.clip((time - time[0]) / 2.0, 0.0, 1.0))


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_it_equals_the_path_of_every_run(tiny: Tiny, backend: Backend) -> None:
    kernel = compiled(tiny("small"), backend)
    scaled = given(kernel)
    found = kernel.run({DRIVER: scaled, "tax rate": np.linspace(0.1, 0.3, len(FACTORS))})
    paths = scaled.path + scaled.path * np.outer(FACTORS - 1.0, scaled.share)
    np.testing.assert_array_equal(found[DRIVER], paths.T)
    plain = compiled(tiny("small"), backend, scaled=())
    for value in (paths, scaled):  # a kernel that was not made for it makes the paths itself
        other = plain.run({DRIVER: value, "tax rate": np.linspace(0.1, 0.3, len(FACTORS))})
        np.testing.assert_array_equal(other.values, found.values)


def test_without_a_factor_the_path_stays_as_it_is(tiny: Tiny) -> None:
    kernel, plain = compiled(tiny("small")), compiled(tiny("small"), scaled=())
    np.testing.assert_array_equal(kernel.run().values, plain.run().values)
    path = np.linspace(40.0, 90.0, len(kernel.time))[None, :]
    np.testing.assert_array_equal(kernel.run({DRIVER: path}).values,
                                  plain.run({DRIVER: path}).values)


def test_parts_of_a_stream_get_their_own_factors(tiny: Tiny) -> None:
    kernel = compiled(tiny("small"))
    whole = kernel.run({DRIVER: given(kernel)})
    parts = [part.values for part in kernel.stream({DRIVER: given(kernel)}, chunk=4)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole.values)


@pytest.mark.parametrize("factor", [1e9, np.nan, -1.0])
def test_what_leaves_the_range_is_refused(tiny: Tiny, factor: float) -> None:
    kernel = compiled(tiny("small"))
    scaled = given(kernel)
    bad = Scaled(scaled.path, np.array([1.0, factor]), scaled.share)
    with pytest.raises(InputError, match=DRIVER):
        kernel.run({DRIVER: bad})


def test_only_drivers_are_scaled(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="cannot be scaled"):
        compiled(tiny("small"), scaled=("tax rate",))
