"""The frame of every chart: its title, the figure, its explanation, its data.

No chart sends more than a megabyte to the browser, however long the document: series are thinned before they are
drawn, keeping their peaks, and the full numbers come with the download.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from viz.app.language import t
from viz.figures.style import CONFIG

STILL = {"displayModeBar": False}
"""Plotly's settings on a slide: nothing but the figure."""


def enlarged(figure: go.Figure, height: int) -> go.Figure:
    """``figure`` in letters and lines that are read from the end of a room."""
    figure.update_layout(height=height, font={"size": 18}, legend={"font": {"size": 18}})
    figure.update_layout(margin={"l": 84, "r": 100, "t": 44, "b": 64})
    figure.update_xaxes(title_font={"size": 18})
    figure.update_yaxes(title_font={"size": 18})
    figure.update_annotations(font={"size": 16})
    figure.for_each_trace(lambda trace: trace.update(line={"width": 1.6 * (trace.line.width or 0)}), _has_line)
    return figure


def _has_line(trace: Any) -> bool:
    return trace.type in ("scatter", "scattergl") and trace.line.width is not None


def chart(
    figure: go.Figure,
    *,
    key: str,
    title: str,
    explanation: str,
    alt: str,
    data: pd.DataFrame | None = None,
    selectable: bool = False,
    slide: int | None = None,
) -> Any:
    """Draw ``figure`` under ``title`` with its explanation, alt text and a CSV of ``data``.

    Returns Streamlit's selection event if ``selectable``, else None. On a ``slide`` of so many pixels the figure is
    alone, its letters and lines enlarged.
    """
    if slide is not None:
        return st.plotly_chart(enlarged(figure, slide), key=key, theme=None, config=STILL, alt=alt, width="stretch")
    with st.container(border=True, gap="xsmall", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.markdown(f"**{title}**", help=explanation, width="stretch")
            if data is not None:
                st.download_button(
                    "",
                    data=lambda: data.to_csv(index=False).encode("utf-8-sig"),
                    file_name=f"{key}.csv",
                    mime="text/csv",
                    icon=":material/download:",
                    help=t("ui.chart.download"),
                    type="tertiary",
                    key=f"{key}-csv",
                    on_click="ignore",
                )
        options: dict[str, Any] = {"on_select": "rerun", "selection_mode": "points"} if selectable else {}
        return st.plotly_chart(figure, key=key, theme=None, config=CONFIG, alt=alt, width="stretch", **options)
