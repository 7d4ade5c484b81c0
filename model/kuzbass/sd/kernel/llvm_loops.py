"""LLVM text of the loops over blocks of eight runs and over steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuzbass.sd.kernel.llvm_layout import LANES
from kuzbass.sd.kernel.llvm_math import V, number, splat

if TYPE_CHECKING:
    from kuzbass.sd.kernel.llvm_layout import Layout
    from kuzbass.sd.kernel.plan import Plan

__all__ = ["ARGUMENTS", "print_loops"]

# The arguments of @run, 64-bit whole numbers in this order.
ARGUMENTS = ("inputs", "tables", "series", "outputs", "flags", "row_bytes", "output_bytes")

_FILL = f"""
define internal void @fill(ptr %to, {V} %value, i64 %count) noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %p = getelementptr {V}, ptr %to, i64 %i
  store {V} %value, ptr %p, align 64
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def _lines_of_delays(plan: Plan, layout: Layout) -> str:
    """Print how a DELAY FIXED moves on: its input enters the line, the oldest value leaves."""
    text = []
    for place, first in layout.lines.items():
        length = plan.states[place].length
        text.append(f"""
  %in.p{place} = getelementptr {V}, ptr %work, i64 {first}
  %in{place} = load {V}, ptr %in.p{place}, align 64
  %line{place} = getelementptr {V}, ptr %work, i64 {first + 1}
  %slot{place} = urem i64 %k, {length}
  %to{place} = getelementptr {V}, ptr %line{place}, i64 %slot{place}
  store {V} %in{place}, ptr %to{place}, align 64
  %later{place} = urem i64 %k1, {length}
  %from{place} = getelementptr {V}, ptr %line{place}, i64 %later{place}
  %old{place} = load {V}, ptr %from{place}, align 64
  %nxt.p{place} = getelementptr {V}, ptr %nxt, i64 {place}
  store {V} %old{place}, ptr %nxt.p{place}, align 64""")
    return "".join(text)


def _driver(plan: Plan, layout: Layout, call: str, rates: str, per_step: int) -> str:
    """Print ``@run``: all blocks of eight runs from %first to %end, and all steps of each."""
    spec = plan.spec
    count = len(plan.scalars) + len(plan.paths)
    fields = "\n".join(
        f"  %{name}.p = getelementptr i64, ptr %args, i64 {place}\n"
        f"  %{name} = load {'i64' if name.endswith('bytes') else 'ptr'}, ptr %{name}.p, align 8"
        for place, name in enumerate(ARGUMENTS))
    table_count = len(plan.tables)
    return f"""
define internal void @place_inputs(ptr %from, ptr %to, i64 %block) noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %body]
  %more = icmp ult i64 %i, {count}
  br i1 %more, label %body, label %done
body:
  %three = mul i64 %i, 3
  %a = getelementptr i64, ptr %from, i64 %three
  %base = load i64, ptr %a, align 8
  %b = getelementptr i64, ptr %a, i64 1
  %stride = load i64, ptr %b, align 8
  %c = getelementptr i64, ptr %a, i64 2
  %row = load i64, ptr %c, align 8
  %offset = mul i64 %stride, %block
  %here = add i64 %base, %offset
  %two = mul i64 %i, 2
  %d = getelementptr i64, ptr %to, i64 %two
  store i64 %here, ptr %d, align 8
  %e = getelementptr i64, ptr %d, i64 1
  store i64 %row, ptr %e, align 8
  %next = add i64 %i, 1
  br label %loop
done:
  ret void
}}

define internal void @place_tables(ptr %from, ptr %to, i64 %block) noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %body]
  %more = icmp ult i64 %i, {table_count}
  br i1 %more, label %body, label %done
body:
  %five = mul i64 %i, 5
  %f = getelementptr i64, ptr %from, i64 %five
  %t = getelementptr i64, ptr %to, i64 %five
  %stride.p = getelementptr i64, ptr %f, i64 4
  %stride = load i64, ptr %stride.p, align 8
  %lane = mul i64 %stride, %block
  %offset = mul i64 %lane, {8 * LANES}
  %x = load i64, ptr %f, align 8
  store i64 %x, ptr %t, align 8
  %y.p = getelementptr i64, ptr %f, i64 1
  %y0 = load i64, ptr %y.p, align 8
  %y = add i64 %y0, %offset
  %y.t = getelementptr i64, ptr %t, i64 1
  store i64 %y, ptr %y.t, align 8
  %s.p = getelementptr i64, ptr %f, i64 2
  %s0 = load i64, ptr %s.p, align 8
  %s = add i64 %s0, %offset
  %s.t = getelementptr i64, ptr %t, i64 2
  store i64 %s, ptr %s.t, align 8
  %n.p = getelementptr i64, ptr %f, i64 3
  %n = load i64, ptr %n.p, align 8
  %n.t = getelementptr i64, ptr %t, i64 3
  store i64 %n, ptr %n.t, align 8
  %stride.t = getelementptr i64, ptr %t, i64 4
  store i64 %stride, ptr %stride.t, align 8
  %next = add i64 %i, 1
  br label %loop
done:
  ret void
}}

define void @run(ptr noalias %args, i64 %first, i64 %end, ptr noalias %work) {{
entry:
{fields}
  %here.inputs = alloca i64, i64 {2 * count + 2}, align 8
  %here.tables = alloca i64, i64 {5 * table_count + 1}, align 8
  %statesA = getelementptr {V}, ptr %work, i64 {layout.states}
  %statesB = getelementptr {V}, ptr %work, i64 {layout.following}
  br label %block
block:
  %b = phi i64 [%first, %entry], [%b1, %flagged]
  %more = icmp ult i64 %b, %end
  br i1 %more, label %begin, label %done
begin:
  call void @place_inputs(ptr %inputs, ptr %here.inputs, i64 %b)
  call void @place_tables(ptr %tables, ptr %here.tables, i64 %b)
  call void @start(ptr %here.inputs, ptr %here.tables, ptr %work)
  %lanes = mul i64 %b, {8 * LANES}
  %out0 = getelementptr i8, ptr %outputs, i64 %lanes
  br label %moment
moment:
  %k = phi i64 [0, %begin], [%k1, %advanced]
  %cur = phi ptr [%statesA, %begin], [%nxt, %advanced]
  %nxt = phi ptr [%statesB, %begin], [%cur, %advanced]
  %row = mul i64 %k, {per_step}
  %series.offset = mul i64 %row, {len(plan.columns)}
  %here.series = getelementptr double, ptr %series, i64 %series.offset
  %phase = urem i64 %k, {spec.save_every}
  %saved = icmp eq i64 %phase, 0
  %save.row = udiv i64 %k, {spec.save_every}
  %save.offset = mul i64 %save.row, %row_bytes
  %out = getelementptr i8, ptr %out0, i64 %save.offset
{rates}
  br i1 %saved, label %saving, label %passing
saving:
{call.format(name="save")}
  br label %move
passing:
{call.format(name="step")}
  br label %move
move:
  %k1 = add i64 %k, 1
  %last = icmp eq i64 %k, {spec.steps}
  br i1 %last, label %finished, label %going
going:
{_rk4_advance(plan, layout) if spec.method == "rk4" else _lines_of_delays(plan, layout)}
  br label %advanced
advanced:
  br label %moment
finished:
  br label %flag
flag:
  %i = phi i64 [0, %finished], [%i1, %flag.more]
  %sum = phi {V} [zeroinitializer, %finished], [%sum1, %flag.more]
  %some = icmp ult i64 %i, {len(plan.states)}
  br i1 %some, label %flag.more, label %flagged
flag.more:
  %s.p = getelementptr {V}, ptr %cur, i64 %i
  %s = load {V}, ptr %s.p, align 64
  %sum1 = call {V} @llvm.fma.v8f64({V} %s, {V} zeroinitializer, {V} %sum)
  %i1 = add i64 %i, 1
  br label %flag
flagged:
  %flag.p = getelementptr i8, ptr %flags, i64 %lanes
  store {V} %sum, ptr %flag.p, align 64
  %b1 = add i64 %b, 1
  br label %block
done:
  ret void
}}
"""


_CALL = ("  call void @{name}(ptr {cur}, ptr {nxt}, ptr %work, ptr {series}, "
         "ptr %here.inputs, ptr %here.tables, i64 {row}, ptr %out, i64 %output_bytes)")


def print_loops(plan: Plan, layout: Layout) -> str:
    """Return the text of ``@run`` and of what it calls besides the printed functions."""
    loops = _rk4_loops if plan.spec.method == "rk4" else _euler_loops
    return _FILL + loops(plan, layout)


def _euler_loops(plan: Plan, layout: Layout) -> str:
    call = _CALL.format(name="{name}", cur="%cur", nxt="%nxt", series="%here.series", row="%row")
    return _driver(plan, layout, call, "", 1)


def _rk4_loops(plan: Plan, layout: Layout) -> str:
    rates = f"  %rates = getelementptr {V}, ptr %work, i64 {layout.rates}"
    call = _CALL.format(name="{name}", cur="%cur", nxt="%rates", series="%here.series", row="%row")
    return _COMBINE + _driver(plan, layout, call, rates, 2)


def _rk4_advance(plan: Plan, layout: Layout) -> str:
    """Print the other three evaluations of a step; the first is done at every moment."""
    count, h = len(plan.states), plan.spec.time_step
    lines = [f"  %rate{stage} = getelementptr {V}, ptr %work, i64 {layout.rates + stage * count}"
             for stage in range(1, 4)]
    from_rate = ["%rates", "%rate1", "%rate2"]
    for stage, (shift, ahead) in enumerate([(h / 2.0, 1), (h / 2.0, 1), (h, 2)]):
        row, series = f"%row.{stage}", f"%series.{stage}"
        lines += [
            f"  call void @combine(ptr %nxt, ptr %cur, ptr {from_rate[stage]}, "
            f"double {number(shift)}, i64 {count})",
            f"  {row} = add i64 %row, {ahead}",
            f"  {series}.offset = mul i64 {row}, {len(plan.columns)}",
            f"  {series} = getelementptr double, ptr %series, i64 {series}.offset",
            _CALL.format(name="step", cur="%nxt", nxt=f"%rate{stage + 1}", series=series, row=row),
        ]
    lines.append(f"  call void @sum(ptr %nxt, ptr %cur, ptr %rates, double {number(h / 6.0)}, "
                 f"i64 {count})")
    return "\n".join(lines)


_SPREAD_H = f"""  %h0 = insertelement {V} poison, double %h, i32 0
  %hh = shufflevector {V} %h0, {V} poison, <8 x i32> zeroinitializer"""
_COMBINE = f"""
define internal void @combine(ptr %to, ptr %from, ptr %rate, double %h, i64 %count) noinline {{
entry:
{_SPREAD_H}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %body]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %a.p = getelementptr {V}, ptr %from, i64 %i
  %a = load {V}, ptr %a.p, align 64
  %r.p = getelementptr {V}, ptr %rate, i64 %i
  %r = load {V}, ptr %r.p, align 64
  %d = fmul {V} %hh, %r
  %s = fadd {V} %a, %d
  %t.p = getelementptr {V}, ptr %to, i64 %i
  store {V} %s, ptr %t.p, align 64
  %next = add i64 %i, 1
  br label %loop
done:
  ret void
}}

define internal void @sum(ptr %to, ptr %from, ptr %rates, double %h, i64 %count) noinline {{
entry:
{_SPREAD_H}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %body]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %a.p = getelementptr {V}, ptr %from, i64 %i
  %a = load {V}, ptr %a.p, align 64
  %p1 = getelementptr {V}, ptr %rates, i64 %i
  %p2 = getelementptr {V}, ptr %p1, i64 %count
  %p3 = getelementptr {V}, ptr %p2, i64 %count
  %p4 = getelementptr {V}, ptr %p3, i64 %count
  %r1 = load {V}, ptr %p1, align 64
  %r2 = load {V}, ptr %p2, align 64
  %r3 = load {V}, ptr %p3, align 64
  %r4 = load {V}, ptr %p4, align 64
  %m = fadd {V} %r2, %r3
  %m2 = fmul {V} %m, {splat(2.0)}
  %n = fadd {V} %r1, %m2
  %n2 = fadd {V} %n, %r4
  %d = fmul {V} %hh, %n2
  %s = fadd {V} %a, %d
  %t.p = getelementptr {V}, ptr %to, i64 %i
  store {V} %s, ptr %t.p, align 64
  %next = add i64 %i, 1
  br label %loop
done:
  ret void
}}
"""
