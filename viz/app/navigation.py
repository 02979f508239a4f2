"""The table of pages: a folder of ``viz/pages`` each, in four groups, in the order of the menu.

A page is its folder and its row here. ``<folder>.page.title`` is its title, ``<folder>.page.help`` what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Page:
    """What frames a page.

    ``recording``: the page shows the chosen recording, so the frame offers that choice above it.
    ``settings``: the page computes with the settings of the sidebar, so they are open there.
    ``slide``: the page has a slide of the presentation, ``slide.py`` in its folder.
    """

    group: str
    icon: str
    recording: bool = False
    settings: bool = False
    slide: bool = False


GROUPS = ("diagnose", "test", "improve", "library")
"""In the order of the menu; the title of each is ``app.groups.<name>``."""

HOME = "overview"
"""The page that opens first."""

PAGES: dict[str, Page] = {
    "diagnose": Page(group="diagnose", icon=":material/stethoscope:", settings=True),
    "overview": Page(group="diagnose", icon=":material/lightbulb:", recording=True, slide=True),
    "play": Page(group="diagnose", icon=":material/play_circle:", recording=True, slide=True),
    "text": Page(group="diagnose", icon=":material/article:", recording=True),
    "state_norms": Page(group="diagnose", icon=":material/show_chart:", recording=True, slide=True),
    "state_map": Page(group="diagnose", icon=":material/bubble_chart:", recording=True, slide=True),
    "ask": Page(group="diagnose", icon=":material/forum:", recording=True),
    "compare": Page(group="diagnose", icon=":material/compare_arrows:", slide=True),
    "cost": Page(group="diagnose", icon=":material/payments:", settings=True),
    "passkey": Page(group="test", icon=":material/key:", settings=True),
    "effective_context": Page(group="test", icon=":material/history:", settings=True),
    "capacity": Page(group="test", icon=":material/straighten:"),
    "architectures": Page(group="test", icon=":material/account_tree:"),
    "lab": Page(group="improve", icon=":material/science:", settings=True),
    "mitigations": Page(group="improve", icon=":material/healing:", settings=True),
    "documents": Page(group="library", icon=":material/description:"),
    "recordings": Page(group="library", icon=":material/database:"),
    "models": Page(group="library", icon=":material/deployed_code:"),
    "evidence": Page(group="library", icon=":material/balance:"),
}
"""Folder: its row. The order within a group is that of the menu."""

SLIDES = [name for name, page in PAGES.items() if page.slide]
"""The pages with a slide, in the order of the presentation."""


def pages_of(group: str) -> list[str]:
    """The folders of ``group``, in the order of the menu."""
    return [name for name, page in PAGES.items() if page.group == group]
