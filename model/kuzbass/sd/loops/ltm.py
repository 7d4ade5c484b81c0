"""Loops That Matter: which feedback loops make the behaviour of a run, step by step.

Schoenberg, Davidsen and Eberlein (2020), System Dynamics Review 36:158-190.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from kuzbass.errors import InputError
from kuzbass.sd.loops.causal import feedback_parts, link_polarity
from kuzbass.sd.loops.links import collapse, interaction, link_scores, strongest
from kuzbass.sd.loops.result import Loop, LoopScores, Part
from kuzbass.sd.loops.search import all_loops, search_strongest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun
    from kuzbass.sd.loops.links import Rule
    from kuzbass.sd.loops.result import Polarity
    from kuzbass.sd.loops.search import Path
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["loops_that_matter"]

# Confidence from which a loop counts as of one polarity, as published.
_CLEAR = 0.99


def loops_that_matter(
    expanded: ExpandedRun,
    *,
    names: Mapping[str, Sequence[Edge]] | None = None,
    rule: Rule = "2023",
    limit: int = 1000,
    searches: int = 72,
    keep: float = 1e-3,
) -> LoopScores:
    """Score the feedback loops of a run.

    All loops of a part are enumerated if there are at most `limit`.  Of a larger part the
    strongest paths are searched, from every variable where paths meet, at `searches` times
    spread evenly over the run; a loop found enters with its scores at every step.

    Parameters
    ----------
    expanded : ExpandedRun
        From `kuzbass.sd.loops.expansion.expand`.
    names : mapping of str to sequence of (cause, effect), optional
        Names for loops, each with the links that tell its loops from others: a loop that holds
        all of them carries the name.  If several fit, the one with most links does.  Links that
        form a whole loop, in order, name that loop, and it is scored whatever a search finds.
    rule : {"2023", "2020"}
        See `kuzbass.sd.loops.links.link_scores`.
    limit : int
        Most loops of a part to enumerate.
    searches : int
        Most times of the strongest-path search.
    keep : float
        Smallest share, of all loop scores found at a time, of a loop that is kept.

    Returns
    -------
    LoopScores
        Says of each part whether its loops are complete.

    Raises
    ------
    InputError
        A name for a link that the model does not have, or an argument out of range.
    """
    _check_arguments(limit, searches, keep)
    links = collapse(expanded, link_scores(expanded, rule), strongest)
    labels = _checked_names(expanded.model, names or {}, links)
    states = expanded.states()
    time = expanded.time[1:]
    polarity = link_polarity(expanded)
    pinned = [path for path in labels.values() if _closes(path)]
    groups = [_part(number, members, links, states, time, pinned, limit, searches, keep)
              for number, members in enumerate(feedback_parts(links, states), start=1)]
    namer = _Namer(labels, states)
    loops: list[Loop] = []
    for group in groups:
        for row in group.order:
            loops.append(_loop(expanded, group, int(row), loops, namer, polarity))
    inside = {name for group in groups for name in group.part.variables} & set(expanded.nodes)
    rest = interaction(expanded, sorted(inside))
    return LoopScores(
        model=expanded.model.path.name, rule=rule, time_step=expanded.time_step, time=time,
        parts=tuple(group.part for group in groups), loops=tuple(loops),
        complete=all(group.part.complete for group in groups),
        links={edge: links[edge] for group in groups for edge in group.edges},
        interaction={name: float(np.mean(np.abs(part) > 0.2)) for name, part in rest.items()},
        unused_names=tuple(name for name in labels if name not in namer.used),
        _magnitude=_stack([group.magnitude[group.order] for group in groups], len(time)),
        _relative=_stack([group.relative[group.order] for group in groups], len(time)),
    )


@dataclass(frozen=True)
class _Group:
    """The loops of one part: `order` sorts the rows by what they matter."""

    part: Part
    edges: tuple[Edge, ...]
    loops: list[Path]
    magnitude: Array
    relative: Array
    share: Array
    order: NDArray[np.intp]


def _part(
    number: int,
    members: list[str],
    links: Mapping[Edge, Array],
    states: set[str],
    time: Array,
    pinned: Sequence[Path],
    limit: int,
    searches: int,
    keep: float,
) -> _Group:
    inside = set(members)
    edges = tuple(edge for edge in links if inside.issuperset(edge))
    scores = np.array([links[edge] for edge in edges])
    loops = all_loops(edges, limit)
    searched: tuple[float, ...] = ()
    kept = coverage = 1.0
    complete = loops is not None
    if loops is None:
        steps = np.unique(np.linspace(0, len(time) - 1, searches).round().astype(int))
        loops, kept, coverage = search_strongest(
            {edge: links[edge] for edge in edges}, steps.tolist(), keep)
        known = {frozenset(loop) for loop in loops}
        loops += [path for path in pinned
                  if inside.issuperset(path[0]) and frozenset(path) not in known]
        searched = tuple(time[steps].tolist())
    magnitude, relative = _loop_scores(edges, scores, loops)
    active = max(1, int(np.any(relative != 0.0, axis=0).sum()))
    share = np.abs(relative).sum(axis=1) / active
    part = Part(number, tuple(members), tuple(name for name in members if name in states),
                len(loops), complete, searched, kept, coverage)
    return _Group(part, edges, loops, magnitude, relative, share,
                  np.argsort(-share, kind="stable"))


def _closes(path: Path) -> bool:
    """Say whether links in order form one loop."""
    causes = [cause for cause, _ in path]
    effects = [effect for _, effect in path]
    return effects == [*causes[1:], causes[0]] and len(set(causes)) == len(causes)


def _loop_scores(
    edges: Sequence[Edge], scores: Array, loops: Sequence[Path]
) -> tuple[Array, Array]:
    """Return the logarithms of the loop scores' magnitudes and the relative loop scores.

    Both have the shape (loops, steps).  Products of many links may pass what a number holds, so
    only their logarithms are formed.
    """
    number = {edge: position for position, edge in enumerate(edges)}
    columns = [number[edge] for loop in loops for edge in loop]
    starts = np.cumsum([0, *(len(loop) for loop in loops)])
    holds = csr_array((np.ones(len(columns)), columns, starts), shape=(len(loops), len(edges)))
    with np.errstate(divide="ignore"):
        magnitude = holds @ np.log(np.abs(scores))
    sign = 1.0 - 2.0 * ((holds @ (scores < 0.0).astype(float)) % 2.0)
    top = magnitude.max(axis=0)
    part = np.exp(magnitude - np.where(np.isfinite(top), top, 0.0))
    total = part.sum(axis=0)
    return magnitude, sign * part / np.where(total > 0.0, total, 1.0)


def _stack(blocks: list[Array], width: int) -> Array:
    return np.concatenate([np.empty((0, width)), *blocks])


def _loop(
    expanded: ExpandedRun,
    group: _Group,
    row: int,
    before: Sequence[Loop],
    namer: _Namer,
    polarity: Mapping[Edge, str],
) -> Loop:
    path = namer.rotated(group.loops[row])
    relative = group.relative[row]
    reinforcing = float(relative[relative > 0.0].sum())
    balancing = float(-relative[relative < 0.0].sum())
    kind, confidence = _runtime_polarity(reinforcing, balancing)
    letter = "X" if kind == "-" else kind[0]
    alike = sum(loop.id.startswith(letter) for loop in before)
    states = tuple(cause for cause, _ in path if cause in namer.states)
    name, named = namer.name(path, states)
    delay = sum(expanded.macros[state].delay for state in states if state in expanded.macros)
    return Loop(f"{letter}{alike + 1}", name, named, group.part.number, kind, confidence,
                _structure(polarity[edge] for edge in path), float(group.share[row]), delay,
                states, tuple(cause for cause, _ in path))


def _runtime_polarity(reinforcing: float, balancing: float) -> tuple[Polarity, float]:
    total = reinforcing + balancing
    if total == 0.0:
        return "-", 0.0
    confidence = abs(reinforcing - balancing) / total
    if confidence == 1.0:
        return ("R" if reinforcing > 0.0 else "B"), confidence
    if confidence > _CLEAR:
        return ("Ru" if reinforcing > balancing else "Bu"), confidence
    return "U", confidence


def _structure(polarities: Iterable[str]) -> str:
    signs = list(polarities)
    if "+-" in signs:
        return "+-"
    if "0" in signs:
        return "0"
    return "-" if signs.count("-") % 2 else "+"


class _Namer:
    """Names loops by the given names or by their states, each name but the given ones once."""

    def __init__(self, labels: Mapping[str, Sequence[Edge]], states: set[str]) -> None:
        # The name with most links comes first.
        self.labels = sorted(labels.items(), key=lambda label: -len(label[1]))
        self.states = states
        self.used: set[str] = set()
        self.times: dict[str, int] = {}

    def rotated(self, path: Path) -> Path:
        """Begin a loop at the first of its states in the alphabet."""
        first = min(range(len(path)),
                    key=lambda position: (path[position][0] not in self.states, path[position]))
        return path[first:] + path[:first]

    def name(self, path: Path, states: Sequence[str]) -> tuple[str, bool]:
        links = set(path)
        for label, needed in self.labels:
            if links.issuperset(needed):
                self.used.add(label)
                return label, True
        shown = states if len(states) <= 4 else [*states[:3], f"{len(states) - 3} more"]
        name = " - ".join(shown)
        self.times[name] = self.times.get(name, 0) + 1
        return (name if self.times[name] == 1 else f"{name} ({self.times[name]})"), False


def _check_arguments(limit: int, searches: int, keep: float) -> None:
    if limit < 1:
        raise InputError("is too small", key="limit", value=limit, allowed="1 or more")
    if searches < 1:
        raise InputError("is too small", key="searches", value=searches, allowed="1 or more")
    if not 0.0 <= keep < 1.0:
        raise InputError("is not a share", key="keep", value=keep, allowed="0 to below 1")


def _checked_names(
    model: Model, names: Mapping[str, Sequence[Edge]], links: Mapping[Edge, Array]
) -> dict[str, tuple[Edge, ...]]:
    checked = {}
    for label, edges in names.items():
        if not edges:
            raise InputError("a name needs the links of its loop", key=label)
        written = tuple((model.name(cause), model.name(effect)) for cause, effect in edges)
        for cause, effect in written:
            if (cause, effect) not in links:
                causes = [source for source, target in links if target == effect]
                raise InputError("there is no such link", key=label,
                                 value=f"{cause} -> {effect}",
                                 allowed=f"causes of {effect}: {', '.join(causes) or 'none'}")
        checked[label] = written
    return checked
