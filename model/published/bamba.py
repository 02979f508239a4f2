"""Bamba, a hybrid: layers of Mamba-2 with a few layers of full attention between (ibm-ai-platform/Bamba-9B).

The attention layers keep the keys and values of every token, so the memory of the whole model grows with the document.
That part is no recurrent memory: no mitigation acts on it, no map shows it, and it alone may recall what a state lost.
"""

from __future__ import annotations

from model.published.mamba2 import adopted, hybrid_sizes

MIXER = "BambaMixer"
sizes = hybrid_sizes

__all__ = ["MIXER", "adopted", "sizes"]
