"""The overview of a model: its sectors with their stocks and main outputs, and what links them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

from kuzbass.sd import graph
from kuzbass.sd.diagram import CANVAS, LINE, Arrow, Box, Diagram, Points, cross, faults, path
from kuzbass.sd.views import Structure

__all__ = ["OVERVIEW", "sector_links", "sector_map"]

OVERVIEW = "Overview"
_TOP = 50  # room for the heading
_GAP = (90, 42)  # between frames
_ROW = 20  # height of a word
_MIN_LINKS = 2  # thinner links would hide the thick ones
_SAGITTA = 0.05

Cell = tuple[int, int]


def sector_links(structure: Structure) -> Counter[tuple[str, str]]:
    """Count the links from the variables of one group to those of another.

    Groups that hold only constants take no part: they are shown where they act.
    """
    groups = _sectors(structure)
    links: Counter[tuple[str, str]] = Counter()
    for cause, effect in structure.graph.edges:
        if cause != graph.TIME:
            pair = (structure.model.variables[cause].group,
                    structure.model.variables[effect].group)
            if pair[0] != pair[1] and pair[0] in groups and pair[1] in groups:
                links[pair] += 1
    return links


def sector_map(structure: Structure) -> Diagram:
    """Draw every sector as a frame and the strongest links that do not cross.

    A frame lists, as shadows, the stocks of the sector and then its other variables that are
    used most in other sectors, as far as there is room.
    """
    groups = _sectors(structure)
    links = sector_links(structure)
    columns = math.ceil(math.sqrt(len(groups)))
    rows = math.ceil(len(groups) / columns)
    pitch = (CANVAS[0] // columns, (CANVAS[1] - _TOP) // rows)
    half = (pitch[0] // 2 - _GAP[0] // 2, pitch[1] // 2 - _GAP[1] // 2)
    cells = _arrange(groups, links, list(product(range(columns), range(rows))))
    frames, words = [], []
    for group, (column, row) in zip(groups, cells, strict=True):
        x = pitch[0] * column + pitch[0] // 2
        y = _TOP + pitch[1] * row + pitch[1] // 2
        frames.append(Box(group, "frame", x, y, *half, (group,)))
        room = (2 * half[1] - 2 * _ROW) // _ROW
        for place, name in enumerate(_main_words(structure, group)[:room]):
            words.append(Box(name, "shadow", x, y - half[1] + 2 * _ROW + _ROW * place,
                             min(half[0] - 2, 3 * len(name) + 6), _ROW // 2 - 1, (name,)))
    heading = Box(OVERVIEW, "text", CANVAS[0] // 2, _TOP // 2, 500, LINE + 1,
                  ("Sectors: stocks and main outputs; an arrow is thick where many links run",))
    empty = Diagram(OVERVIEW, heading.lines[0], (*frames, heading), (), ())
    arrows = _arrows(empty, groups, links)
    return Diagram(OVERVIEW, empty.heading, (*frames, *words), tuple(arrows), ())


def _sectors(structure: Structure) -> list[str]:
    return list(dict.fromkeys(
        variable.group for variable in structure.model.variables.values()
        if variable.kind in {"stock", "auxiliary"}))


def _main_words(structure: Structure, group: str) -> list[str]:
    """Return the stocks of a group and then its other outputs, the most used ones first."""
    variables = structure.model.variables
    outside = {name: sum(variables[user].group != group for user in structure.users(name))
               for name, variable in variables.items() if variable.group == group
               and variable.kind in {"stock", "auxiliary"}}
    return sorted(outside, key=lambda name: (variables[name].kind != "stock", -outside[name],
                                           structure.order[name]))


def _arrange(
    groups: Sequence[str], links: Mapping[tuple[str, str], int], cells: Sequence[Cell]
) -> list[Cell]:
    """Put sectors that are linked strongly side by side; swap pairs as long as that helps."""
    spare = [f"\0{number}" for number in range(len(cells) - len(groups))]
    names = [*groups, *spare]
    place = dict(zip(names, cells, strict=True))

    def pull(name: str) -> float:
        return sum(links.get((name, other), 0) * _near(place[name], place[other])
                   + links.get((other, name), 0) * _near(place[name], place[other])
                   for other in groups if other != name)

    better = True
    while better:
        better = False
        for one, other in combinations(names, 2):
            before = pull(one) + pull(other)
            place[one], place[other] = place[other], place[one]
            if pull(one) + pull(other) > before + 1e-9:
                better = True
            else:
                place[one], place[other] = place[other], place[one]
    return [place[group] for group in groups]


def _near(one: Cell, other: Cell) -> float:
    """Return how well a link between two cells can be drawn."""
    across, down = abs(one[0] - other[0]), abs(one[1] - other[1])
    if max(across, down) > 1:
        return 0.0
    return 1.0 if across + down == 1 else 0.7


def _arrows(
    empty: Diagram, groups: Sequence[str], links: Mapping[tuple[str, str], int]
) -> list[Arrow]:
    """Add arrows from the strongest link on, each only if it crosses nothing."""
    arrows: list[Arrow] = []
    lines: list[Points] = []
    for (cause, effect), weight in sorted(links.items(), key=lambda item: (-item[1], item[0])):
        if weight < _MIN_LINKS:
            break
        source, target = groups.index(cause), groups.index(effect)
        a, b = empty.boxes[source], empty.boxes[target]
        control = (round((a.x + b.x) / 2 - _SAGITTA * (b.y - a.y)),
                   round((a.y + b.y) / 2 + _SAGITTA * (b.x - a.x)))
        arrow = Arrow(source, target, control, weight=weight)
        line = path(empty, arrow)
        if not faults(replace(empty, arrows=(arrow,))).arrow_box and not any(
                cross(line, other) for other in lines):
            arrows.append(arrow)
            lines.append(line)
    return arrows
