"""A part of a model that stands alone, to measure what depends on the number of equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuzbass.sd import graph
from kuzbass.sd.kernel import compile_model

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model


def part_of(model: Model, equations: int) -> str:
    """Return the text of an .mdl file with the first equations of `model`, `equations` in all.

    What the rest of the model computes for them is constant, at its value at the start.
    """
    start = compile_model(model).run()
    controls = [name for name, one in model.variables.items() if one.kind == "control"]
    names = [name for name in model.variables if name not in controls]
    used = {name: {*graph.references(model.equations[name].ast, model.index)} & {*names}
            for name in names}
    kept = next(kept for kept in range(len(names), 0, -1)
                if len(_closed(names[:kept], used)) + len(controls) <= equations)
    outside = _closed(names[:kept], used) - {*names[:kept]}
    lines = [_entry(model, name, model.equations[name].text) for name in [*names[:kept], *controls]]
    for name in sorted(outside):
        whole = model.variables[name].kind in {"lookup", "constant"}
        lines.append(_entry(model, name, model.equations[name].text if whole
                            else f"{name} = {float(start[name][0, 0])!r}"))
    return "{UTF-8}\n" + "\n".join(lines) + "\n"


def _closed(names: list[str], used: dict[str, set[str]]) -> set[str]:
    return {*names}.union(*(used[name] for name in names))


def _entry(model: Model, name: str, equation: str) -> str:
    variable = model.variables[name]
    return f"{equation}\n\t~\t{variable.unit}\n\t~\t{variable.comment}\n\t|"
