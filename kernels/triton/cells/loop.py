"""Triton: the loop of an LSTM or a GRU at its door: what is checked, which direction runs, what comes out."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from kernels.cells.fused import FusedCell
from kernels.cells.fused import supports as fused
from kernels.cells.loop import log_decay_of
from kernels.cells.types import CellInputs
from kernels.triton.cells.backward import cell_backward
from kernels.triton.cells.forward import cell_forward
from kernels.triton.tiles import products_of
from kernels.types import CHUNK, Memory, ScanOutput, boundary_count

ROWS = 16
"""Sequences of a program: the least that a product of tiles takes."""

MOST = {torch.float32: 64, torch.bfloat16: 128}
"""Units whose recurrent weights fit on a chip, by the dtype of the products: four matrices, 128 KB in all at most."""


class Sizes(NamedTuple):
    """What a kernel is compiled for; ``products`` as :mod:`kernels.triton.tiles` names them."""

    gru: bool
    chunk: int
    units: int
    products: str

    @property
    def launch(self) -> dict[str, Any]:
        """As the kernels name them, and the warps of a program, so many that the weights fit in their registers."""
        padded = max(16, triton.next_power_of_2(self.units))
        sizes = {"UNITS": padded, "ROWS": ROWS, "CHUNK": self.chunk, "GRU": self.gru, "PRODUCTS": self.products}
        return sizes | {"num_warps": 16 if padded > 64 else 8, "num_stages": 1}


def supports(inputs: CellInputs, memory: Memory, token_norms: bool) -> bool:
    """Whether these kernels take ``inputs``: an LSTM or a GRU of few enough units, in float32, without norms.

    Products are of the dtype of the input's weight: bfloat16 in a model of that precision.
    """
    if not fused(inputs, token_norms) or inputs.cell.fused not in ("lstm", "gru"):
        return False
    cell: FusedCell = inputs.cell  # type: ignore[assignment]
    units = memory.state.shape[1] * memory.state.shape[2]
    return memory.state.dtype == torch.float32 and units <= MOST.get(cell.weights()[0].dtype, 0)


def cell_loop(inputs: CellInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; differentiable. ValueError for inputs that :func:`supports` refuses."""
    if not supports(inputs, memory, token_norms):
        raise ValueError(f"no Triton kernel for the cell {type(inputs.cell).__name__}, x {tuple(inputs.x.shape)}")
    cell: FusedCell = inputs.cell  # type: ignore[assignment]
    gru, shape = cell.fused == "gru", memory.state.shape
    gates, units = 3 if gru else 4, shape[1] * shape[2]
    with torch.autocast(inputs.x.device.type, enabled=False):
        weight, recurrent, bias, recurrent_bias = cell.weights()
        folded = recurrent_bias
        if gru:  # whose last bias is inside the reset gate
            folded = torch.cat([recurrent_bias[: 2 * units], torch.zeros_like(recurrent_bias[2 * units :])])
        products = torch.nn.functional.linear(inputs.x.to(weight.dtype), weight, bias.to(weight.dtype)).float()
        given = (products + folded).unflatten(-1, (gates, units))
        matrices = recurrent.to(weight.dtype).view(gates, units, units)
        sizes = Sizes(gru, chunk, units, products_of(matrices))
        if sizes.products == "rounded":  # the interpreter has no bfloat16
            matrices = matrices.float()
        inside = recurrent_bias[-units:]
        y, states = OnChip.apply(given, matrices, inside, memory.state.flatten(1, 2), sizes)  # type: ignore[no-untyped-call]
        decay = None
        if not torch.is_grad_enabled():
            before = torch.cat([memory.state[..., -1].flatten(1)[:, None], y[:, :-1]], 1)
            decay = log_decay_of(cell.kept(inputs.x.float(), before), inputs, shape)
    boundaries = states.unflatten(2, shape[1:3])
    return ScanOutput(y.unflatten(-1, shape[1:3]), boundaries, Memory(boundaries[:, -1], memory.past), None, decay)


class OnChip(torch.autograd.Function):
    """(given, weights, bias, initial) -> (y, states); shapes as in :func:`.forward.cell_forward`."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weights: Tensor, bias: Tensor, initial: Tensor, sizes: Sizes) -> Any:
        """Launch the forward kernel; keeps what the backward pass needs if anything wants a gradient."""
        given, weights, initial = given.contiguous(), weights.contiguous(), initial.contiguous()
        batch, seqlen, _, units = given.shape
        nchunks, keep = boundary_count(seqlen, sizes.chunk) - 1, any(ctx.needs_input_grad[:4])
        y = given.new_empty(batch, seqlen, units)
        states = given.new_empty(batch, nchunks + 1, units, initial.shape[-1])
        saved = given.new_empty((batch, seqlen, 4, units) if keep else 0)
        cells = given.new_empty((batch, seqlen, units) if keep and not sizes.gru else 0)
        tensors = (given, weights, bias.contiguous(), initial, y, saved, cells, states)
        cell_forward[(triton.cdiv(batch, ROWS),)](*tensors, batch, seqlen, nchunks, units, **sizes.launch, KEEP=keep)
        ctx.save_for_backward(weights, initial, y, saved, cells)
        ctx.sizes = sizes
        return y, states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Launch the backward kernel, then make the products over all tokens."""
        dy, dstates = gradients
        weights, initial, y, saved, cells = ctx.saved_tensors
        batch, seqlen, units = y.shape
        dgates, dinitial = torch.empty_like(saved), torch.empty_like(initial)
        tensors = (weights, initial, y, saved, cells, dy.contiguous(), dstates.contiguous(), dgates, dinitial)
        cell_backward[(triton.cdiv(batch, ROWS),)](
            *tensors, batch, seqlen, dstates.shape[1] - 1, units, **ctx.sizes.launch
        )
        before = torch.cat([initial[:, None, :, -1], y[:, :-1]], 1)
        sums = dgates[:, :, [0, 1, 3]] if ctx.sizes.gru else dgates  # of the state: m in place of n
        dweights = torch.einsum("btgu,btv->guv", sums, before).to(weights.dtype)
        given = dgates[:, :, :3] if ctx.sizes.gru else dgates
        dbias = dgates[:, :, 3].sum((0, 1)) if ctx.sizes.gru else None
        return given, dweights, dbias, dinitial, None
