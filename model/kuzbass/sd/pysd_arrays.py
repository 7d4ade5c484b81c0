"""Arrays in a running PySD model: their elements by name, and changes of some of them.

PySD computes an array as a whole, so an element that uses another one of its array in the same
step, as in ``x[b] = x[a] + 1``, is beyond it: `array_loop` finds it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import xarray as xr
from pysd.py_backend.model import Model as PysdModel

from kuzbass.errors import ModelError, plain_name
from kuzbass.sd.graph import dependencies, find_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from kuzbass.sd.mdl import Model
    from kuzbass.sd.pysd_fixes import Curve

__all__ = ["ArrayModel", "Layout", "Places", "array_loop"]

Places = dict[str, tuple[str, tuple[str, ...]]]


class ArrayModel(PysdModel):  # type: ignore[misc]  # PySD has no types
    """PySD's model, whose states may have shapes that NumPy would try to fit into each other."""

    @property
    def state(self) -> NDArray[np.object_]:
        """The states of all stateful functions."""
        return _objects([one.state for one in self._dynamicstateful_elements])

    @state.setter
    def state(self, values: NDArray[np.object_]) -> None:
        for one, value in zip(self._dynamicstateful_elements, values, strict=True):
            one.update(value)

    def ddt(self) -> NDArray[np.object_]:
        """Return the changes of all stateful functions."""
        return _objects([one.ddt() for one in self._dynamicstateful_elements])


class Layout:
    """Where variables stand in a PySD model.

    Parameters
    ----------
    running : pysd.Model
        It need not be initialised.
    places : dict of str to (str, tuple of str)
        Of each element of an array: the name of the array, and its subscripts.
    """

    def __init__(self, running: Any, places: Places) -> None:
        self._running = running
        self._places = places
        self._columns = {plain_name(name.strip('"')): column
                         for name, column in running.namespace.items()}
        self._coordinates: dict[str, dict[str, list[str]]] = {}

    def owner(self, name: str) -> str:
        """Return the array of an element, or the name itself."""
        return self._places[name][0] if name in self._places else name

    def column(self, name: str) -> str:
        """Return the Python name of what holds a variable."""
        return str(self._columns[plain_name(self.owner(name))])

    def position(self, name: str) -> tuple[int, ...]:
        """Return where an element stands in its array, ``()`` for a variable without subscripts."""
        if name not in self._places:
            return ()
        axes = self._axes(self.owner(name)).values()
        return tuple(axis.index(one) for axis, one in zip(axes, self._places[name][1], strict=True))

    def element(self, name: str, value: Any) -> Any:
        """Return a variable, or an element of an array, from the `value` that PySD computed.

        Raises
        ------
        ModelError
            PySD lost the array on its way: it computed one number, which stands for none.
        """
        if name not in self._places:
            return value
        if not isinstance(value, xr.DataArray):
            raise ModelError("PySD computes one number for the whole array", key=self.owner(name),
                             allowed="engine 'kernel'")
        return value.values[self.position(name)]

    def table(self, curves: Mapping[str, Curve]) -> Callable[..., Any]:
        """Return a table function of PySD's signature that reads the `curves` of one array."""
        coordinates = self._axes(self.owner(next(iter(curves))))
        which = xr.DataArray(np.full([len(axis) for axis in coordinates.values()], -1),
                             coordinates, list(coordinates))
        for number, name in enumerate(curves):
            which.values[self.position(name)] = number
        return partial(_read, which, list(curves.values()))

    def changed(self, values: Mapping[str, Callable[[], float]]) -> Callable[[], Any]:
        """Return a function of one array, of which some elements have other `values`."""
        original = getattr(self._running.components, self.column(next(iter(values))))
        positions = {self.position(name): value for name, value in values.items()}

        def array() -> Any:
            result = original().astype(float)
            for position, value in positions.items():
                result.values[position] = value()
            return result

        return array

    def _axes(self, array: str) -> dict[str, list[str]]:
        if array not in self._coordinates:
            coordinates, dimensions = self._running.get_coords(self.column(array))
            self._coordinates[array] = {one: list(coordinates[one]) for one in dimensions}
        return self._coordinates[array]


def array_loop(model: Model) -> list[str]:
    """Return arrays that use elements of themselves in the same step, or an empty list."""
    for start in (False, True):
        whole: nx.DiGraph[str] = nx.DiGraph()
        for cause, effect, when in dependencies(model, start=start).edges(data=True):
            if when["now"] or (start and when["initial"]):
                ends = (model.places[one][0] if one in model.places else one
                        for one in (cause, effect))
                whole.add_edge(*ends, now=True)
        loop = find_loop(whole, "now")
        if loop:
            return loop
    return []


def _objects(values: list[Any]) -> NDArray[np.object_]:
    result = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        result[position] = value
    return result


def _read(which: Any, curves: list[Curve], x: Any, final_subs: Mapping[str, Any] | None = None
          ) -> Any:
    number, at = xr.broadcast(which, xr.DataArray(x))
    values: NDArray[np.float64] = np.full(at.shape, np.nan)
    for position, curve in enumerate(curves):
        own = number.values == position
        values[own] = np.interp(at.values[own], *curve)
    result = at.copy(data=values)
    return result if final_subs is None else result.transpose(*final_subs)
