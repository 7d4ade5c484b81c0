"""Compiles LLVM text for this machine and loads object code."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from itertools import count

import llvmlite.binding as llvm

__all__ = ["Code", "compile_text", "features"]

_NAMES = count()
_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                              ctypes.c_void_p)


@lru_cache(maxsize=1)
def features() -> str:
    """Return the instruction set that object code of this machine may use."""
    parts = (llvm.get_process_triple(), llvm.get_host_cpu_name(),
             llvm.get_host_cpu_features().flatten(), f"LLVM {llvm.llvm_version_info}")
    return " ".join(parts)


@lru_cache(maxsize=1)
def _target() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(),
        opt=2, reloc="pic", codemodel="small", jit=True)


def compile_text(text: str) -> bytes:
    """Return the object code of an LLVM module; no step changes the order of arithmetic."""
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_process_triple()
    return bytes(_target().emit_object(module))


class Code:
    """Object code in memory, ready to be called.

    Parameters
    ----------
    content : bytes
        From `compile_text` on a machine with the same `features`.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._engine = llvm.create_lljit_compiler(_target())
        builder = llvm.JITLibraryBuilder().add_object_img(content).export_symbol("run")
        self._library = builder.add_current_process().link(self._engine, f"kernel{next(_NAMES)}")
        #: Called as ``run(arguments, first block, end, work)``; releases the GIL meanwhile.
        self.run = _PROTOTYPE(self._library["run"])
