"""Data folders of tests: what was loaded by name from one must not be found from the next."""

from __future__ import annotations

from model.checkpoints.catalogue import load_model, load_tokenizer_of


def forget_models() -> None:
    """Forget the models and tokenizers that were loaded by name, for another folder may have others of that name."""
    load_model.cache_clear()
    load_tokenizer_of.cache_clear()
