"""Kernels under PyTorch's autograd, and as a custom operator (torch 2.4 and later), so that torch.compile keeps them."""
from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import torch

from . import _library as c
from . import _tensor as t
from ._kernel import kernels as _kernels


def _names(kernel: Any, x: torch.Tensor) -> list[str]:
    return [port.name for port in kernel.plan(x.detach()).inputs[1:]]


def _gradient(kernel: Any, x: torch.Tensor, y: Optional[torch.Tensor], dy: torch.Tensor, names: Sequence[str], operands: Sequence[Any],
              wanted: Sequence[bool]) -> list[Optional[torch.Tensor]]:
    """dx (always) and the gradients of the operands that are wanted; shapes and types are those of what they belong to."""
    asked = tuple(name for name, yes in zip(names, wanted) if yes)
    first = x if y is None else y
    plan = kernel.plan(first, backward=True, gradients=asked)
    given = dict(zip(names, operands))
    needed = {port.name: given[port.name] for port in plan.inputs[2:]}
    results = kernel.backward(first, dy.contiguous() if kernel.is_halved else _in_order_of(dy, first), gradients=asked, **needed)
    found = dict(zip(("dx",) + asked, results if asked else (results,)))
    return [found["dx"]] + [_like(found[name], given[name]) if name in found else None for name in names]


def _in_order_of(dy: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """dy with its axes in memory as those of x: autograd may hand over an expanded or permuted one."""
    return dy if dy.stride() == x.stride() else torch.empty_like(x, dtype=dy.dtype).copy_(dy)


def _like(gradient: torch.Tensor, operand: torch.Tensor) -> torch.Tensor:
    return gradient.reshape(operand.shape).to(operand.dtype)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, kernel: Any, names: Sequence[str], x: torch.Tensor, *operands: Any) -> torch.Tensor:
        y = kernel.forward(x, *operands)
        tensors = [operand if isinstance(operand, torch.Tensor) else None for operand in operands]
        context.kernel, context.names, context.others = kernel, names, operands
        context.from_output = _is_from_output(kernel)
        context.save_for_backward(None if context.from_output else x, y if context.from_output else None, *tensors)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, dy: torch.Tensor) -> tuple:
        x, y, *tensors = context.saved_tensors
        operands = [other if tensor is None else tensor for tensor, other in zip(tensors, context.others)]
        return None, None, *_gradient(context.kernel, x, y, dy, context.names, operands, context.needs_input_grad[3:])


def _pairs(names: str, operands: Sequence[torch.Tensor]) -> tuple[Sequence[torch.Tensor], dict[str, torch.Tensor]]:
    """`names`: of the last operands, a comma between them; those before stand by position."""
    named = names.split(",") if names else []
    positional = len(operands) - len(named)
    return operands[:positional], dict(zip(named, operands[positional:]))


def _ordered(kernel: Any, x: torch.Tensor, operands: Sequence[torch.Tensor], names: str) -> tuple[list[str], list[int]]:
    """The kernel's operands, and which of `operands` each is."""
    positional, named = _pairs(names, operands)
    order = _names(kernel, x)
    at = {name: i for i, name in enumerate(order[: len(positional)])}
    at.update({name: len(positional) + i for i, name in enumerate(named)})
    return order, [at[name] for name in order]


def _register() -> Any:
    """The custom operators, as far as this version of PyTorch has them."""
    if not hasattr(torch.library, "custom_op"):
        return None

    @torch.library.custom_op("actune::apply", mutates_args=())
    def forward(x: torch.Tensor, operands: Sequence[torch.Tensor], names: str, key: str) -> torch.Tensor:
        positional, named = _pairs(names, operands)
        return _kernels[key].forward(x, *positional, **named)

    @forward.register_fake
    def _(x: torch.Tensor, operands: Sequence[torch.Tensor], names: str, key: str) -> torch.Tensor:
        kernel = _kernels[key]
        dtype, half = t.torch_dtype(kernel.dtype) if kernel.dtype else x.dtype, kernel.shape_of_y(x)
        return torch.empty_like(x, dtype=dtype) if half is None else x.new_empty(half, dtype=dtype)

    @torch.library.custom_op("actune::apply_backward", mutates_args=())
    def backward(dy: torch.Tensor, kept: torch.Tensor, operands: Sequence[torch.Tensor], wanted: Sequence[bool], names: str,
                 key: str) -> list[torch.Tensor]:
        kernel = _kernels[key]
        order, at = _ordered(kernel, kept, operands, names)
        from_output = _is_from_output(kernel)
        found = _gradient(kernel, kept, kept if from_output else None, dy, order, [operands[i] for i in at], [wanted[i] for i in at])
        of = {i: gradient for i, gradient in zip(at, found[1:])}
        return [found[0]] + [of[i] for i, yes in enumerate(wanted) if yes]

    @backward.register_fake
    def _(dy: torch.Tensor, kept: torch.Tensor, operands: Sequence[torch.Tensor], wanted: Sequence[bool], names: str, key: str) -> list[torch.Tensor]:
        return [torch.empty_like(kept)] + [torch.empty_like(operand) for operand, yes in zip(operands, wanted) if yes]

    def keep(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        x, operands, ctx.names, ctx.key = inputs
        ctx.wanted = [operand.requires_grad for operand in operands]
        ctx.save_for_backward(output if _is_from_output(_kernels[ctx.key]) else x, *operands)

    def differentiate(ctx: Any, dy: torch.Tensor) -> tuple:
        kept, *operands = ctx.saved_tensors
        dx, *found = backward(dy, kept, operands, ctx.wanted, ctx.names, ctx.key)
        return dx, [found.pop(0) if yes else None for yes in ctx.wanted], None, None

    forward.register_autograd(differentiate, setup_context=keep)
    return forward


def _is_from_output(kernel: Any) -> bool:
    front = kernel.spec.lstrip()
    return front.startswith("[") and "from=output" in front.partition("]")[0].replace(" ", "").lower()


_operator = _register()


def _is_compiling() -> bool:
    return _operator is not None and torch.compiler.is_compiling()


def _through_operator(kernel: Any, x: torch.Tensor, operands: Sequence[Any], named: Mapping[str, Any]) -> torch.Tensor:
    values = [t.words(x, *value) if isinstance(value, tuple) else value for value in (*operands, *named.values())]
    return _operator(x, values, ",".join(named), kernel.key)


def apply(kernel: Any, x: torch.Tensor, operands: Sequence[Any], named: Mapping[str, Any], out: Optional[torch.Tensor]) -> torch.Tensor:
    if _is_compiling() and out is None:
        return _through_operator(kernel, x, operands, named)
    if not torch.is_grad_enabled() or not any(getattr(array, "requires_grad", False) for array in (x, *operands, *named.values())):
        return kernel.forward(x, *operands, out=out, **named)
    if out is not None:
        raise c.InvalidArgument("out and gradients do not go together: leave out away, or call under torch.no_grad()")
    names = _names(kernel, x)
    given = dict(zip(names, operands), **named)
    if sorted(given) != sorted(names) or len(operands) + len(named) != len(names):
        return kernel.forward(x.detach(), *operands, **named)  # says what is missing or too much
    return _Function.apply(kernel, names, x, *[given[name] for name in names])
