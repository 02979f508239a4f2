"""Architectures: checkpoints of different families on the same documents, each asked the same questions.

    reading     loss within the training length T and from 8 T on, excess over the fresh state, onset, state norm, bytes
    passkey     passkey retrieval at T / 2 to 16 T, few keys
    context     how far back the next prediction depends on the text
    gradients   the norm of d loss_t / d state_{t-k} by k
    speed       time of reading by length, and of one token more

Nothing here knows a family: what a checkpoint has not got, such as the state norm of attention, is None and said to
be. Each part is stored as soon as it is measured, one file a checkpoint, so an interrupted run resumes.

``result`` holds the numbers, ``measure`` reads, ``run`` goes through the parts, ``table`` has one row a checkpoint,
``report`` writes it for a terminal and for the documents. Importing this package does not import torch.
"""

from model.studies.architectures.result import PARTS, Architecture, Context, Reading, Speed, Timing
from model.studies.architectures.run import begin, measure_architecture, measure_into, sample_texts, stored_in

__all__ = [
    "PARTS",
    "Architecture",
    "Context",
    "Reading",
    "Speed",
    "Timing",
    "begin",
    "measure_architecture",
    "measure_into",
    "sample_texts",
    "stored_in",
]
