"""Read a prefix, make the state a leaf, read k tokens on, and ask the last loss for its gradient.

Nothing here knows what a mixer does: the model's own ``hidden`` and ``logits`` are all that is called. For each
position t the prefix is read once, without a graph, with a stop at t - k for every lag k, the longest first; from
there the k tokens up to t are read again with one. So all lags look at the losses of the same tokens.

The state is all that is carried from token to token except the windows of short convolutions: recurrent memories, and
the keys and values of attention where there is any. Sequences do not mix, so the gradient of the summed loss holds
the gradient of each sequence in its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from model.errors import UserError
from model.studies.gradients.result import GradientReach

if TYPE_CHECKING:
    from torch import Tensor

    from model.arch.lm import LanguageModel
    from model.state import LayerState, State

POSITIONS = 4
"""Positions t of a sequence whose losses are taken, where it has room for them."""
ROWS = 16
"""Windows of a document that :func:`reach_on` reads side by side."""
MOST_TOKENS = 8_192
"""Tokens of all rows that hang on one graph, at most: fewer rows are read of a model with a long training length."""


def gradient_reach(
    model: LanguageModel,
    tokens: np.ndarray | Tensor,
    *,
    lags: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
) -> GradientReach | None:
    """The norm of d loss_t / d state_{t-k} of ``model`` on ``tokens`` (rows, n) or (n,), for each k of ``lags``.

    t are at most :data:`POSITIONS` places from twice the longest lag to the last token, evenly spaced, or the last
    token alone if there are fewer; loss_t is that of predicting token t, in nats. Norms are means over rows and
    positions. None if ``stop()`` turned true between two lags. UserError if no token is as far from the start as the
    longest lag, or a lag is below 1.
    """
    import torch

    ids = torch.atleast_2d(torch.as_tensor(tokens)).to(model.norm.weight.device, torch.int64)
    chosen = sorted(set(lags))
    if not chosen or chosen[0] < 1:
        raise UserError("gradients.lags")
    if ids.shape[1] <= chosen[-1]:
        raise UserError("gradients.short", tokens=ids.shape[1], lag=chosen[-1])
    last = ids.shape[1] - 1
    ends = np.unique(np.linspace(min(2 * chosen[-1], last), last, POSITIONS).round().astype(int)).tolist()
    # (lags, layers + 1): each layer's own, and last that of the whole state
    found = np.zeros((len(chosen), len(model.config.layers) + 1))
    for end in ends:
        state, read = model.zero_state(len(ids)), 0
        for place in reversed(range(len(chosen))):
            if stop():
                return None
            start = end - chosen[place]
            if start > read:
                with torch.no_grad():
                    _, state = model.hidden(ids[:, read:start], state)
                read = start
            found[place] += norms_from(model, state, ids[:, start : end + 1]) / len(ends)
    return GradientReach(
        lags=tuple(chosen),
        norms=tuple(found[:, -1].tolist()),
        layers=tuple(tuple(layer) for layer in found[:, :-1].T.tolist()),
        train_length=model.config.train_length,
    )


def norms_from(model: LanguageModel, state: State, ids: Tensor) -> np.ndarray:
    """Norms of the gradient of the loss of the last of ``ids`` (rows, k + 1) by ``state``, before the first of them.

    (layers + 1,), means over rows: of each layer's state, and of all together.
    """
    import torch
    from torch.nn import functional as F

    from model.state import map_state

    with torch.enable_grad():
        live = map_state(state, leaf)
        hidden, _ = model.hidden(ids[:, :-1], live)
        loss = F.cross_entropy(model.logits(hidden[:, -1]).float(), ids[:, -1], reduction="sum")
        leaves = [[part for part in carried(layer) if part.requires_grad] for layer in live]
        flat = [part for layer in leaves for part in layer]
        grads = iter(torch.autograd.grad(loss, flat, allow_unused=True))
    squares = []
    for layer in leaves:
        total = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
        for _, grad in zip(layer, grads, strict=False):
            if grad is not None:
                total += grad.abs().double().square().flatten(1).sum(1)
        squares.append(total)
    of_layers = torch.stack(squares)  # (layers, rows)
    return torch.cat([of_layers, of_layers.sum(0, keepdim=True)]).sqrt().mean(1).cpu().numpy()


def carried(layer: LayerState) -> tuple[Tensor, ...]:
    """What ``layer`` carries besides the window of its short convolution."""
    return layer.memory.state, *layer.memory.past, *layer.rest


def leaf(tensor: Tensor) -> Tensor:
    """``tensor`` cut off its graph, with a gradient of its own if it holds numbers that have one."""
    cut = tensor.detach()
    return cut.clone().requires_grad_() if cut.is_floating_point() or cut.is_complex() else cut


def doubling_lags(longest: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to ``longest`` tokens, itself included."""
    return tuple(sorted({*(2**power for power in range(longest.bit_length()) if 2**power <= longest), longest}))


def reach_on(
    model: LanguageModel, tokens: np.ndarray, *, longest: int, stop: Callable[[], bool] = lambda: False
) -> GradientReach | None:
    """:func:`gradient_reach` on windows of a document ``tokens`` (n_tokens,), with lags that double up to ``longest``.

    The windows are spread over the document: 2 ``longest`` + 1 tokens each, or all of a shorter document. So as many
    tokens are read before the longest lag: an empty cache of attention would have no gradient there. None if
    ``stop()`` turned true; UserError unless the document has more than ``longest`` tokens.
    """
    if len(tokens) <= longest:
        raise UserError("gradients.short", tokens=len(tokens), lag=longest)
    rows = max(1, min(ROWS, MOST_TOKENS // longest))
    width = min(2 * longest + 1, len(tokens))
    starts = np.unique(np.linspace(0, len(tokens) - width, rows).round().astype(int))
    windows = np.stack([tokens[start : start + width] for start in starts])
    return gradient_reach(model, windows, lags=doubling_lags(longest), stop=stop)
