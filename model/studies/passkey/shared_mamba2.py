"""A stack of Mamba-2 taken apart before and after its scans, behind :mod:`.shared_prefix`.

What stands before the first scan depends on the tokens alone, so rows that read the same tokens share it. And while
nothing is queried, nothing reads the last layer's output, so it only updates its state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.elementwise import gated_norm, short_convolution
from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Block, Linear
from model.arch.lm import LanguageModel
from model.mixers.mamba2 import Mamba2
from model.state import LayerState, State, flatten_state, map_state, unflatten_state
from model.studies.passkey.shared_scans import SharedInputs, decay_to_end, state_scan, written


class Prepared(NamedTuple):
    """Some tokens before the scan: its ``inputs``, and beside them

    ``convolved`` (batch, seqlen, channels), of which x is the first, ``gate`` (batch, seqlen, d_inner), and the
    ``window`` (batch, d_conv - 1, channels) after the last token.
    """

    inputs: ScanInputs
    convolved: Tensor
    gate: Tensor
    window: Tensor


class Shared(NamedTuple):
    """Tokens that many rows read, up to the first scan, which is as far as they are the same for all of them.

    ``u`` (1, seqlen, d_model), what the first mixer has ``prepared`` of it, and the ``size`` of both in bytes.
    """

    u: Tensor
    prepared: Any
    size: int


def prepare(mixer: Mamba2, u: Tensor, window: Tensor) -> Prepared:
    """All that comes before the scan: of the tokens, and of the ``window`` before them, whatever is remembered."""
    projected = mixer.in_proj(u)
    convolved, inputs, window = _inputs(mixer, projected, mixer.config.d_inner, window)
    gate = F.silu(projected[..., : mixer.config.d_inner].to(window.dtype))
    return Prepared(inputs, convolved, gate, window)


def finish(mixer: Mamba2, prepared: Prepared, y: Tensor) -> Tensor:
    """All that comes after it: ``y`` (batch, seqlen, nheads, headdim) -> (batch, seqlen, d_model)."""
    weight = mixer.norm.weight.view(mixer.config.ngroups, -1)
    return mixer.out_proj(gated_norm(y, prepared.convolved, mixer.D, prepared.gate, weight, mixer.norm.eps))


def advance(mixer: Mamba2, u: Tensor, state: LayerState, scan: Scan) -> LayerState:
    """The state that :func:`forward` leaves, for a last layer whose output is not read.

    No gate and no projection; and C, with which the state would be read, is only worked out for the window.
    """
    config = mixer.config
    width = config.d_inner + config.ngroups * config.d_state  # of x and B
    xB, dt = slice(config.d_inner, config.d_inner + width), slice(-config.nheads, None)
    _, inputs, _ = _inputs(mixer, project(mixer.in_proj, u, xB, dt), 0, state.window[..., :width])
    return LayerState(scan(inputs, state.memory).memory, _window_after(mixer, state.window, u))


def write(mixer: Mamba2, parts: Sequence[Tensor], state: LayerState) -> LayerState:
    """What :func:`advance` leaves with a plain scan after ``parts`` of a span, (batch, seqlen, d_model) each.

    Quicker where heads forget: the steps alone tell for how long they remember, and what a head will have
    forgotten by the end of the span, to a 256th of its rounding, is not worked out.
    """
    config, dtype = mixer.config, state.window.dtype
    steps = [mixer._step(project(mixer.in_proj, u, slice(-config.nheads, None)), dtype) for u in parts]
    decays = [_log_decay(mixer, step) for step in steps]
    lost = torch.stack([decay.sum((1, 3)).amax(0) for decay in decays])  # (parts, nheads); the row that keeps most
    later = lost.flip(0).cumsum(0).flip(0) - lost
    needed = (later > math.log(torch.finfo(dtype).eps / 256)).view(len(parts), config.ngroups, -1)
    needed = needed.any(1).repeat(1, config.ngroups)  # as many heads of every group
    memory, window = state.memory.state, state.window
    for u, step, decay, kept in zip(parts, steps, decays, needed.tolist(), strict=True):
        if any(kept):
            to_end, whole = decay_to_end(decay[:, :, kept], dtype)
            added = _written(mixer, u, window, step[:, :, kept] * to_end, kept)
            if all(kept):
                memory = torch.addcmul(added, memory, whole)
            else:  # what a head remembered from before it is left out for is forgotten as well
                memory = memory.clone()
                memory[:, kept] = torch.addcmul(added, memory[:, kept], whole)
        window = _window_after(mixer, window, u)
    return LayerState(Memory(memory), window)


def _window_after(mixer: Mamba2, window: Tensor, u: Tensor) -> Tensor:
    """The window after ``u``, whose last tokens are projected for it alone."""
    last = project(mixer.in_proj, u[:, -window.shape[1] :], slice(mixer.config.d_inner, -mixer.config.nheads)).to(
        window.dtype
    )
    return torch.cat([window, last], dim=1)[:, last.shape[1] :]


def _written(mixer: Mamba2, u: Tensor, window: Tensor, weight: Tensor, heads: Sequence[bool]) -> Tensor:
    """What ``u`` writes, each token with its ``weight``: (batch, chosen ``heads``, headdim, d_state)."""
    config = mixer.config
    headdim, d_inner, keys = config.headdim, config.d_inner, config.ngroups * config.d_state
    channels = [slice(part.start * headdim, part.stop * headdim) for part in _runs(heads)]
    channels.append(slice(d_inner, d_inner + keys))
    projected = project(mixer.in_proj, u, *(slice(d_inner + part.start, d_inner + part.stop) for part in channels))
    before, kernel, bias = (_only(given, channels) for given in (window, mixer.conv_weight, mixer.conv_bias))
    convolved = short_convolution(before, projected, 0, kernel, bias)
    x = convolved[..., :-keys].unflatten(-1, (-1, headdim)).mul_(weight)
    B = convolved[..., -keys:].unflatten(-1, (config.ngroups, -1))
    return written(x.to(projected.dtype), B.to(projected.dtype)).to(window.dtype)


def _inputs(mixer: Mamba2, projected: Tensor, first: int, window: Tensor) -> tuple[Tensor, ScanInputs, Tensor]:
    """What the scan takes: the convolved channels, the inputs made of them, and the window after these tokens.

    ``projected`` (batch, seqlen, ...) has xBC from ``first`` on, and dt after it; ``window`` (batch, d_conv - 1,
    channels) the xBC before. Without the channels of C the state is not read, and B stands in for it.
    """
    config, channels = mixer.config, window.shape[-1]
    keys = config.ngroups * config.d_state
    weight, bias = mixer.conv_weight[:, :channels], mixer.conv_bias[:channels]
    convolved = short_convolution(window, projected, first, weight, bias)
    latest = projected[:, -window.shape[1] :, first : first + channels].to(window.dtype)
    after = torch.cat([window, latest], dim=1)[:, latest.shape[1] :]

    x = convolved[..., : config.d_inner].unflatten(-1, (config.nheads, config.headdim))
    B, C = convolved[..., config.d_inner : config.d_inner + keys], convolved[..., -keys:]
    step = mixer._step(projected[..., first + channels :], window.dtype)
    compute = projected.dtype
    inputs = ScanInputs(
        x=(x * step).to(compute),
        B=B.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
        C=C.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
        log_decay=_log_decay(mixer, step),
    )
    return convolved, inputs, after


def _log_decay(mixer: Mamba2, step: Tensor) -> Tensor:
    return -step * mixer.A_log.exp()[:, None]


def advance_block(block: Block, parts: Iterable[Tensor], state: LayerState, scan: Scan) -> LayerState:
    """The state after the ``parts`` of a span, without the output."""
    mixer: Any = block.mixer
    if scan is state_scan:
        return write(mixer, [block.norm(u) for u in parts], state)
    for u in parts:
        state = advance(mixer, block.norm(u), state, scan)
    return state


def project(layer: Linear, u: Tensor, *rows: slice) -> Tensor:
    """Only the ``rows`` of a linear map, one after another: (..., in) -> (..., those)."""
    return layer.products.linear(u.to(layer.weight.dtype), layer.weight, layer.bias, *rows)


def some_rows(state: State, rows: slice) -> State:
    """Those ``rows`` of ``state``."""
    return map_state(state, lambda tensor: tensor[rows])


def join_rows(states: Sequence[State]) -> State:
    """One state of all rows of ``states``, in their order."""
    flat = [flatten_state(state) for state in states]
    return unflatten_state({name: torch.cat([state[name] for state in flat]) for name in flat[0]})


def advance_model(model: LanguageModel, tokens: Tensor, state: State, scans: Sequence[Scan]) -> State:
    """The state after ``tokens`` (batch, seqlen), for reading on: nothing is said, nor by the last block."""
    u = model.embedding(tokens).to(state[0].memory.state.dtype)
    after, u = _through(model, 0, u, state, scans)
    last: Any = model.blocks[-1]
    return (*after, advance_block(last, [u], state[-1], scans[-1]))


def share(model: LanguageModel, tokens: Tensor, window: Tensor) -> Shared:
    """Read ``tokens`` (1, seqlen), after what the first layer's ``window`` of one row holds, up to the first scan.

    For a first mixer whose state is a memory and a window.
    """
    first: Any = model.blocks[0]
    u = model.embedding(tokens).to(window.dtype)
    prepared = prepare(first.mixer, first.norm(u), window)
    inputs = SharedInputs(*prepared.inputs)
    # What an empty memory gives, which comes later, is as large as what is written.
    size = sum(part.nbytes for part in (u, prepared.convolved, prepared.gate, inputs.x, inputs.x))
    return Shared(u, prepared._replace(inputs=inputs), size)


def advance_shared(model: LanguageModel, parts: Iterable[Shared], state: State, scans: Sequence[Scan]) -> State:
    """Like :func:`advance_model` for every row of ``state``, over the ``parts`` of a span.

    The first layer's window stays of one row.
    """
    first: Any = model.blocks[0]
    last: Any = model.blocks[-1]
    before = state[:-1]

    def reads() -> Iterator[Tensor]:
        nonlocal before
        for u, prepared, _ in parts:
            output = scans[0](prepared.inputs, before[0].memory)
            mixed = finish(first.mixer, prepared, output.y)
            more, read = _through(model, 1, mixed.to(u.dtype).add_(u), before, scans)
            before = (LayerState(output.memory, prepared.window), *more)
            yield read

    after = advance_block(last, reads(), state[-1], scans[-1])
    return (*before, after)


def _through(model: LanguageModel, first: int, u: Tensor, state: State, scans: Sequence[Scan]) -> tuple[State, Tensor]:
    """The states of the layers from ``first`` on but for the last, and what that one reads."""
    after = []
    for index in range(first, len(model.blocks) - 1):
        u, here = model.blocks[index](u, state[index], scans[index])
        after.append(here)
    return tuple(after), u


def _runs(kept: Sequence[bool]) -> list[slice]:
    """Where ``kept`` is true, as slices."""
    edges = [place for place in range(len(kept) + 1) if any(kept[place - 1 : place]) != any(kept[place : place + 1])]
    return [slice(first, stop) for first, stop in zip(edges[::2], edges[1::2], strict=True)]


def _only(tensor: Tensor, channels: Sequence[slice]) -> Tensor:
    """Those ``channels`` of the last axis, one after another."""
    return torch.cat([tensor[..., part] for part in channels], dim=-1)
