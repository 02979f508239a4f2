"""Technical terms in a sentence, each with its definition behind it: for the pointer, the keyboard and a screen reader.

A message writes ``[the excess loss](term:excess_loss)``; ``ui.terms.excess_loss`` is the definition.
"""

from __future__ import annotations

import html
import re

import streamlit as st

from viz.app.language import t
from viz.app.theme import BACKGROUND, GREY, TEXT, is_dark

_TERM = re.compile(r"\[([^\]]+)\]\(term:(\w+)\)")

_STYLE = """
.with-terms { position: relative; margin: 0; }
.with-terms.small { font-size: 0.875rem; color: color-mix(in srgb, currentColor 75%, transparent); }
.with-terms .term {
  text-decoration: underline dotted; text-underline-offset: 0.2em; cursor: help; border-radius: 2px;
}
.with-terms .term:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.with-terms [role="tooltip"] {
  display: none; position: absolute; left: 0; top: 100%; z-index: 100; max-width: 34rem; margin-top: 0.3rem;
  padding: 0.5rem 0.75rem; border-radius: 8px; font-size: 0.9rem; line-height: 1.5;
}
.with-terms .term:hover + [role="tooltip"], .with-terms .term:focus + [role="tooltip"],
.with-terms [role="tooltip"]:hover { display: block; }
"""


def with_terms(text: str, *, key: str, small: bool = False) -> None:
    """Draw a paragraph of ``text``, plain but for its terms; ``key`` tells its definitions from others of the page.

    ``small`` draws it like a caption.
    """
    dark = is_dark()
    colours = f"background: {BACKGROUND[dark]}; color: {TEXT[dark]}; border: 1px solid {GREY}"
    pieces, end = [], 0
    for number, found in enumerate(_TERM.finditer(text)):
        name = f"term-{key}-{number}"
        definition = html.escape(t(f"ui.terms.{found[2]}"))
        pieces += [
            html.escape(text[end : found.start()]),
            f'<span class="term" tabindex="0" role="note" aria-describedby="{name}">{html.escape(found[1])}</span>',
            f'<span role="tooltip" id="{name}" style="{colours}">{definition}</span>',
        ]
        end = found.end()
    body = "".join([*pieces, html.escape(text[end:])])
    st.html(f'<style>{_STYLE}</style><p class="with-terms{" small" if small else ""}">{body}</p>')


def without_terms(text: str) -> str:
    """``text`` with the words alone, for where a definition cannot stand: a tooltip, a report."""
    return _TERM.sub(r"\1", text)
