"""Compiles a model; a model seen before needs neither PySD nor a compilation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kuzbass.errors import InputError
from kuzbass.paths import model_path
from kuzbass.sd.kernel import cache
from kuzbass.sd.kernel.ir import Ir, translate
from kuzbass.sd.kernel.kernel import Backend, Kernel
from kuzbass.sd.kernel.plan import Spec
from kuzbass.sd.limits import check_axis
from kuzbass.sd.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kuzbass.sd.limits import TimeAxis
    from kuzbass.sd.mdl import Model

__all__ = ["compile_model"]

_HIDDEN = {"lookup", "control"}
_HELD = 16
_KERNELS: dict[tuple[str, Spec, Backend, Path], Kernel] = {}


def compile_model(
    model: Model | Path | None = None,
    *,
    vary: Iterable[str] | None = (),
    moving: Iterable[str] | None = (),
    scaled: Iterable[str] = (),
    outputs: Iterable[str] | None = None,
    time_step: float | None = None,
    final_time: float | None = None,
    save_every: float | None = 1.0,
    method: str = "euler",
    backend: Backend = "llvm",
    verify: bool = False,
) -> Kernel:
    """Compile a model for many runs.

    The first call for a model file and a set of arguments translates and compiles; what it made
    is kept on disk, see `kuzbass.sd.kernel.cache`.

    Parameters
    ----------
    model : Model or Path, optional
        A loaded model or an .mdl file; the shipped model if left out.  With a path and a warm
        cache, PySD is not even imported.
    vary : iterable of str, optional
        What the runs may set: constants (initial values are constants), drivers (variables that
        only read a table over time) and tables.  All else is folded into the code, which makes
        it faster.  ``None`` stands for all of them, but for those that set the length of a
        DELAY FIXED.
    moving : iterable of str, optional
        Constants of `vary` that will get time paths, ``None`` for all.  A run may give a path to
        any constant; one that is not listed here costs a compilation when it first happens.
    scaled : iterable of str, optional
        Drivers of `vary` that will get a factor on their path in every run, see
        `kuzbass.sd.kernel.Scaled`; a factor on another driver costs a path for every run.
    outputs : iterable of str, optional
        Variables to return; all but lookups and control variables if left out.
    time_step, final_time : float, optional
        Instead of the model's, in its time unit.
    save_every : float or None, optional
        Interval between saved times; ``None`` saves every step.
    method : {"euler", "rk4"}, optional
        RK4, with four evaluations a step, is for the test of the integration error.
    backend : {"llvm", "numpy"}, optional
        NumPy needs no compiler and is ten times slower; equal up to rounding.
    verify : bool, optional
        Compare with the reference engine on first use of a model, see
        `kuzbass.sd.kernel.verify.verify`.

    Returns
    -------
    Kernel
        Its `run` takes values and returns trajectories.

    Raises
    ------
    InputError
        An unknown name, a variable that the model computes itself, or an impossible time axis.
    ModelError
        The model cannot be read, or it uses something that the kernel does not support; element
        and construct are named.
    """
    ir = _ir(model)
    axis = check_axis(
        ir.time_axis["INITIAL TIME"],
        ir.time_axis["FINAL TIME"] if final_time is None else final_time,
        ir.time_axis["TIME STEP"] if time_step is None else time_step, save_every)
    _choice("method", method, ("euler", "rk4"))
    _choice("backend", backend, ("llvm", "numpy"))
    names = _inputs(ir, vary)
    spec = Spec(names, _moving(ir, names, moving), _outputs(ir, outputs),
                ir.time_axis["INITIAL TIME"], axis.time_step, axis.steps,
                int(axis.save_every / axis.time_step), method, _scaled(ir, names, scaled))
    if verify:
        _verify(model, axis)
    kernel = _kernel(ir, spec, backend)
    kernel.program(frozenset())
    return kernel


def _kernel(ir: Ir, spec: Spec, backend: Backend) -> Kernel:
    """Return the same kernel for the same arguments in one process."""
    key = (ir.sha256, spec, backend, cache.folder())
    kernel = _KERNELS.pop(key, None) or Kernel(ir, spec, backend)
    _KERNELS[key] = kernel  # the last used comes last
    while len(_KERNELS) > _HELD:
        del _KERNELS[next(iter(_KERNELS))]
    return kernel


def _verify(model: Model | Path | None, axis: TimeAxis) -> None:
    # Here: comparing needs PySD, compiling from the cache does not.
    from kuzbass.sd.kernel.verify import verify_once  # noqa: PLC0415
    from kuzbass.sd.mdl import load_model  # noqa: PLC0415

    loaded = load_model(model) if model is None or isinstance(model, (str, Path)) else model
    verify_once(loaded, time_step=axis.time_step, final_time=axis.final_time)


def _ir(model: Model | Path | None) -> Ir:
    if model is None or isinstance(model, (str, Path)):
        path = model_path() if model is None else Path(model)
        sha256 = read_text(path)[1]
    else:
        path, sha256 = model.path, model.sha256
    name = cache.key(sha256, path.name)
    content = cache.load(name)
    if content is not None:
        return Ir.loads(content)
    if model is None or isinstance(model, (str, Path)):
        # Here: reading a model needs PySD, which takes a second to import.
        from kuzbass.sd.mdl import load_model  # noqa: PLC0415

        model = load_model(path)
    ir = translate(model)
    cache.store(name, ir.dumps())
    return ir


def _inputs(ir: Ir, vary: Iterable[str] | None) -> tuple[str, ...]:
    if vary is None:
        tables = (name for name in ir.tables if name in ir.symbols)
        return tuple(sorted({*ir.constants, *ir.drivers, *tables} - ir.fixed_lengths()))
    names = {ir.written(name) for name in vary}
    for name in sorted(names):
        kind = ir.symbols[name].kind
        if kind == "control":
            raise InputError("is a control variable", key=name,
                             allowed="the arguments time_step, final_time and save_every")
        if kind not in {"constant", "lookup"} and name not in ir.drivers:
            raise InputError("is computed by the model", key=name,
                             allowed="constants, tables and drivers that read a table over time")
    return tuple(sorted(names))


def _moving(
    ir: Ir, vary: tuple[str, ...], moving: Iterable[str] | None
) -> tuple[str, ...]:
    if moving is None:
        return tuple(name for name in vary if name in ir.constants)
    names = {ir.written(name) for name in moving}
    for name in sorted(names):
        if name not in vary or name not in ir.constants:
            raise InputError("cannot be moving", key=name, allowed="constants of vary")
    return tuple(sorted(names))


def _scaled(ir: Ir, vary: tuple[str, ...], scaled: Iterable[str]) -> tuple[str, ...]:
    names = {ir.written(name) for name in scaled}
    for name in sorted(names):
        if name not in vary or name not in ir.drivers:
            raise InputError("cannot be scaled", key=name, allowed="drivers of vary")
    return tuple(sorted(names))


def _outputs(ir: Ir, outputs: Iterable[str] | None) -> tuple[str, ...]:
    if outputs is None:
        return tuple(name for name, symbol in ir.symbols.items() if symbol.kind not in _HIDDEN)
    names = tuple(dict.fromkeys(ir.written(name) for name in outputs))
    for name in names:
        if ir.symbols[name].kind in _HIDDEN:
            raise InputError(f"a {ir.symbols[name].kind} has no path over time", key=name,
                             allowed="a stock, an auxiliary or a constant")
    if not names:
        raise InputError("no output", key="outputs", allowed="at least one variable")
    return names


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError("not a possible choice", key=key, value=value,
                         allowed=" or ".join(allowed))
