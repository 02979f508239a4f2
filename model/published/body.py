"""A published model whose body is the library's own: only its recurrent mixers are replaced, by ours at our door.

Embedding, norms, attention, experts and feed-forward parts stay the modules that transformers built and loaded. In the
place of a recurrent mixer stands :class:`Through`, which finds its memory and its scan in the cache object that the
library hands to every layer of one call. So nothing inside a model is changed for a reading, several sessions share one
model, and the state passes in and out of a call as a value: recurrent memories in one LayerState each, and what layers
of the library keep, such as keys and values, in ``rest`` of the first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.cache_utils import CacheLayerMixin, DynamicCache, DynamicIndexedLayer, DynamicSlidingWindowLayer

from kernels.cpu.products import Products
from kernels.dispatch import scan_to_end
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.published.attention import narrowed
from model.published.config import PublishedConfig, sees_everything
from model.published.lm import bent
from model.state import LayerState, State


class Part(NamedTuple):
    """What of a model takes part in a call: all of it, unless said otherwise.

    ``window``: how many tokens attention sees at most. ``silent``: the memories, by number, whose mixers add nothing
    to the residual stream. ``attention``: whether attention adds to it.
    """

    window: int | None = None
    silent: frozenset[int] = frozenset()
    attention: bool = True


class Session(DynamicCache):
    """What one call carries through the library's layers: ``state`` and ``scans`` of the mixers, keys and values.

    ``rest``, as :meth:`kept` gives it, is how many tokens were read (batch, 1), and what every layer of the cache
    holds, as :func:`held` lists it; it is (batch, 1) alone before the first token. ``part`` says what of the model
    takes part in the call.
    """

    def __init__(
        self,
        source: Any,
        state: Sequence[LayerState],
        scans: Sequence[Scan],
        rest: Sequence[Tensor],
        part: Part,
    ) -> None:
        super().__init__(config=source)
        self.state, self.scans, self.part = list(state), scans, part
        self.read = rest[0]
        self.attention = [layer for layer in self.layers if isinstance(layer, CacheLayerMixin)]
        given = iter(rest[1:])
        for layer in self.layers if len(rest) > 1 else ():
            fill(layer, [next(given) for _ in held(layer)], int(self.read[0, 0]))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens read before this call, whichever layer asks."""
        return int(self.read[0, 0])

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """How many keys a query sees, and where they begin; without attention the mask that is made is not used."""
        if not self.attention:
            return query_length, 0
        keys, _ = super().get_mask_sizes(query_length, layer_idx)
        return keys, self.get_seq_length() + query_length - keys

    def narrowed(self, mask: Tensor | None, hidden_states: Tensor, layer_idx: int) -> Tensor | None:
        """The library's ``mask`` for ``hidden_states`` (batch, seqlen, width), within the window."""
        queries, window = hidden_states.shape[1], self.part.window
        if window is None or self.get_seq_length() + queries <= window:
            return mask
        keys, _ = self.get_mask_sizes(queries, layer_idx)
        return narrowed(mask, window, queries, keys, hidden_states.device)

    def kept(self, seqlen: int) -> tuple[Tensor, ...]:
        """The ``rest`` after ``seqlen`` tokens more: of keys and values what the next token can see."""
        absent = self.read.new_zeros(len(self.read), 0, dtype=torch.float32)
        found = [self.read + seqlen]
        for layer in self.layers:
            tensors, seen = held(layer), slice(None)
            keys = tensors[0] if isinstance(layer, CacheLayerMixin) else None
            if self.part.window is not None and keys is not None:
                seen = slice(max(0, keys.shape[-2] - self.part.window + 1), None)
            for tensor in tensors:
                lasting = absent if tensor is None else tensor[..., seen, :]
                found.append(lasting.float() if lasting.is_floating_point() else lasting)
        return tuple(found)


def held(layer: Any) -> list[Tensor | None]:
    """What a layer of the library's cache holds beside a memory of ours, (batch, ...) each; None for what is empty.

    Keys and values (batch, heads, kept, head_dim), and the keys of an indexer (batch, kept, head_dim) where one selects
    what attention sees; or the windows of convolutions that the library has beside those of a mixer.
    """
    if isinstance(layer, CacheLayerMixin):
        found: list[Tensor | None] = [layer.keys, layer.values] if layer.is_initialized else [None, None]
        return [*found, layer.indexer_keys] if isinstance(layer, DynamicIndexedLayer) else found
    return [layer.conv_states[place] for place in range(1, getattr(layer, "number_of_states", 1))]


def fill(layer: Any, tensors: Sequence[Tensor], read: int) -> None:
    """Put ``tensors``, as :func:`held` lists them, into a layer of the library's cache that holds none."""
    if not isinstance(layer, CacheLayerMixin):
        for place, window in enumerate(tensors, 1):
            if window.numel():
                layer.lazy_initialization(window, state_idx=place)
                layer.conv_states[place] = window.clone()  # which the library changes in place
                layer.has_previous_state[place] = True
        return
    keys, values, *indexer = tensors
    if not keys.numel():
        return
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    if isinstance(layer, DynamicSlidingWindowLayer):
        layer.cumulative_length = read
    if isinstance(layer, DynamicIndexedLayer):
        layer.lazy_initialization_indexer(indexer[0])
        layer.indexer_keys = indexer[0]
        lasting = torch.arange(read - keys.shape[-2], read, device=keys.device)
        layer.indexer_position_ids = lasting.expand(3, len(keys), -1)


class Through(nn.Module):
    """A mixer of ours in the place of the library's: number ``index`` of the model's memories.

    ``pair``: the library's module returns a second value, which its layer throws away.
    """

    def __init__(self, mixer: Any, index: int, *, pair: bool) -> None:
        super().__init__()
        self.mixer = mixer
        self.index = index
        self.pair = pair

    # The library's layers also pass masks and positions, whose names differ by family and which no recurrence needs.
    def forward(self, hidden_states: Tensor, *_args: Any, cache: Session, **_kwargs: Any) -> Any:
        """(batch, seqlen, d_model) -> the same shape; reads and replaces its memory in ``cache``."""
        y, cache.state[self.index] = self.mixer(hidden_states, cache.state[self.index], cache.scans[self.index])
        if self.index in cache.part.silent:
            y = torch.zeros_like(y)
        return (y, None) if self.pair else y


class LibraryModel(LanguageModel):
    """``library``, a causal language model of transformers, with our mixers inside.

    ``scale`` multiplies the scores and ``cap`` bends them, where the library's head does.
    """

    def __init__(self, config: PublishedConfig, library: Any, *, scale: float = 1.0, cap: float | None = None) -> None:
        nn.Module.__init__(self)
        self.config: PublishedConfig = config
        self.wrapped = library
        self.mixers = [module.mixer for module in library.modules() if isinstance(module, Through)]
        self.blocks = nn.ModuleList()  # there is no stack of ours that could be run block by block
        self.own_rest = len(self.mixers[0].zero_state(1).rest)
        self.products = Products()
        self.scale, self.cap = scale, cap
        self.part = Part()
        self.takes_positions = "position_ids" in inspect.signature(library.base_model.forward).parameters

    @property
    def embedding(self) -> Any:  # type: ignore[override]
        """The library's embedding."""
        return self.wrapped.get_input_embeddings()

    @property
    def head(self) -> Tensor:
        """The matrix of the head, (vocab_size, d_model), as the library loaded it: tied or of its own."""
        head: Tensor = self.wrapped.get_output_embeddings().weight
        return head

    def zero_state(self, batch: int = 1) -> State:
        """An empty memory for ``batch`` sequences."""
        first, *others = (mixer.zero_state(batch) for mixer in self.mixers)
        read = torch.zeros(batch, 1, dtype=torch.int64, device=self.head.device)
        return first._replace(rest=(*first.rest, read)), *others

    def logits(self, u: Tensor, words: slice = slice(None)) -> Tensor:
        """Scores of the next token, or of the ``words`` of the vocabulary: (..., d_model) -> (..., vocab_size)."""
        scores = self.products.linear(u.to(self.head.dtype), self.head, None, words)
        if self.scale != 1:
            scores = scores * self.scale
        return bent(scores, self.cap)

    def hidden(
        self, tokens: Tensor, state: State | None = None, scans: Sequence[Scan] | None = None
    ) -> tuple[Tensor, State]:
        """What the head reads, (batch, seqlen, d_model), and the state after the last token."""
        state = self.zero_state(tokens.shape[0]) if state is None else state
        scans = [scan_to_end] * len(self.mixers) if scans is None else scans
        first, *others = state
        own, rest = first.rest[: self.own_rest], first.rest[self.own_rest :]
        dtype = self.head.dtype
        session = Session(
            self.wrapped.config,
            [first._replace(rest=own), *others],
            scans,
            [rest[0], *(tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in rest[1:])],
            self.part,
        )
        seqlen = tokens.shape[1]
        positions = {}
        if self.takes_positions:
            read = torch.arange(seqlen, device=tokens.device) + session.get_seq_length()
            positions["position_ids"] = read.expand(len(tokens), -1)
        output = self.wrapped.base_model(input_ids=tokens, cache=session, use_cache=False, **positions)
        after = session.state
        after[0] = after[0]._replace(rest=(*after[0].rest, *session.kept(seqlen)))
        return output.last_hidden_state.float(), tuple(after)

    def seeing(self, window: int) -> LibraryModel:
        """The same weights, whose attention sees the last ``window`` tokens at most; attention that is local stays."""
        if not sees_everything(self.config):
            return self
        return self._taking(self.part._replace(window=window))

    def without(self, layers: Collection[int], *, attention: bool = False) -> LibraryModel:
        """The same weights, with the mixers of ``layers``, and ``attention``, adding nothing to the residual stream."""
        return self._taking(self.part._replace(silent=frozenset(layers), attention=not attention))

    def _taking(self, part: Part) -> LibraryModel:
        other = copy(self)
        other.part = part
        return other

    def use_bfloat16(self) -> LibraryModel:
        """The model itself: a published one is loaded in the precision that it is used in."""
        return self


def replace_mixers(library: Any, name: str, adopt: Callable[[Any], nn.Module], *, pair: bool) -> None:
    """Put ``adopt(module)`` in the place of every module of ``library`` whose class is called ``name``."""
    found = [place for place, module in library.named_modules() if type(module).__name__ == name]
    for index, place in enumerate(found):
        library.set_submodule(place, Through(adopt(library.get_submodule(place)), index, pair=pair))
