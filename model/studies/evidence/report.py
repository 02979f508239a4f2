"""The evidence as text and as plain values: what ``memory-explorer evidence`` prints, and how numbers are written."""

from __future__ import annotations

import textwrap
from typing import Any

from model.messages import message
from model.studies.evidence.claim import GROUPS, PAPERS, Claim
from model.studies.evidence.findings import MARKS, MISSING, Finding, findings
from model.studies.evidence.result import Estimate, EvidenceResult

FORMATS = {"share": "{:+.1%}", "nats": "{:+.2f}", "ratio": "{:.2f}", "slope": "{:+.2f}", "doublings": "{:+.1f}"}
"""How a number of each unit is written."""
WIDTH = 118


def number(value: float, claim: Claim) -> str:
    """``value`` in the unit of ``claim``: +0.45, 12.3%, 1.69."""
    written = FORMATS[claim.unit].format(value)
    return written.removeprefix("+") if claim.measure in ("left", "removed") else written


def estimated(estimate: Estimate, claim: Claim, language: str) -> str:
    """A number, its interval and what that rests on: 12.3% (10.1% to 14.5%; 5 documents)."""
    key = "questions" if claim.measure.startswith("recall") else "documents"
    mean, low, high = (number(value, claim) for value in (estimate.mean, estimate.low, estimate.high))
    return message(f"evidence.over_{key}", language, mean=mean, low=low, high=high, count=estimate.count)


def words(claim: Claim, language: str) -> str:
    """What is claimed, in a sentence."""
    return message(f"evidence.claim_{claim.words}", language, who=message(claim.who, language) if claim.who else "")


def says(claim: Claim, language: str) -> str:
    """What the paper reports."""
    return message(f"evidence.says_{claim.says}", language)


def source(claim: Claim, language: str) -> str:
    """Where, and how sure we are of it; "" if nothing is published."""
    if claim.says == "nothing":
        return ""
    where = message(f"evidence.where_{claim.where}", language)
    mark = message(f"evidence.mark_{claim.mark}", language)
    return f"{PAPERS[claim.paper]} (arXiv {claim.paper}), {where}; {mark}"


def ours(finding: Finding, language: str) -> str:
    """Our number with its interval, or what is missing."""
    if finding.estimate is None:
        return message(f"evidence.missing_{finding.missing}", language)
    return estimated(finding.estimate, finding.claim, language)


def judged(finding: Finding, language: str) -> str:
    """The verdict in words, with the size where one is published."""
    verdict = message(f"evidence.verdict_{finding.verdict}", language)
    return f"{verdict}; {message(f'evidence.size_{finding.size}', language)}" if finding.size else verdict


def table(result: EvidenceResult, language: str = "en") -> list[dict[str, Any]]:
    """One row per claim: words for people, and the bare numbers."""
    rows = []
    for finding in findings(result):
        claim, estimate = finding.claim, finding.estimate
        rows.append(
            {
                "key": claim.key,
                "group": claim.group,
                "claim": words(claim, language),
                "published": says(claim, language),
                "source": source(claim, language),
                "ours": ours(finding, language),
                "verdict": finding.verdict,
                "judged": judged(finding, language),
                "unit": claim.unit,
                "mean": estimate.mean if estimate else None,
                "low": estimate.low if estimate else None,
                "high": estimate.high if estimate else None,
                "count": estimate.count if estimate else None,
            }
        )
    return rows


def printed(result: EvidenceResult, language: str = "en") -> str:
    """The table for a terminal."""
    lines = []
    rows = table(result, language)
    for group in GROUPS:
        lines += ["", message(f"evidence.group_{group}", language).upper()]
        for row in (row for row in rows if row["group"] == group):
            lines += textwrap.wrap(f"{MARKS[row['verdict']]} {row['claim']}", WIDTH, subsequent_indent="  ")
            for name in ("published", "ours"):
                line = f"{message(f'evidence.column_{name}', language)}: {row[name]}"
                tail = f" [{row['source']}]" if row["source"] else ""
                if name == "ours":
                    tail = "" if row["verdict"] == MISSING else f" -> {row['judged']}"
                lines += textwrap.wrap(line + tail, WIDTH, initial_indent="    ", subsequent_indent="      ")
    for key in ("rule", "one_run"):
        lines += ["", *textwrap.wrap(message(f"evidence.{key}", language), WIDTH)]
    return "\n".join(lines)
