"""The table of pages, in the order of the top bar: a folder of ``viz/pages`` each."""

from __future__ import annotations

PAGES: dict[str, tuple[str, bool]] = {
    "overview": (":material/lightbulb:", True),
    "text": (":material/article:", True),
    "state_norms": (":material/show_chart:", True),
    "state_map": (":material/bubble_chart:", True),
    "ask": (":material/forum:", True),
    "passkey": (":material/key:", False),
    "effective_context": (":material/history:", False),
    "lab": (":material/science:", False),
    "evidence": (":material/balance:", False),
    "compare": (":material/compare_arrows:", False),
    "recordings": (":material/database:", False),
    "documents": (":material/description:", False),
    "models": (":material/deployed_code:", False),
}
"""Folder: its icon, and whether the page shows the chosen recording."""
