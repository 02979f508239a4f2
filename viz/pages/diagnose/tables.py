"""Diagnoses as tables: a row a strategy for the screen and for files, and a row a document."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from model.studies.diagnose import Diagnosis, StrategyResult
from viz.app import session
from viz.app.choices import describe
from viz.app.language import language, t
from viz.pages.diagnose.figures import group

UNKNOWN = "–"
FINE = 0.02
"""Width of an interval of shares below which it is written with a decimal."""


def name_of(result: StrategyResult) -> str:
    """What a strategy is called: its settings in words, or the name of the weights."""
    return result.model if result.post_trained else describe(result.strategy)


def names_of(found: Diagnosis) -> list[str]:
    """The names of all strategies; two are never the same."""
    names = [name_of(result) for result in found.strategies]
    return [
        f"{name} ({result.recording[:4]})" if names.count(name) > 1 else name
        for name, result in zip(names, found.strategies, strict=True)
    ]


def share(low: float, high: float) -> str:
    """An interval of shares in words: 94% to 98%, or 99.6% to 99.8%."""
    return t("diagnose.interval", low=spoken(low, low, high), high=spoken(high, low, high))


def spoken(value: float, low: float, high: float) -> str:
    """A share as exactly as its interval allows: 96%, or 99.7%."""
    return f"{value:.1%}" if high - low < FINE else f"{value:.0%}"


def link_to(recording: str) -> str | None:
    """The address of the reading, where this session has it."""
    return None if session.find(recording) is None else f"./?recording={recording}&lang={language()}"


def strategies(found: Diagnosis) -> pd.DataFrame:
    """A row for every strategy, in the order of the diagnosis, with what the table on the screen shows."""
    rows = []
    for name, result in zip(names_of(found), found.strategies, strict=True):
        removed, recall = result.removed, result.recall
        rows.append(
            {
                "group": t(f"diagnose.group_{group(result, found)}") if result.blocks else t("diagnose.group_failed"),
                "strategy": name,
                "removed": None if removed is None else removed.mean,
                "interval": UNKNOWN if removed is None else share(removed.low, removed.high),
                "cost": None if result.cost is None else result.cost.mean,
                "excess": None if result.excess is None else result.excess.mean,
                "onset": None if result.onset is None else result.onset + 1,
                "recall": None if recall is None else recall.accuracy,
                "speed": result.speed,
                "reading": link_to(result.recording),
            }
        )
    return pd.DataFrame(rows)


def columns() -> dict[str, Any]:
    """How the columns of :func:`strategies` are drawn."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    formats = {"removed": "percent", "cost": "percent", "excess": "%+.3f", "onset": "%,d", "recall": "percent"}
    drawn: dict[str, Any] = {
        name: number(t(f"diagnose.column_{name}"), format=form, help=t(f"diagnose.column_{name}_help"))
        for name, form in {**formats, "speed": "%.2f×"}.items()
    }
    drawn |= {name: text(t(f"diagnose.column_{name}")) for name in ("group", "strategy", "interval")}
    drawn["reading"] = st.column_config.LinkColumn(
        t("diagnose.column_reading"), display_text=t("diagnose.open"), help=t("diagnose.column_reading_help")
    )
    return drawn


def whole(found: Sequence[Diagnosis]) -> pd.DataFrame:
    """Every number of every strategy of every document: what the files hold, with names that do not change."""
    rows = []
    for diagnosis in found:
        for result in diagnosis.strategies:
            row: dict[str, Any] = {
                "document": diagnosis.document_name,
                "sha256": diagnosis.document,
                "tokens": diagnosis.tokens,
                "train_length": diagnosis.train_length,
                "verdict": diagnosis.case,
                "model": result.model,
                "strategy": result.text,
                "recommended": result.recording == diagnosis.recommended,
                "tie": result.tie,
                "loss_within": result.loss_within,
                "loss_beyond": result.loss_beyond,
            }
            for name in ("excess", "removed", "cost", "gain", "behind"):
                value = getattr(result, name)
                for part in ("mean", "low", "high"):
                    row[f"{name}_{part}"] = None if value is None else getattr(value, part)
            recall = result.recall
            row |= {
                "onset": result.onset,
                "recalled": None if recall is None else recall.correct,
                "recall_trials": None if recall is None else recall.trials,
                "recall_length": None if recall is None else recall.length,
                "tokens_per_second": result.tokens_per_second,
                "speed": result.speed,
                "recording": result.recording,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def downloads(found: Sequence[Diagnosis], name: str) -> None:
    """Buttons for all numbers, as CSV and as Parquet."""

    def parquet() -> bytes:
        data = io.BytesIO()
        whole(found).to_parquet(data, index=False)
        return data.getvalue()

    with st.container(horizontal=True):
        st.download_button(
            t("diagnose.csv"),
            data=lambda: whole(found).to_csv(index=False).encode("utf-8-sig"),
            file_name=f"{name}.csv",
            mime="text/csv",
            icon=":material/download:",
            key=f"{name}-csv",
            on_click="ignore",
        )
        st.download_button(
            t("diagnose.parquet"),
            data=parquet,
            file_name=f"{name}.parquet",
            mime="application/vnd.apache.parquet",
            icon=":material/download:",
            key=f"{name}-parquet",
            on_click="ignore",
        )
