"""What the configurations of several families call alike, in our words; a family's ``sizes`` adds what is its own."""

from __future__ import annotations

from typing import Any

from model.published.config import refuse_unless


def outer(source: Any, *, eps: str = "rms_norm_eps") -> dict[str, Any]:
    """Our fields around the mixers; ``eps`` is what the family calls that of its norms."""
    return {
        "d_model": source.hidden_size,
        "norm_eps": getattr(source, eps),
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
    }


def refuse_all_but_silu(source: Any, field: str = "hidden_act") -> None:
    """NotComputedError for another activation than the one that our mixers have."""
    found = getattr(source, field)
    refuse_unless(found in ("silu", "swish"), f"{field} = {found}")


def recurrent(source: Any, mixer: str) -> dict[str, Any]:
    """Our ``layers``, one for each that the configuration counts as linear attention; NotComputedError without any."""
    count = list(source.layer_types).count("linear_attention")
    refuse_unless(count > 0, "layer_types without linear_attention")
    return {"layers": (mixer,) * count}


def kept(source: Any, attention: int) -> dict[str, Any]:
    """Our fields for so many ``attention`` layers that keep the keys and values of every token."""
    head_dim = getattr(source, "head_dim", None) or source.hidden_size // source.num_attention_heads
    heads = source.num_key_value_heads or source.num_attention_heads
    return {
        "attention_layers": attention,
        "kept_per_token": 2 * attention * heads * head_dim,
        "kept_tokens": None if attention else 0,
    }


def limit(bounds: Any) -> tuple[float, float] | None:
    """The bounds of a step size; None if they bound nothing, for a softplus is never negative."""
    low, high = (float(bound) for bound in bounds)
    return None if low <= 0 and high == float("inf") else (low, high)
