"""Guarded corrections of PySD 3.14, applied to one model at a time.

1. Tables.  PySD interpolates a scalar table through ``xarray.DataArray.interp``, about a
   millisecond a call, and hides TypeErrors on the way.  ``numpy.interp`` gives the same numbers.
2. Initial values.  PySD builds the state of SMOOTH and DELAY with the type of the initial value:
   an integer makes an integer array, which truncates the input of the first step.
3. Short delays.  PySD lowers the order of a delay that is shorter than its steps; here that is
   an error, for the result would answer another model.
4. Translation.  PySD lays out the Python text that it writes with ``black``, which takes most of
   the time of loading; nobody reads that text here, so it stays as it is.

5. States of arrays.  PySD puts all states into one NumPy array, which fails for shapes that share
   their first length, such as those of ``x[a]`` and ``y[a,b]``.

PySD is left as it was after each of these.  The tests show each defect on PySD as installed.
"""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pysd
import xarray as xr
from pysd.builders.python import python_model_builder
from pysd.py_backend.statefuls import Delay, Stateful

from kuzbass.errors import ModelError
from kuzbass.sd.pysd_arrays import ArrayModel, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from kuzbass.sd.pysd_arrays import Places

__all__ = ["ENGINE", "Curve", "blame", "interpolator", "open_pysd", "translate"]

ENGINE = f"PySD {pysd.__version__}"
_TESTED = "3.14."
_TRANSLATING = Lock()


class Curve(NamedTuple):
    """Points of a table or a time path: `x` strictly increasing, shapes (n,) and (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def translate(abstract: Any) -> str:
    """Return the Python text into which PySD translates an abstract model.

    PySD writes it beside the model file, so that file must be a copy of the user's.

    Raises
    ------
    ModelError
        The installed PySD is not of the tested series, or cannot translate the model.
    """
    _check_version()
    plain = SimpleNamespace(FileMode=lambda: None,
                            format_file_contents=lambda text, **_options: text)
    with _TRANSLATING, warnings.catch_warnings():
        layout = python_model_builder.black
        python_model_builder.black = plain
        try:
            # What PySD warns of is checked, element by element, by `kuzbass.sd.subscripts`.
            warnings.simplefilter("ignore")
            file = python_model_builder.ModelBuilder(abstract).build_model()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelError(f"PySD cannot translate the model: {error!r}") from error
        finally:
            python_model_builder.black = layout
    return Path(file).read_text(encoding="utf-8")


def open_pysd(
    source: str, curves: Mapping[str, Curve], places: Places | None = None
) -> Any:
    """Return a fresh, corrected PySD model that is not initialised yet.

    Parameters
    ----------
    source : str
        The Python text that PySD made of the model.
    curves : mapping
        The points of every lookup, by name.
    places : dict, optional
        The elements of arrays, see `kuzbass.sd.pysd_arrays.Layout`.

    Raises
    ------
    ModelError
        The installed PySD is not of the tested series.
    """
    _check_version()
    with tempfile.TemporaryDirectory(prefix="kuzbass-") as folder:
        file = Path(folder) / "model.py"
        file.write_text(source, encoding="utf-8")
        model = pysd.load(str(file), initialize=False)
    if places:
        model.__class__ = ArrayModel
    _correct_tables(model, curves, Layout(model, places or {}))
    _correct_initial_values(model)
    return model


def interpolator(curve: Curve, argument: Callable[[], float] | None = None) -> Callable[..., Any]:
    """Return a function that reads `curve`, holding its ends.

    Without `argument` it is a table function of PySD's signature; with it, a variable that
    reads the curve at ``argument()``.
    """
    if argument is None:
        return partial(_read, curve)
    return lambda: float(np.interp(argument(), *curve))


def _read(curve: Curve, value: Any, _final_subs: object = None) -> Any:
    if isinstance(value, xr.DataArray) and value.dims:
        return value.copy(data=np.interp(value.values, *curve))
    return float(np.interp(value, *curve))


def _check_version() -> None:
    if not pysd.__version__.startswith(_TESTED):
        raise ModelError("this PySD is not tested with the corrections of its known defects",
                         value=pysd.__version__, allowed=f"{_TESTED}*")


def _correct_tables(model: Any, curves: Mapping[str, Curve], layout: Layout) -> None:
    arrays: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        if layout.owner(name) == name:
            _set_table(model, layout.column(name), interpolator(curve))
        else:
            arrays.setdefault(layout.owner(name), {})[name] = curve
    for array, own in arrays.items():
        _set_table(model, layout.column(array), layout.table(own))
    # PySD need not build its own tables: nobody reads them any more.
    model.lookups_loaded = True


def _set_table(model: Any, column: str, function: Callable[..., Any]) -> None:
    table = model.dependencies[column]["__lookup__"]
    model.components._set_component(table, function)


def _correct_initial_values(model: Any) -> None:
    for element in model._stateful_elements.values():
        # FORECAST starts from its input and has no initial value of its own.
        if hasattr(element, "init_func"):
            element.init_func = _as_float(element.init_func)
        if isinstance(element, Delay):
            element.order_func = _checked_order(element)


def _as_float(value: Callable[[], Any]) -> Callable[[], Any]:
    def start() -> Any:
        found = value()
        return found.astype(float) if isinstance(found, xr.DataArray) else float(found)

    return start


def _checked_order(delay: Any) -> Callable[[], int]:
    order_of = delay.order_func

    def order() -> int:
        wanted = int(order_of())
        shortest = wanted * delay.tstep()
        delay_time = float(np.min(delay.delay_time_func()))
        if delay_time < shortest:
            raise ModelError("the delay time is too short for the time step",
                             key=delay.py_name.removeprefix("_delay_").replace("_", " "),
                             value=delay_time,
                             allowed=f"at least {wanted} time steps = {shortest}")
        return wanted

    return order


@contextmanager
def blame(model: Any, path: Path) -> Iterator[None]:
    """Turn an arithmetic error inside an equation into a ModelError that names the variable."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, NameError, NotImplementedError,
            TypeError, ValueError) as error:
        raise ModelError(
            f"cannot be computed at time {model.time()}: {error}", file=path,
            key=_failing_variable(model, error.__traceback__),
        ) from error


def _failing_variable(model: Any, trace: TracebackType | None) -> str | None:
    names = {identifier: name.strip('"') for name, identifier in model.namespace.items()}
    states = {state: names[owner] for owner, used in model.dependencies.items() if owner in names
              for state in used if state.startswith("_")}
    found = None
    while trace is not None:
        frame = trace.tb_frame
        own = frame.f_locals.get("self")
        state = own.py_name if isinstance(own, Stateful) else None
        found = names.get(frame.f_code.co_name) or states.get(str(state)) or found
        trace = trace.tb_next
    return found
