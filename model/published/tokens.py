"""The tokenizer of a published checkpoint, through the library's AutoTokenizer, as the one that we encode with."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from model.errors import UserError

FILES = ("tokenizer.json", "*.model", "*.tiktoken", "vocab.json", "vocab.txt", "tekken.json")
"""What holds the words of a tokenizer."""


def load_published_tokenizer(folder: Path, name: str) -> Tokenizer:
    """The fast tokenizer in ``folder``; UserError if there is none, or only one that runs code of its own.

    Where the library does not know what the folder is, as with the original layouts, ``tokenizer.json`` says it all.
    """
    from transformers import AutoTokenizer

    if not any(found for pattern in FILES for found in folder.glob(pattern)):  # the library would make an empty one
        raise UserError("published.remote_tokenizer" if needs_code(folder) else "published.no_tokenizer", name=name)
    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return found.backend_tokenizer
    except Exception as error:  # the library raises whatever a damaged file makes it raise
        try:
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception:
            key = "published.remote_tokenizer" if needs_code(folder) else "published.no_tokenizer"
            raise UserError(key, name=name) from error


def needs_code(folder: Path) -> bool:
    """Whether the tokenizer in ``folder`` is a class that the checkpoint brings along."""
    try:
        values = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        return "AutoTokenizer" in values.get("auto_map", {})
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def beginning(tokenizer: Tokenizer) -> list[int]:
    """Tokens that the tokenizer puts before every text, such as Gemma's begin-of-text; empty for most."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    count = next((place for place, special in enumerate(encoding.special_tokens_mask) if not special), 0)
    return encoding.ids[:count]
