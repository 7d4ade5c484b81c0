"""exp, ln, power, sine, cosine and table reading as LLVM text on eight double lanes.

Only operations that IEEE 754 defines, and fused multiply-add where it is written: the results are
the same bits on every machine.  exp and ln reduce their argument by tables of eight numbers (Tang,
ACM TOMS 15 (1989) 144 and 16 (1990) 378), which fit a register, and leave the rest to a minimax
polynomial; nothing is divided.  The power keeps its logarithm in two doubles (Dekker's
arithmetic).  Errors are below one and a half units in the last place for exp, ln and powers that
are not extreme, and below a few for sine and cosine.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal, localcontext
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GROUPED", "TOGETHER", "V", "number", "prelude", "splat"]

GROUPED = ("exp", "ln", "pow")

V = "<8 x double>"
_I = "<8 x i64>"
_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it leaves a whole number in the low bits


def _bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


_MAGIC_BITS = _bits(_MAGIC)
# ln 2 and pi/2 in parts: the first parts have zeros at the end, so that whole multiples are exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2_E = 1.44269504088896338700e00
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
_SMALLEST = 2.2250738585072014e-308  # of the normal doubles
# (exp r - 1 - r) / r**2 for |r| <= ln 2 / 16, relative error 3e-18 of exp r.
_EXP = [0.50000000000003, 0.16666666666667407, 0.04166666656948055, 0.008333333316508616,
        0.0013889782709889356, 0.0001984247323401221]
# The bits of 2**(i/8) less i at the place where the exponent's eighths come in.
_ROOTS = [_bits(2.0 ** (i / 8)) - (i << 49) for i in range(8)]
# (ln(1 + r) - r) / r**2 for |r| <= 1/16, error 5e-18 of r.
_LOG = [-0.5000000000000008, 0.3333333333333367, -0.24999999999584563, 0.1999999999899091,
        -0.16666667265550456, 0.14285715309343985, -0.12499648755744404, 0.11110645875731391,
        -0.10089925600683664, 0.09188554188485334]
# A number z 2**n has z in one of eight intervals; z times the inverse of its interval is within
# 1/16 of one and exact after subtraction of one.  The interval of one itself has the inverse one.
_FIRST = _bits(1.0) - (14 << 49) // 3
_INVERSES = [11 / 8, 5 / 4, 9 / 8, 17 / 16, 1.0, 29 / 32, 13 / 16, 3 / 4]


def _minus_ln_in_two(value: float) -> tuple[float, float]:
    """Return -ln value as a multiple of 2**-42, which adds exactly to those of ln 2, and a rest."""
    with localcontext(prec=50):
        exact = -Decimal(value).ln()
        high = round(exact * 2**42) / 2.0**42
        return high, float(exact - Decimal(high))


_LOGS_HIGH, _LOGS_LOW = zip(*map(_minus_ln_in_two, _INVERSES), strict=True)
_SIN = [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9)]
_COS = [(-1) ** k / math.factorial(2 * k) for k in range(2, 10)]


def number(value: float) -> str:
    """Return a double as LLVM writes it, to the last bit."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def splat(value: float) -> str:
    """Return eight lanes of a double."""
    return f"splat (double {number(value)})"


class _Body:
    """The lines of a function; every method appends an instruction and returns its name."""

    def __init__(self, suffix: str = "") -> None:
        self.lines: list[str] = []
        self.check = ""  # whether all lanes are usual, set by the function printed
        self.x, self.y = f"%x{suffix}", f"%y{suffix}"
        self._suffix = suffix
        self._names = count()

    def _put(self, text: str) -> str:
        name = f"%t{next(self._names)}{self._suffix}"
        self.lines.append(f"  {name} = {text}")
        return name

    def op(self, op: str, a: str | float, b: str | float) -> str:
        return self._put(f"{op} {V} {_text(a)}, {_text(b)}")

    def fma(self, a: str | float, b: str | float, c: str | float) -> str:
        inputs = ", ".join(f"{V} {_text(value)}" for value in (a, b, c))
        return self._put(f"call {V} @llvm.fma.v8f64({inputs})")

    def call(self, name: str, a: str) -> str:
        return self._put(f"call {V} @{name}({V} {a})")

    def compare(self, how: str, a: str | float, b: str | float) -> str:
        return self._put(f"fcmp {how} {V} {_text(a)}, {_text(b)}")

    def choose(self, mask: str, a: str | float, b: str | float) -> str:
        return self._put(f"select <8 x i1> {mask}, {V} {_text(a)}, {V} {_text(b)}")

    def mask(self, op: str, a: str, b: str) -> str:
        return self._put(f"{op} <8 x i1> {a}, {b}")

    def near(self, value: str, limit: float) -> str:
        return self.compare("olt", self.call("llvm.fabs.v8f64", value), limit)

    def is_normal(self, value: str) -> str:
        return self.mask("and", self.compare("oge", value, _SMALLEST),
                         self.compare("olt", value, math.inf))

    def bits(self, value: str) -> str:
        return self._put(f"bitcast {V} {value} to {_I}")

    def double(self, value: str) -> str:
        return self._put(f"bitcast {_I} {value} to {V}")

    def int(self, op: str, a: str, b: int) -> str:
        return self._put(f"{op} {_I} {a}, splat (i64 {b})")

    def add(self, a: str, b: str) -> str:
        return self._put(f"add {_I} {a}, {b}")

    def polynomial(self, x: str, factors: Sequence[float]) -> str:
        """Return ``factors[0] + factors[1] x + ...`` by Estrin's rule: short chains."""
        terms: list[str | float] = list(factors)
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=False)
            odd = terms[-1:] if len(terms) % 2 else []
            terms = [*(self.fma(high, x, low) for low, high in pairs), *odd]
            if len(terms) > 1:
                x = self.op("fmul", x, x)
        return str(terms[0])

    def negative(self, value: str) -> str:
        return self._put(f"fneg {V} {value}")

    def power_of_two(self, shifted: str) -> str:
        """Return 2**n for a whole n that `_MAGIC` was added to."""
        low = self.int("add", self.bits(shifted), 1023 - _MAGIC_BITS)
        return self.double(self.int("shl", low, 52))

    def read(self, table: Sequence[float], place: str) -> str:
        """Return the entries, all whole or all not, of a table of eight at the low bits of `place`.

        LLVM knows this chain of instructions as one permutation where the processor has it.
        """
        kind, one = (_I, "i64") if isinstance(table[0], int) else (V, "double")
        entries = ", ".join(f"{one} {_scalar(entry)}" for entry in table)
        low, whole = self.int("and", place, 7), "poison"
        for lane in range(8):
            index = self._put(f"extractelement {_I} {low}, i64 {lane}")
            entry = self._put(f"extractelement {kind} <{entries}>, i64 {index}")
            whole = self._put(f"insertelement {kind} {whole}, {one} {entry}, i64 {lane}")
        return whole

    def exp_of(self, high: str, low: str | None, *, usual: bool) -> str:
        """Return exp(high + low); `usual` if high is known to be within 700 of zero."""
        if not usual:
            high = self.choose(self.compare("ogt", high, 720.0), 720.0, high)
            high = self.choose(self.compare("olt", high, -760.0), -760.0, high)
        shifted = self.fma(high, 8.0 * _LOG2_E, _MAGIC)
        eighths = self.op("fsub", shifted, _MAGIC)
        back = self.negative(eighths)
        rest = self.fma(back, _LN2_LOW / 8.0, self.fma(back, _LN2_HIGH / 8.0, high))
        if low is not None:
            rest = self.op("fadd", rest, low)
        square = self.op("fmul", rest, rest)
        tail = self.fma(self.polynomial(rest, _EXP), square, rest)
        bits = self.bits(shifted)
        root = self.read(_ROOTS, bits)
        if usual:
            scale = self.double(self.add(root, self.int("shl", bits, 49)))
            return self.fma(scale, tail, scale)
        root = self.double(self.add(root, self.int("shl", self.int("and", bits, 7), 49)))
        value = self.fma(root, tail, root)
        # Two factors, for 2**whole alone may be beyond the largest or smallest double.
        whole = self.call("llvm.floor.v8f64", self.op("fmul", eighths, 0.125))
        half = self.fma(whole, 0.5, _MAGIC)
        other = self.op("fadd", self.op("fsub", whole, self.op("fsub", half, _MAGIC)), _MAGIC)
        value = self.op("fmul", value, self.power_of_two(half))
        return self.op("fmul", value, self.power_of_two(other))

    def ln_in_two(self, x: str, *, usual: bool) -> tuple[str, str]:
        """Return ln x as two doubles, the second small; `usual` if all lanes are normal."""
        small = ""
        if not usual:
            small = self.compare("olt", x, _SMALLEST)
            x = self.choose(small, self.op("fmul", x, 2.0**54), x)
        # 1023 keeps the exponent positive, for an arithmetic shift of i64 is not everywhere.
        above = self.int("add", self.bits(x), (1023 << 52) - _FIRST)
        exponent = self.int("add", self.int("lshr", above, 52), _MAGIC_BITS - 1023)
        whole = self.op("fsub", self.double(exponent), _MAGIC)
        if not usual:
            whole = self.op("fadd", whole, self.choose(small, -54.0, 0.0))
        mantissa = self.double(self.int("add", self.int("and", above, (1 << 52) - 1), _FIRST))
        place = self.int("lshr", above, 49)
        rest = self.fma(mantissa, self.read(_INVERSES, place), -1.0)
        base = self.fma(whole, _LN2_HIGH, self.read(_LOGS_HIGH, place))
        low = self.fma(whole, _LN2_LOW, self.read(_LOGS_LOW, place))
        high = self.op("fadd", base, rest)
        lost = self.op("fadd", self.op("fsub", base, high), rest)  # base is zero or the larger
        square = self.op("fmul", rest, rest)
        tail = self.fma(square, self.polynomial(rest, _LOG), low)
        return high, self.op("fadd", lost, tail)


def _scalar(value: float) -> str:
    return str(value) if isinstance(value, int) else number(value)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else splat(value)


def _exp(body: _Body, *, usual: bool) -> str:
    body.check = body.near(body.x, 700.0)
    return body.exp_of(body.x, None, usual=usual)


def _ln(body: _Body, *, usual: bool) -> str:
    value = body.op("fadd", *body.ln_in_two(body.x, usual=usual))
    if usual:
        body.check = body.is_normal(body.x)
        return value
    value = body.choose(body.compare("oeq", body.x, math.inf), math.inf, value)
    value = body.choose(body.compare("oeq", body.x, 0.0), -math.inf, value)
    bad = body.mask("or", body.compare("olt", body.x, 0.0), body.compare("uno", body.x, body.x))
    return body.choose(bad, math.nan, value)


def _pow(body: _Body, *, usual: bool) -> str:
    size = body.x if usual else body.call("llvm.fabs.v8f64", body.x)
    first, rest = body.ln_in_two(size, usual=usual)
    high = body.op("fadd", first, rest)
    low = body.op("fsub", rest, body.op("fsub", high, first))
    product = body.op("fmul", high, body.y)
    error = body.fma(low, body.y, body.fma(high, body.y, body.negative(product)))
    if usual:
        body.check = body.mask("and", body.is_normal(size), body.near(product, 700.0))
        return body.exp_of(product, error, usual=True)
    far = body.compare("ogt", body.call("llvm.fabs.v8f64", product), 1000.0)
    value = body.exp_of(product, body.choose(far, 0.0, error), usual=False)
    # Zero and infinity have no logarithm: the sign of the exponent decides.
    rising = body.compare("ogt", body.y, 0.0)
    value = body.choose(body.compare("oeq", size, math.inf),
                        body.choose(rising, math.inf, 0.0), value)
    value = body.choose(body.compare("oeq", size, 0.0),
                        body.choose(rising, 0.0, math.inf), value)
    value = _sign_of_power(body, value)
    unknown = body.compare("uno", body.x, body.y)
    value = body.choose(unknown, math.nan, value)
    return body.choose(body.compare("oeq", body.y, 0.0), 1.0, value)


def _sign_of_power(body: _Body, value: str) -> str:
    """Give a power of a negative base its sign, or NaN if the exponent is not whole."""
    is_negative = body.compare("olt", body.x, 0.0)
    is_whole = body.compare("oeq", body.call("llvm.floor.v8f64", body.y), body.y)
    half = body.op("fmul", body.y, 0.5)
    is_odd = body.compare("une", body.call("llvm.floor.v8f64", half), half)
    signed = body.choose(is_odd, body.negative(value), value)
    return body.choose(is_negative, body.choose(is_whole, signed, math.nan), value)


def _circular(body: _Body, *, cosine: bool) -> str:
    shifted = body.fma(body.x, 2.0 / math.pi, _MAGIC)
    back = body.negative(body.op("fsub", shifted, _MAGIC))
    rest = body.x
    for part in _HALF_PI:
        rest = body.fma(back, part, rest)
    square = body.op("fmul", rest, rest)
    sine = body.fma(body.op("fmul", body.polynomial(square, _SIN), square), rest, rest)
    tail = body.op("fmul", body.polynomial(square, _COS), body.op("fmul", square, square))
    cosine_value = body.op("fadd", body.fma(square, -0.5, tail), 1.0)
    quarter = body.int("add", body.bits(shifted), 1 if cosine else 0)
    is_odd = body._put(f"icmp ne {_I} {body.int('and', quarter, 1)}, zeroinitializer")
    value = body.choose(is_odd, cosine_value, sine)
    is_lower = body._put(f"icmp ne {_I} {body.int('and', quarter, 2)}, zeroinitializer")
    value = body.choose(is_lower, body.negative(value), value)
    # Beyond this the reduction loses digits: not a number rather than a wrong one.
    near = body.compare("olt", body.call("llvm.fabs.v8f64", body.x), 1e9)
    return body.choose(near, value, math.nan)


# The search halves the interval; all lanes need the same number of halvings.
def _gather(name: str, base: str, place: str) -> str:
    return (f"  %{name}.p = getelementptr double, ptr %{base}, {_I} %{place}\n"
            f"  %{name} = call {V} @llvm.masked.gather.v8f64.v8p0(<8 x ptr> %{name}.p, i32 8, "
            f"<8 x i1> splat (i1 true), {V} poison)")


def _spread(name: str, kind: str, scalar: str) -> str:
    return (f"  %{name}.one = insertelement <8 x {kind}> poison, {kind} %{scalar}, i32 0\n"
            f"  %{name} = shufflevector <8 x {kind}> %{name}.one, <8 x {kind}> poison, "
            "<8 x i32> zeroinitializer")


_TABLE = f"""
define internal {V} @table({V} %at, ptr %x, ptr %y, ptr %slope, i64 %count, {_I} %shift)
    noinline {{
entry:
  %last = sub i64 %count, 1
  br label %loop
loop:
  %length = phi i64 [%last, %entry], [%left, %next]
  %place = phi {_I} [zeroinitializer, %entry], [%found, %next]
  %more = icmp ugt i64 %length, 1
  br i1 %more, label %next, label %done
next:
  %half = lshr i64 %length, 1
  %left = sub i64 %length, %half
{_spread("h", "i64", "half")}
  %middle = add {_I} %place, %h
{_gather("xm", "x", "middle")}
  %reached = fcmp ole {V} %xm, %at
  %found = select <8 x i1> %reached, {_I} %middle, {_I} %place
  br label %loop
done:
  %here = add {_I} %place, %shift
{_spread("to.last", "i64", "last")}
  %there = add {_I} %shift, %to.last
{_gather("x0", "x", "place")}
{_gather("y0", "y", "here")}
{_gather("s0", "slope", "here")}
{_gather("first", "y", "shift")}
{_gather("end", "y", "there")}
  %d = fsub {V} %at, %x0
  %r = fmul {V} %s0, %d
  %inside = fadd {V} %r, %y0
  %x.first = load double, ptr %x, align 8
{_spread("xf", "double", "x.first")}
  %x.last.p = getelementptr double, ptr %x, i64 %last
  %x.last = load double, ptr %x.last.p, align 8
{_spread("xl", "double", "x.last")}
  %before = fcmp ole {V} %at, %xf
  %from = select <8 x i1> %before, {V} %first, {V} %inside
  %after = fcmp oge {V} %at, %xl
  %value = select <8 x i1> %after, {V} %end, {V} %from
  ret {V} %value
}}
"""

TOGETHER = 4  # this many independent calls at once hide each other's waiting
_CALLED = re.compile(r"call .* @([\w.]+)\(")
_BODIES = {"exp": _exp, "ln": _ln, "pow": _pow}
_DECLARED = {
    "llvm.fma.v8f64": f"{V}, {V}, {V}", "llvm.fabs.v8f64": V, "llvm.floor.v8f64": V,
    "llvm.sqrt.v8f64": V, "llvm.trunc.v8f64": V,
    "llvm.masked.gather.v8f64.v8p0": f"<8 x ptr>, i32, <8 x i1>, {V}",
}


def prelude(text: str) -> str:
    """Return the definitions of the functions that an LLVM text calls."""
    called = set(_CALLED.findall(text))
    parts = [f"declare {V} @{name}({types})" for name, types in _DECLARED.items()]
    for name in GROUPED:
        widths = [width for width in range(1, TOGETHER + 1) if f"{name}.{width}" in called]
        parts.extend(_grouped(name, width) for width in widths)
        if widths:
            parts.append(_any(name))
    for name in ("sin", "cos"):
        if name in called:
            body = _Body()
            value = _circular(body, cosine=name == "cos")
            parts.append(_define(V, name, f"{V} %x", [*body.lines, f"  ret {V} {value}"]))
    if "table" in called:
        parts.append(_TABLE)
    return "\n".join(parts)


def _define(kind: str, name: str, inputs: str, lines: list[str]) -> str:
    text = "\n".join(lines)
    return f"define internal {kind} @{name}({inputs}) noinline {{\n{text}\n}}"


def _any(name: str) -> str:
    """Print a function that takes any argument."""
    body = _Body()
    value = _BODIES[name](body, usual=False)
    inputs = f"{V} %x, {V} %y" if name == "pow" else f"{V} %x"
    return _define(V, f"{name}.any", inputs, [*body.lines, f"  ret {V} {value}"])


def _grouped(name: str, width: int) -> str:
    """Print a function of `width` independent arguments, their instructions in turns.

    It checks that all lanes are usual - normal numbers, far from overflow - and leaves the work
    to the function that takes any if not; the bits are the same.
    """
    names = ["x", "y"] if name == "pow" else ["x"]
    bodies, checks, results = [], [], []
    for place in range(width):
        body = _Body(f".{place}")
        results.append(_BODIES[name](body, usual=True))
        bodies.append(body.lines)
        checks.append(body.check)
    kind = "{" + ", ".join([V] * width) + "}"
    inputs = ", ".join(f"{V} %{one}.{place}" for place in range(width) for one in names)
    lines = [line for turn in zip(*bodies, strict=True) for line in turn]
    usual = _Body(".u")
    mask = checks[0]
    for check in checks[1:]:
        mask = usual.mask("and", mask, check)
    lines += [*usual.lines, f"  %lanes = bitcast <8 x i1> {mask} to i8",
              "  %usual = icmp eq i8 %lanes, -1", "  br i1 %usual, label %fast, label %slow",
              "fast:", *_pack(kind, results), "slow:"]
    slow = []
    for place in range(width):
        inner = ", ".join(f"{V} %{one}.{place}" for one in names)
        lines.append(f"  %slow.{place} = call {V} @{name}.any({inner})")
        slow.append(f"%slow.{place}")
    return _define(kind, f"{name}.{width}", inputs, [*lines, *_pack(kind, slow)])


def _pack(kind: str, values: list[str]) -> list[str]:
    lines, whole = [], "poison"
    for place, value in enumerate(values):
        name = value.replace("%", "%whole.")
        lines.append(f"  {name} = insertvalue {kind} {whole}, {V} {value}, {place}")
        whole = name
    return [*lines, f"  ret {kind} {whole}"]
