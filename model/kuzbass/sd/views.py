"""Which variables stand together in one view of a stock-and-flow diagram.

A defined word must show all its causes in its view, so the size of a view is the number of its
defined variables and their causes.  A group that is too large for one view is split so that
the parts share few words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from kuzbass.sd import graph

if TYPE_CHECKING:
    import networkx as nx

    from kuzbass.sd.mdl import Model

__all__ = ["MAX_TITLE", "MAX_WORDS", "Structure", "View", "plan_views"]

MAX_WORDS = 22
MAX_TITLE = 30
_MAX_STOCKS = 3
# A lever used by more variables than this is shown without them: its view would be all arrows.
_MAX_USERS = 8
_GIVEN = {"constant", "lookup", "control"}


@dataclass(frozen=True)
class View:
    """One view.

    Attributes
    ----------
    title : str
        Unique; at most `MAX_TITLE` characters, Vensim's limit.
    group : str
        The Vensim group it belongs to.
    defined : tuple of str
        Variables that are defined here, in the order of the file.  Their causes are drawn too.
    levers : tuple of str
        The constants that the view is about, if it shows constants and where they act; then
        the other causes of the defined variables are hidden.
    """

    title: str
    group: str
    defined: tuple[str, ...]
    levers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Structure:
    """Causes, users and flows of a model, in the order of the file.

    Attributes
    ----------
    model : Model
    graph : networkx.DiGraph
        `kuzbass.sd.graph.dependencies` of the model.
    """

    model: Model
    graph: nx.DiGraph[str] = field(repr=False)

    @classmethod
    def of(cls, model: Model) -> Structure:
        """Return the structure of a model."""
        return cls(model, graph.dependencies(model))

    @cached_property
    def order(self) -> dict[str, int]:
        """Place of every variable in the file."""
        return {name: place for place, name in enumerate(self.model.variables)}

    @cached_property
    def flows(self) -> dict[str, list[tuple[str, int]]]:
        """Flows of every stock with their signs; a stock with another rate has none."""
        return {name: graph.signed_flows(self.model, name) or []
                for name, variable in self.model.variables.items() if variable.kind == "stock"}

    def sorted(self, names: Iterable[str]) -> list[str]:
        """Return `names` in the order of the file."""
        return sorted(names, key=self.order.__getitem__)

    def causes(self, name: str) -> list[str]:
        """Return the variables that the equation of `name` uses; ``Time`` is not among them."""
        return self.sorted(set(self.graph.predecessors(name)) - {graph.TIME})

    def users(self, name: str) -> list[str]:
        """Return the variables whose equations use `name`."""
        return self.sorted(self.graph.successors(name))

    def words(self, names: Iterable[str]) -> set[str]:
        """Return `names` and all their causes."""
        chosen = set(names)
        return chosen.union(*(self.causes(name) for name in chosen))

    def kind(self, name: str) -> str:
        """Return the kind of a variable."""
        return self.model.variables[name].kind


def plan_views(structure: Structure, words: int = MAX_WORDS) -> list[View]:
    """Distribute the variables of a model over views.

    Every variable is defined in at least one view; a flow between stocks of two views in both.

    Parameters
    ----------
    structure : Structure
    words : int
        Largest number of words in a view; exceeded only where one equation alone needs more.

    Returns
    -------
    list of View
        By groups in the order of the file.
    """
    groups: dict[str, list[str]] = {}
    for name, variable in structure.model.variables.items():
        groups.setdefault(variable.group, []).append(name)
    views: list[View] = []
    for group, names in groups.items():
        if all(structure.kind(name) in _GIVEN for name in names):
            parts = _lever_parts(structure, names, words)
            levers: Sequence[Sequence[str]] = [
                [name for name in part if name in set(names)] for part in parts]
        else:
            parts = _split(structure, names, words)
            levers = [()] * len(parts)
        titles = _titles(group or "Model", len(parts))
        views += [View(title, group, tuple(part), tuple(own))
                  for title, part, own in zip(titles, parts, levers, strict=True)]
    return views


def _titles(group: str, count: int) -> list[str]:
    ends = [""] if count == 1 else [f" {number}" for number in range(1, count + 1)]
    return [group[: MAX_TITLE - len(end)].rstrip() + end for end in ends]


def _lever_parts(structure: Structure, levers: Sequence[str], words: int) -> list[list[str]]:
    """Fill views one after the other with constants and the variables that use them."""
    parts: list[set[str]] = [set()]
    for name in levers:
        users = structure.users(name)
        drawn = {name, *(users if len(users) <= _MAX_USERS else ())}
        if parts[-1] and len(parts[-1] | drawn) > words:
            parts.append(set())
        parts[-1] |= drawn
    return [structure.sorted(part) for part in parts]


def _split(structure: Structure, names: Sequence[str], words: int) -> list[list[str]]:
    """Merge the atoms of a group as long as the views stay small; most shared words first."""
    parts = _atoms(structure, names)
    sizes = [len(structure.words(part)) for part in parts]
    while True:
        best: tuple[float, int, int, int] | None = None
        for one, other in combinations(range(len(parts)), 2):
            union = len(structure.words(parts[one] | parts[other]))
            if union > words or not _few_stocks(structure, parts[one] | parts[other]):
                continue
            saved = sizes[one] + sizes[other] - union
            # Share of the smaller part that the larger one already shows.
            gain = saved / min(sizes[one], sizes[other])
            if best is None or (-gain, union, one, other) < best:
                best = (-gain, union, one, other)
        if best is None:
            break
        _, union, one, other = best
        parts[one] |= parts.pop(other)
        sizes[one] = union
        del sizes[other]
    parts.sort(key=lambda part: min(structure.order[name] for name in part))
    return [structure.sorted(part) for part in parts]


def _few_stocks(structure: Structure, part: set[str]) -> bool:
    return sum(structure.kind(name) == "stock" for name in part) <= _MAX_STOCKS


def _atoms(structure: Structure, names: Sequence[str]) -> list[set[str]]:
    """Return what must stay together: stocks with their flows, variables with their constants."""
    own = set(names)
    atoms: dict[str, set[str]] = {}
    placed: set[str] = set()
    for name in names:
        if structure.kind(name) == "stock":
            atoms[name] = _with_flows(structure, name, own)
            placed |= atoms[name]
    for name in names:
        if name not in placed and structure.kind(name) not in _GIVEN:
            atoms[name] = {name}
            placed.add(name)
    for name in names:
        if name not in placed:
            users = [user for user in structure.users(name) if user in own]
            home = next((atom for atom in atoms.values() if set(users[:1]) & atom), None)
            if home is None:
                atoms[name] = {name}
            else:
                home.add(name)
    return list(atoms.values())


def _with_flows(structure: Structure, stock: str, own: set[str]) -> set[str]:
    """Return a stock and its flows; those of another group only if there is room for them."""
    flows = [flow for flow, _ in structure.flows[stock] if structure.kind(flow) != "stock"]
    atom = {stock, *(flow for flow in flows if flow in own)}
    for flow in flows:
        if len(structure.words(atom | {flow})) <= MAX_WORDS:
            atom.add(flow)
    return atom
