"""Diagnose: all sensible strategies on one document, what each gives and costs, and what to do.

``strategies`` says what is read, ``run`` reads it, each strategy into an ordinary recording, ``recommend`` compares and
decides, ``result`` is the answer.

    diagnosis = diagnose(read_path("report.pdf"), "mamba2-base", Path("recordings"))
    print(diagnosis.case, diagnosis.best.text)

Importing this package does not import torch: pages read results.
"""

from model.studies.diagnose.result import Confidence, Diagnosis, Recall, Sentence, StrategyResult, file_of, load
from model.studies.diagnose.run import diagnose

__all__ = ["Confidence", "Diagnosis", "Recall", "Sentence", "StrategyResult", "diagnose", "file_of", "load"]
