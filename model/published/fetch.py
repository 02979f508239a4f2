"""The process that downloads a checkpoint: ``python -m model.published.fetch NAME CACHE``.

It ends with 0 when everything is there, else with 1 and the key of a message on standard output.
"""

from __future__ import annotations

import sys

from model.published.hub import PATTERNS, in_a_sentence


def main(name: str, cache: str) -> int:
    """Fetch the files of ``name`` that are read here into ``cache``."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(name, cache_dir=cache, allow_patterns=list(PATTERNS))
    except Exception as error:
        print(in_a_sentence(error, name).key)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
