"""Evidence: what papers report about long memories, beside what the models of this machine show on held-out text.

``claims`` are the published effects, as frozen data; ``family`` says which models are compared; ``measure`` reads and
``run`` goes through all readings; ``result`` holds the numbers with their intervals; ``findings`` puts a verdict
beside each claim by one rule, and ``report`` writes that down for a terminal.

    result = run_evidence(*begin(documents, tokens=16_384))
    rows = findings(result)

Importing this package does not import torch: the page reads results.
"""

from model.studies.evidence.claim import Claim
from model.studies.evidence.claims import CLAIMS
from model.studies.evidence.family import EvidenceTask, Member, members
from model.studies.evidence.findings import Finding, findings
from model.studies.evidence.result import DocumentReading, Estimate, EvidenceResult
from model.studies.evidence.run import begin, run_evidence

__all__ = [
    "CLAIMS",
    "Claim",
    "DocumentReading",
    "Estimate",
    "EvidenceResult",
    "EvidenceTask",
    "Finding",
    "Member",
    "begin",
    "findings",
    "members",
    "run_evidence",
]
