"""Measures what one operation on eight lanes costs, and the bound that follows for a model."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.sd.kernel.llvm_math import GROUPED, TOGETHER, V, prelude, splat
from kuzbass.sd.kernel.machine import Code, compile_text

if TYPE_CHECKING:
    from kuzbass.sd.kernel.plan import Plan

OPERATIONS = ("add", "mul", "abs", "min", "select", "div", "sqrt", "exp", "ln", "pow")
CHAINS = 12  # independent operations in flight: enough to hide the latency of all of them
# Operations of the flat form -> the measured one that stands for it.
CLASS = {"sub": "add", "neg": "abs", "max": "min", "lt": "select", "le": "select", "gt": "select",
         "ge": "select", "eq": "select", "ne": "select", "float": "select", "and": "abs",
         "or": "abs", "not": "abs", "trunc": "abs", "mod": "div", "table": "pow"}


def measure(op: str, repeats: int = 5000, tries: int = 40) -> float:
    """Return nanoseconds per operation on eight lanes, the smallest of `tries`."""
    code = Code(compile_text(_loop(op)))
    memory = np.full(8 * CHAINS + 8, 1.01)
    memory = memory[-memory.ctypes.data % 64 // 8:]
    best = np.inf
    for _ in range(tries):
        begin = time.perf_counter()
        code.run(0, 0, repeats, memory.ctypes.data)
        best = min(best, time.perf_counter() - begin)
    return best / repeats / CHAINS * 1e9


def bound(plan: Plan, cost: dict[str, float]) -> tuple[float, Counter[str]]:
    """Return nanoseconds per step of eight runs below which no code can go, and the operations.

    Functions follow one another; the divider works beside the other units.
    """
    count: Counter[str] = Counter()
    for nodes, weight in ((plan.core, 1.0), (plan.extra, 1.0 / plan.spec.save_every)):
        for node in nodes:
            op = plan.graph[node][0]
            if op not in {"state", "path", "scalar"}:
                count[CLASS.get(op, op)] += weight
    count["add"] += len(plan.states)  # state + step * rate
    functions = sum(count[op] * cost[op] for op in (*GROUPED, "sin", "cos") if op in cost)
    divisions = count["div"] * cost["div"] + count["sqrt"] * cost["sqrt"]
    rest = sum(count[op] * cost[op] for op in ("add", "mul", "abs", "min", "select"))
    return functions + max(divisions, rest), count


def _loop(op: str) -> str:
    lines = ["define void @run(ptr %a, i64 %first, i64 %end, ptr %w) {", "entry:"]
    for chain in range(CHAINS):
        lines += [f"  %p{chain} = getelementptr {V}, ptr %w, i64 {chain}",
                  f"  %s{chain} = load {V}, ptr %p{chain}, align 64"]
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%n, %loop]"]
    lines += [f"  %x{c} = phi {V} [%s{c}, %entry], [%y{c}, %loop]" for c in range(CHAINS)]
    lines += _grouped(op) if op in GROUPED else [
        line for chain in range(CHAINS) for line in _single(op, f"%x{chain}", f"%y{chain}")]
    lines += ["  %n = add i64 %i, 1", "  %c = icmp ult i64 %n, %end",
              "  br i1 %c, label %loop, label %done", "done:"]
    lines += [f"  store {V} %y{c}, ptr %p{c}, align 64" for c in range(CHAINS)]
    text = "\n".join([*lines, "  ret void", "}"])
    return f"{prelude(text)}\n{text}"


def _single(op: str, x: str, y: str) -> list[str]:
    one = splat(1.0000001)
    if op in {"add", "mul"}:
        return [f"  {y} = f{op} {V} {x}, {one}"]
    if op == "div":
        return [f"  {y} = fdiv {V} {one}, {x}"]
    if op in {"min", "select"}:
        other = x if op == "min" else one
        return [f"  {y}.m = fcmp olt {V} {x}, {splat(1.5)}",
                f"  {y} = select <8 x i1> {y}.m, {V} {splat(1.5) if op == 'min' else other}, "
                f"{V} {x}"]
    name = {"abs": "llvm.fabs.v8f64", "sqrt": "llvm.sqrt.v8f64"}.get(op, op)
    return [f"  {y} = call {V} @{name}({V} {x})"]


def _grouped(op: str) -> list[str]:
    """Print calls as the kernel does: several at once; results are brought back near one."""
    kind = "{" + ", ".join([V] * TOGETHER) + "}"
    lines = []
    for first in range(0, CHAINS, TOGETHER):
        group = range(first, first + TOGETHER)
        second = f", {V} {splat(1.3)}" if op == "pow" else ""
        inputs = ", ".join(f"{V} %x{chain}{second}" for chain in group)
        lines.append(f"  %g{first} = call {kind} @{op}.{TOGETHER}({inputs})")
        for place, chain in enumerate(group):
            lines += [f"  %e{chain} = extractvalue {kind} %g{first}, {place}",
                      f"  %y{chain} = call {V} @llvm.fma.v8f64({V} %e{chain}, "
                      f"{V} zeroinitializer, {V} {splat(1.01)})"]
    return lines
