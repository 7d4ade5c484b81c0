"""Writes the equations of arrays out: one scalar equation for each element.

An element is named as Vensim and PySD name it in their results, ``name[a,b]``.  What follows
from the equations, such as their order, is then known element by element.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pysd.builders.python.subscripts import SubscriptManager
from pysd.translators.structures import abstract_expressions as ae

from kuzbass.errors import ModelError, nearest, plain_name
from kuzbass.sd.graph import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["ArrayCall", "Flat", "expand"]

Bound = dict[str, str]  # range -> the element that stands for it

_WHOLE_CALLS = {"vector_select", "vector_sort_order", "vector_reorder", "vector_rank",
                "invert_matrix"}
_WHOLE: dict[type, str] = {ae.AllocateAvailableStructure: "ALLOCATE AVAILABLE",
                           ae.AllocateByPriorityStructure: "ALLOCATE BY PRIORITY"}


@dataclass(frozen=True)
class ArrayCall:
    """A function of whole arrays, which has no scalar form; `uses` are all elements it may read."""

    construct: str
    uses: tuple[ae.ReferenceStructure, ...]


@dataclass(frozen=True)
class Flat:
    """One scalar equation.

    Attributes
    ----------
    name : str
        As written, with the subscripts of an element.
    array : str
        The array, ``""`` for a variable without subscripts.
    place : tuple of str
        The subscripts.
    element : object
        PySD's abstract element.
    position : int
        Of its equation among those of the element.
    ast : object
        The syntax tree; knows no subscript.
    """

    name: str
    array: str
    place: tuple[str, ...]
    element: Any
    position: int
    ast: Any

    @property
    def component(self) -> Any:
        """PySD's abstract component."""
        return self.element.components[self.position]


def expand(section: Any, path: Path) -> list[Flat]:
    """Return the scalar equations of PySD's abstract `section`, in the order of the file.

    Raises
    ------
    ModelError
        An unknown subscript, one that does not stand on the left side, an array of numbers of
        another shape, or an element that is defined twice.
    """
    if section.subscripts:
        _name_as_defined(section)
    ranges = _Ranges(section.subscripts, path)
    written = [flat for element in section.elements for flat in _elements(element, ranges, path)]
    seen: set[str] = set()
    for flat, _ in written:
        if flat.name in seen:
            raise ModelError("defined more than once", file=path, key=flat.name)
        seen.add(flat.name)
    if not section.subscripts:
        return [flat for flat, _ in written]
    expander = _Expander(ranges, [flat for flat, _ in written], path)
    return [replace(flat, ast=expander.scalar(flat, bound)) for flat, bound in written]


def _name_as_defined(section: Any) -> None:
    """Give every subscript the case of its definition: to PySD, unlike Vensim, case matters."""
    defined: dict[str, str] = {}
    for definition in section.subscripts:
        defined.setdefault(plain_name(definition.name), definition.name)
    for definition in section.subscripts:
        if isinstance(definition.subscripts, list):
            for one in definition.subscripts:
                defined.setdefault(plain_name(one), one)

    def right(name: str) -> str:
        bare = name.rstrip("!").strip()
        return defined.get(plain_name(bare), bare) + "!" * name.endswith("!")

    for definition in section.subscripts:
        definition.mapping = [right(one) for one in definition.mapping]
        if isinstance(definition.subscripts, str):
            definition.subscripts = right(definition.subscripts)
        elif isinstance(definition.subscripts, list):
            definition.subscripts = [right(one) for one in definition.subscripts]
    for component in (one for element in section.elements for one in element.components):
        own, excepted = component.subscripts
        component.subscripts = ([right(one) for one in own],
                                [[right(one) for one in group] for group in excepted])
        for node, _ in walk(component.ast):
            if isinstance(node, ae.SubscriptsReferenceStructure):
                node.subscripts = [right(one) for one in node.subscripts]


class _Ranges:
    """The subscript ranges of a model: their elements and what they map to."""

    def __init__(self, definitions: Iterable[Any], path: Path) -> None:
        self._path = path
        definitions = list(definitions)
        names = {definition.name for definition in definitions}
        for definition in definitions:
            if isinstance(definition.subscripts, dict):
                raise ModelError("unsupported construct: a spreadsheet read", file=path,
                                 key=definition.name)
            if isinstance(definition.subscripts, str) and definition.subscripts not in names:
                raise ModelError("not a subscript range", file=path, key=definition.name,
                                 value=definition.subscripts)
        # PySD's own manager: copies, ranges of ranges and mappings by its rules.
        manager = SubscriptManager(definitions, Path())
        self.elements: dict[str, list[str]] = manager.subscripts
        self._range = {plain_name(name): name for name in self.elements}
        self._element = {plain_name(one): one
                         for elements in self.elements.values() for one in elements}
        self._maps_to = {name: [self._range.get(plain_name(one), one) for one in mapped]
                         for name, mapped in manager.mapping.items()}
        self._main = {part: main for main, parts in manager.subranges.items()
                      for part in (main, *parts)}

    def range(self, name: str) -> str | None:
        """Return the range called `name`, ``None`` if there is none."""
        return None if plain_name(name) in self._element else self._range.get(plain_name(name))

    def of(self, name: str, owner: str) -> list[str]:
        """Return the elements that a subscript stands for."""
        found = self.range(name)
        if found is not None:
            return self.elements[found]
        if plain_name(name) in self._element:
            return [self._element[plain_name(name)]]
        close = nearest(name, [*self.elements, *self._element.values()])
        raise ModelError("not a subscript", file=self._path, key=owner, value=name,
                         allowed=f"did you mean {', '.join(close)}?" if close else None)

    def mapped(self, name: str, bound: Bound, besides: Sequence[str]) -> str | None:
        """Return the element of a range by the position of one that `name` maps to."""
        for target in self._maps_to[name]:
            if target in bound and target not in besides:
                position = self.elements[target].index(bound[target])
                if len(self.elements[name]) == len(self.elements[target]):
                    return self.elements[name][position]
        return None

    def number(self, name: str, bound: Bound) -> float | None:
        """Return the position of an element, or of what stands for a range, from one."""
        found = self.range(name)
        element = self._element.get(plain_name(name)) if found is None else bound.get(found)
        if element is None:
            return None
        mains = [self._main[found]] if found in self._main else [
            main for main in (*self.elements, *dict.fromkeys(self._main.values()))
            if element in self.elements[main]]
        return float(self.elements[mains[-1]].index(element) + 1)


def _elements(element: Any, ranges: _Ranges, path: Path) -> Iterator[tuple[Flat, Bound]]:
    """Yield what an element of the section defines, with the equations as they are written."""
    name = element.name.strip('"')
    for position, component in enumerate(element.components):
        subscripts, excepted = component.subscripts
        if not subscripts:
            yield Flat(name, "", (), element, position, component.ast), {}
            continue
        axes = [ranges.of(one, name) for one in subscripts]
        left_out = [[ranges.of(one, name) for one in group] for group in excepted]
        own = [ranges.range(one) for one in subscripts]
        if len(set(filter(None, own))) < sum(one is not None for one in own):
            raise ModelError("unsupported construct: a subscript that stands twice on the left "
                             "side", file=path, key=name)
        values = _values(component.ast, [len(axis) for axis in axes], name, path)
        for places in product(*(range(len(axis)) for axis in axes)):
            place = tuple(axis[at] for axis, at in zip(axes, places, strict=True))
            if any(all(one in axis for one, axis in zip(place, group, strict=True))
                   for group in left_out):
                continue
            bound = {one: at for one, at in zip(own, place, strict=True) if one is not None}
            ast = component.ast if values is None else float(values[places])
            yield Flat(_written(name, place), name, place, element, position, ast), bound


def _values(ast: Any, shape: list[int], name: str, path: Path) -> Any:
    if not isinstance(ast, np.ndarray):
        return None
    if ast.size != np.prod(shape):
        raise ModelError("an array of numbers of the wrong size", file=path, key=name,
                         value=ast.size, allowed=" x ".join(map(str, shape)))
    return ast.reshape(shape)


def _written(name: str, place: Iterable[str]) -> str:
    return f"{name}[{','.join(place)}]"


class _Expander:
    """Replaces subscripts in syntax trees by the elements that they stand for."""

    def __init__(self, ranges: _Ranges, flats: Iterable[Flat], path: Path) -> None:
        self._ranges, self._path = ranges, path
        self._known: set[str] = {"time"}
        self._arrays: dict[str, str] = {}
        self._places: dict[str, list[tuple[str, ...]]] = {}
        for flat in flats:
            if flat.array:
                self._arrays[plain_name(flat.array)] = flat.array
                self._places.setdefault(flat.array, []).append(flat.place)
            self._known.add(plain_name(flat.array or flat.name))
        self._owner = ""

    def scalar(self, flat: Flat, bound: Bound) -> Any:
        """Return the syntax tree of one element."""
        self._owner = flat.name
        return self._expand(flat.ast, bound)

    def _expand(self, node: Any, bound: Bound) -> Any:
        if isinstance(node, ae.ReferenceStructure):
            return self._reference(node, bound)
        if isinstance(node, ae.CallStructure):
            return self._call(node, bound)
        if type(node) in _WHOLE:
            return self._whole(_WHOLE[type(node)], node, bound)
        if isinstance(node, (list, tuple)):
            return type(node)(self._expand(item, bound) for item in node)
        if is_dataclass(node) and not isinstance(node, (type, ae.LookupsStructure)):
            return replace(node, **{field.name: self._expand(getattr(node, field.name), bound)
                                    for field in fields(node)})
        return node

    def _reference(self, node: Any, bound: Bound) -> Any:
        plain = plain_name(node.reference.strip('"'))
        if plain not in self._arrays:
            number = None if plain in self._known else self._ranges.number(node.reference, bound)
            return node if number is None else number
        if node.subscripts is None:
            raise self._refusal("uses an array without subscripts", self._arrays[plain])
        subscripts = node.subscripts.subscripts
        place = [self._subscript(one, bound, subscripts) for one in subscripts]
        return ae.ReferenceStructure(_written(self._arrays[plain], place))

    def _subscript(self, written: str, bound: Bound, besides: Sequence[str]) -> str:
        name, marked = written.rstrip("!").strip(), written.endswith("!")
        found = self._ranges.range(name)
        elements = self._ranges.of(name, self._owner)
        key = f"{found}!" if marked else found
        if found is None or (len(elements) == 1 and not marked):
            return elements[0]
        element = bound.get(str(key)) or (
            None if marked else self._ranges.mapped(found, bound, besides))
        if element is None:
            raise self._refusal("a subscript on the right side stands for nothing", written)
        return element

    def _call(self, node: Any, bound: Bound) -> Any:
        function = node.function.reference
        if plain_name(function) in self._known:
            return replace(node, function=self._reference(node.function, bound),
                           arguments=self._expand(node.arguments, bound))
        if function in _REDUCTIONS:
            return self._reduce(function, node.arguments[0], bound)
        if function in _WHOLE_CALLS:
            return self._whole(function.replace("_", " ").upper(), node, bound)
        if function == "elmcount":
            return float(len(self._ranges.of(node.arguments[0].reference, self._owner)))
        return replace(node, arguments=self._expand(node.arguments, bound))

    def _reduce(self, function: str, argument: Any, bound: Bound) -> Any:
        """SUM, PROD, VMIN and VMAX over the subscripts that bear a ``!``."""
        names = list(dict.fromkeys(_marked(argument, self._known)))
        axes = [self._ranges.of(name, self._owner) for name in names]
        keys = [f"{self._ranges.range(name)}!" for name in names]
        parts = [self._expand(argument, {**bound, **dict(zip(keys, place, strict=True))})
                 for place in product(*axes)]
        return _REDUCTIONS[function](parts) if len(parts) > 1 else parts[0]

    def _whole(self, construct: str, node: Any, bound: Bound) -> ArrayCall:
        """Return a call that only PySD can compute, with all that it may read."""
        uses = []
        for part, _ in walk(node):
            if not isinstance(part, ae.ReferenceStructure):
                continue
            array = self._arrays.get(plain_name(part.reference.strip('"')))
            if array is None:
                known = plain_name(part.reference.strip('"')) in self._known
                uses += [part] if known else []
                continue
            uses += [ae.ReferenceStructure(_written(array, place))
                     for place in self._places[array] if self._may_be(part, place, bound)]
        return ArrayCall(construct, tuple(uses))

    def _may_be(self, reference: Any, place: tuple[str, ...], bound: Bound) -> bool:
        subscripts = reference.subscripts.subscripts if reference.subscripts else ()
        for written, one in zip(subscripts, place, strict=False):
            found = self._ranges.range(written.rstrip("!"))
            if found in bound and one != bound[str(found)]:
                return False
        return True

    def _refusal(self, problem: str, value: str) -> ModelError:
        return ModelError(problem, file=self._path, key=self._owner, value=value)


def _marked(node: Any, known: set[str]) -> Iterator[str]:
    """Yield the subscripts with a ``!`` that no function further inside takes."""
    if isinstance(node, ae.SubscriptsReferenceStructure):
        yield from (one.rstrip("!").strip() for one in node.subscripts if one.endswith("!"))
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _marked(item, known)
    elif isinstance(node, ae.CallStructure) and node.function.reference in _REDUCTIONS and (
            plain_name(node.function.reference) not in known):
        return
    elif is_dataclass(node):
        for field in fields(node):
            yield from _marked(getattr(node, field.name), known)


def _chain(operator: str) -> Callable[[list[Any]], Any]:
    return lambda parts: ae.ArithmeticStructure([operator] * (len(parts) - 1), parts)


def _nest(function: str) -> Callable[[list[Any]], Any]:
    name = ae.ReferenceStructure(function)

    def nested(parts: list[Any]) -> Any:
        if len(parts) == 1:
            return parts[0]
        half = len(parts) // 2  # a tree of pairs is not as deep as a chain
        return ae.CallStructure(name, (nested(parts[:half]), nested(parts[half:])))

    return nested


_REDUCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": _chain("+"), "prod": _chain("*"), "vmin": _nest("min"), "vmax": _nest("max"),
}
