"""The passkey test: insert a key of digits into a long text, query it at the end, count over lengths and depths.

The protocol is that of Stuffed Mamba (arXiv 2410.07145, appendix B): keys of five digits, greedy decoding, float32,
exact match. The sentences are our own, without the paper's announcement at the start. ``task`` says what is queried and
who answers, ``questions`` what is hidden, ``prompts`` writes it in tokens, ``cell_by_cell`` lets a model answer
as it is written and ``fork`` from copied states, ``run`` opens the reader, ``result`` holds the numbers, ``compare``
sets two of them side by side, ``explain`` looks into a cell, ``sweep`` runs many tests.

    result = measure(PasskeyResult(task=task, reader=reader_of("mamba2-base", Strategy.of(mitigations={"decay": 4}))))

Importing this package does not import torch: pages read results.
"""

from model.studies.passkey.prompts import Prompt, Prompts
from model.studies.passkey.result import Cell, PasskeyResult, wilson
from model.studies.passkey.run import measure, reader_of
from model.studies.passkey.task import PasskeyTask, Reader, doubling_lengths, even_depths

__all__ = [
    "Cell",
    "PasskeyResult",
    "PasskeyTask",
    "Prompt",
    "Prompts",
    "Reader",
    "doubling_lengths",
    "even_depths",
    "measure",
    "reader_of",
    "wilson",
]
