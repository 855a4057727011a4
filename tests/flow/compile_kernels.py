"""Compile every launch of one forward and backward pass for sm_90; print the kernels' names.

With `--binary` down to machine code: `python tests/flow/compile_kernels.py --binary`.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from triton._C.libtriton import ir
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction

from denf.flow.kernels import hidden, launch, thin, weights
from denf.flow.kernels.packing import Packing

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
TARGET = GPUTarget("cuda", 90, 32)
Call = tuple[JITFunction, tuple[Any, ...], dict[str, Any]]


class Recorder:
    """Stands for a kernel and notes its launches."""

    def __init__(self, kernel: JITFunction, calls: list[Call]) -> None:
        self.kernel, self.calls = kernel, calls

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **kwargs: self.calls.append((self.kernel, args, kwargs))


def source(kernel: JITFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ASTSource:
    values = dict(zip(kernel.arg_names, args, strict=False)) | kwargs
    signature, constants, hints = {}, {}, {}
    for index, parameter in enumerate(kernel.params):
        value = values[parameter.name]
        if isinstance(value, torch.Tensor):
            signature[parameter.name] = TYPES[value.dtype]
            hints[(index,)] = [["tt.divisibility", 16]]
        elif parameter.is_constexpr or value == 1:
            signature[parameter.name] = "constexpr"
            constants[(index,)] = value
        else:
            signature[parameter.name] = "i32"
            if value % 16 == 0:
                hints[(index,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constants, hints)


def check(kernel: JITFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    made = source(kernel, args, {k: v for k, v in kwargs.items() if k in kernel.arg_names})
    options = {k: v for k, v in kwargs.items() if k not in kernel.arg_names}
    if "--binary" in sys.argv:
        compiled = triton.compile(made, target=TARGET, options=options)
        shared = compiled.metadata.shared
        units = "wgmma" in compiled.asm["ptx"] or "mma.sync" in compiled.asm["ptx"]
        return f"{kernel.fn.__name__}: {shared} bytes of shared memory, matrix units: {units}"
    backend, context = make_backend(TARGET), ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    parsed = backend.parse_options(options)
    codegen, modules = backend.get_codegen_implementation(parsed), backend.get_module_map()
    made.make_ir(TARGET, parsed, codegen, modules, context)
    return kernel.fn.__name__


def main() -> None:
    calls: list[Call] = []
    for module in (hidden, thin, weights):
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction) and value.fn.__module__ == module.__name__:
                setattr(module, name, Recorder(value, calls))
    nets, shared, features, pixels = 2, 2, 64, 64
    packing = Packing(6, 5, features)
    run = launch.Launch(2, pixels, pixels, nets, shared, packing, torch.bfloat16)
    x, grad_y = torch.empty(2, 6, pixels, pixels), torch.empty(2, 10, pixels, pixels)
    packed = torch.empty(nets, packing.starts[-1], dtype=torch.bfloat16)
    h = torch.empty(nets, 2 * pixels * pixels, features, dtype=torch.bfloat16)
    run.run(run.forward, x, packed, None)
    run.run(run.backward, grad_y, packed, (h, h))
    run.sums(x, (h, h), grad_y, (h, h))
    for kernel, args, kwargs in calls:
        print(check(kernel, args, kwargs))


if __name__ == "__main__":
    main()
