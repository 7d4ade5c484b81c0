"""Link scores: how much of a variable's change each of its inputs made.

Schoenberg, Davidsen and Eberlein (2020), System Dynamics Review 36:158-190; links from flows to
stocks after Schoenberg, Hayward and Eberlein (2023), System Dynamics Review 39:140-151.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun, Node

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["Rule", "causal_links", "collapse", "interaction", "link_scores", "strongest"]

Rule = Literal["2023", "2020"]

# Changes below this share of the value are rounding.
_NOISE = 1e-12


def link_scores(expanded: ExpandedRun, rule: Rule = "2023") -> dict[Edge, Array]:
    """Return the score of every link of the expanded model.

    For z = f(x, y, ...) the score of x is the part of the change of z that the change of x alone
    makes, the other inputs held at their values before: |f(x1, y0) - z0| / |z1 - z0|, with the
    sign of (f(x1, y0) - z0) / (x1 - x0).  For a stock, z is its rate of change.

    Parameters
    ----------
    expanded : ExpandedRun
        From `kuzbass.sd.loops.expansion.expand`.
    rule : {"2023", "2020"}
        How a flow is scored in its stock: by the change of the flow over the change of the net
        flow, or, as first published, by the flow over the net flow at the start of the step.

    Returns
    -------
    dict of (cause, effect) to array, shape (t - 1,)
        The scores of the steps, by the time at which a step ends.
    """
    scores: dict[Edge, Array] = {}
    for node in expanded.nodes.values():
        if node.rule is None:
            continue
        if rule == "2020" and node.kind == "stock":
            scores.update(_flow_shares(expanded, node))
        else:
            for cause, (partial, change) in _partials(expanded, node).items():
                scores[cause, node.name] = _score(expanded, cause, partial, change)
    return scores


def interaction(expanded: ExpandedRun, targets: Iterable[str]) -> dict[str, Array]:
    """Return the part of each target's change that no single input makes.

    One minus the sum of the inputs' parts; zero in a step without change.  It is large where a
    limit or a choice switches within a step, so that the scores of that step do not add up.

    Returns
    -------
    dict of str to array, shape (t - 1,)
        By the name of the target.
    """
    rest = {}
    for name in targets:
        partials = _partials(expanded, expanded.nodes[name])
        if partials:
            total = np.sum([partial for partial, _ in partials.values()], axis=0)
            change = next(iter(partials.values()))[1]
            rest[name] = np.where(change == 0.0, 0.0, 1.0 - _ratio(total, change))
    return rest


def causal_links(expanded: ExpandedRun) -> dict[Edge, Array]:
    """Return the sign of the derivative of every link along the run.

    Returns
    -------
    dict of (cause, effect) to array, shape (t,)
        By central differences: 1, -1, or 0 where the effect does not respond: a limit that
        does not bind, a flat table.
    """
    signs: dict[Edge, Array] = {}
    for node in expanded.nodes.values():
        if node.rule is None:
            continue
        for cause in node.rule.inputs:
            path = expanded.paths[cause]
            nudge = 1e-4 * np.maximum(np.abs(path), max(float(np.mean(np.abs(path))), 1e-9))
            inputs = {name: expanded.paths[name] for name in node.rule.inputs}
            above = node.rule({**inputs, cause: path + nudge})
            below = node.rule({**inputs, cause: path - nudge})
            noise = _NOISE * (np.abs(above) + np.abs(below))
            signs[cause, node.name] = np.where(
                np.abs(above - below) > noise, np.sign(above - below), 0.0)
    return signs


def collapse(
    expanded: ExpandedRun,
    links: Mapping[Edge, Array],
    combine: Callable[[Iterable[Array]], Array],
) -> dict[Edge, Array]:
    """Replace every stateful function by direct links from its inputs to its output.

    Loops wholly inside of a function disappear.  A link through it gets the value that `combine`
    makes of the products along the paths inside.
    """
    owner = {part: output for output, macro in expanded.macros.items()
             for part in (*macro.hidden, output)}
    inside: dict[str, list[Edge]] = {output: [] for output in expanded.macros}
    result: dict[Edge, Array] = {}
    for cause, effect in links:
        if effect in owner:
            inside[owner[effect]].append((cause, effect))
        else:
            result[cause, effect] = links[cause, effect]
    for output, edges in inside.items():
        graph = nx.DiGraph(list(edges))
        for cause in dict.fromkeys(cause for cause, _ in edges if owner.get(cause) != output):
            # The other inputs are no part of the function.
            others = {other for other, _ in edges if owner.get(other) != output} - {cause}
            own = graph.subgraph(set(graph) - others)
            result[cause, output] = combine(
                [_product([links[edge] for edge in pairwise(path)])
                 for path in nx.all_simple_paths(own, cause, output)])
    return result


def strongest(paths: Iterable[Array]) -> Array:
    """Return, step by step, the path score of largest magnitude."""
    stack = np.array(list(paths))
    chosen = np.abs(stack).argmax(axis=0)
    result: Array = stack[chosen, np.arange(stack.shape[1])]
    return result


def _product(factors: Iterable[Array]) -> Array:
    result: Array = np.prod(np.array(list(factors)), axis=0)
    return result


def _partials(expanded: ExpandedRun, node: Node) -> dict[str, tuple[Array, Array]]:
    """Return, by input, the change that it makes alone, and the whole change of the target."""
    if node.rule is None:
        return {}
    shape = expanded.time.shape
    inputs = {name: expanded.paths[name] for name in node.rule.inputs}
    target = np.broadcast_to(node.rule(inputs), shape)
    before = {name: path[:-1] for name, path in inputs.items()}
    after = {name: path[1:] for name, path in inputs.items()}
    change = np.diff(target)
    noise = _NOISE * np.maximum(1.0, np.maximum(np.abs(target[1:]), np.abs(target[:-1])))
    change = np.where(np.abs(change) <= noise, 0.0, change)
    partials = {}
    for cause in inputs:
        alone = np.broadcast_to(node.rule({**before, cause: after[cause]}), change.shape)
        # Where a mix of old and new values has no value, the input changes last instead.
        last = np.broadcast_to(node.rule({**after, cause: before[cause]}), change.shape)
        partial = np.where(np.isfinite(alone), alone - target[:-1], target[1:] - last)
        partials[cause] = np.where(np.isfinite(partial), partial, 0.0), change
    return partials


def _score(expanded: ExpandedRun, cause: str, partial: Array, change: Array) -> Array:
    moved = np.diff(expanded.paths[cause])
    size = np.where(moved == 0.0, 0.0, np.abs(_ratio(partial, change)))
    return size * np.sign(partial) * np.sign(moved)


def _flow_shares(expanded: ExpandedRun, node: Node) -> dict[Edge, Array]:
    """Score the links into a stock by the rule of 2020."""
    assert node.rule is not None
    net = np.broadcast_to(node.rule(expanded.paths), expanded.time.shape)[:-1]
    if node.flows is None:
        # The whole rate is one flow, which then is the net flow.
        return {(cause, node.name): np.where(net == 0.0, 0.0, _score(expanded, cause, *pair))
                for cause, pair in _partials(expanded, node).items()}
    return {(flow, node.name): sign * np.abs(_ratio(expanded.paths[flow][:-1], net))
            for flow, sign in node.flows}


def _ratio(numerator: Array, denominator: Array) -> Array:
    zero = denominator == 0.0
    return np.where(zero, 0.0, numerator / np.where(zero, 1.0, denominator))

