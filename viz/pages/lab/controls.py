"""The controls of a run: initial states, training text, steps, learning rate and length."""

from __future__ import annotations

import streamlit as st

from model.checkpoints.catalogue import model_card
from model.training.clipping import CLIPPINGS
from model.training.interventions import INTERVENTIONS
from model.training.post_config import DECAY_RATES, EMPTY_ROWS, LIMITS, PostTrainConfig
from viz.app import links, session
from viz.app.choices import Choices
from viz.app.language import t
from viz.pages.lab import job as labs
from viz.pages.lab import texts as lab_texts

FIRST = "carried"
"""The intervention that is suggested: the strongest in the literature, and as quick as any."""

LEAST_TRUNCATION = 8
"""Tokens of the shortest truncated backpropagation that can be chosen: a shorter one reads almost token by token."""


def controls(chosen: Choices, picked: bool = False) -> tuple[str, float, lab_texts.TrainingText | None, labs.Numbers]:
    """Intervention, share of the steps, training text (None if there is none yet), and the numbers of a run.

    ``picked``: whether spans of the chosen document are picked to start from.
    """
    obstacles = {name: row.obstacle(model_card(chosen.model).config) for name, row in INTERVENTIONS.items()}
    usable = [
        name
        for name, row in INTERVENTIONS.items()
        if obstacles[name] is None
        and (labs.has_states(chosen.model) or not row.needs_explored)
        and (picked or not row.needs_spans)
    ]
    usable.sort(key=lambda name: name != FIRST)
    titles = {name: t(f"interventions.{name}_title") for name in usable}
    helps = "\n\n".join(f"**{titles[name]}** – {t(f'interventions.{name}_help')}" for name in usable)
    with st.container(border=True, key="lab-settings"):
        grid = st.grid(3, min_column_width=220)
        with grid.cell():
            name = links.choice("lab_how", titles, t("lab.how"), help=helps)
        with grid.cell():
            share = _share(name)
        with grid.cell():
            sources = {lab_texts.SAMPLES_TEXT: t("lab.text_samples"), lab_texts.OWN_TEXT: t("lab.text_own")}
            source = links.choice("lab_text", sources, t("lab.text"), help=t("lab.text_help"))
        st.caption(t(f"interventions.{name}_help"))
        for why in dict.fromkeys(filter(None, obstacles.values())):
            names = [t(f"interventions.{one}_title") for one, obstacle in obstacles.items() if obstacle == why]
            st.caption(t(f"interventions.{why}", name=t("lab.and").join(names)))
        text = _text(source, chosen)
        numbers = _advanced(chosen)
    return name, share, text, numbers


def _share(name: str) -> float:
    if name == "zeros":
        st.slider(t("lab.share"), 5, 100, 100, format="%d %%", disabled=True, key="lab_share_zeros")
        return 1.0
    row = INTERVENTIONS[name]
    percent = st.slider(
        t("lab.share"),
        5,
        100,
        round(100 * row.share),
        step=5,
        format="%d %%",
        key=f"lab_share_{name}",
        help=t("lab.share_help"),
        bind="query-params",
    )
    return percent / 100


def _text(source: str, chosen: Choices) -> lab_texts.TrainingText | None:
    document = session.document(chosen.document)
    if source == lab_texts.SAMPLES_TEXT:
        return lab_texts.samples_text(document)
    st.warning(t("lab.confidential"), icon=":material/lock_open:")
    uploads = [key for key in session.document_keys() if key.startswith("upload:")]
    if not uploads:
        st.info(t("lab.no_uploads"), icon=":material/upload_file:")
        return None
    titles = {key: session.document_title(key) for key in uploads}
    keys = links.choices(
        "lab_own", titles, uploads, t("lab.own_documents"), most=len(uploads), placeholder=t("app.choose")
    )
    if not keys:
        return None
    text = lab_texts.own_text(keys, document)
    if text.watched:
        st.caption(t("lab.watched_part"))
    return text


def _advanced(chosen: Choices) -> labs.Numbers:
    usual = PostTrainConfig(base=chosen.model, interventions=(("zeros", 1.0),), length=labs.train_length(chosen.model))
    has_rates = model_card(chosen.model).has_rates
    with st.expander(t("lab.advanced"), icon=":material/tune:"):
        grid = st.grid(3, min_column_width=180)
        with grid.cell():
            low, high = (int(limit) for limit in LIMITS["steps"])
            steps = st.number_input(
                t("lab.steps"), low, high, usual.steps, step=50, key="lab_steps", bind="query-params"
            )
        with grid.cell():
            rate = st.number_input(
                t("lab.learning_rate"),
                *LIMITS["learning_rate"],
                usual.learning_rate,
                step=1e-4,
                format="%g",
                key="lab_rate",
                help=t("lab.learning_rate_help"),
                bind="query-params",
            )
        with grid.cell():
            length = st.number_input(
                t("lab.length"),
                int(LIMITS["length"][0]),
                labs.longest(usual.length),
                max(usual.length, int(LIMITS["length"][0])),
                step=64,
                key=f"lab_length_{chosen.model}",
                help=t("lab.length_help"),
                bind="query-params",
            )
        with grid.cell():
            empty = st.number_input(
                t("lab.empty_rows"),
                *LIMITS["empty_rows"],
                EMPTY_ROWS,
                step=0.05,
                key="lab_empty",
                help=t("lab.empty_rows_help"),
                bind="query-params",
            )
        with grid.cell():
            multiple = st.number_input(
                t("lab.decay_rates"),
                *LIMITS["decay_rates"],
                DECAY_RATES,
                step=1.0,
                format="%g",
                key="lab_decay",
                help=t("lab.decay_rates_help" if has_rates else "lab.decay_rates_none"),
                disabled=not has_rates,
                bind="query-params",
            )
        clipping, clip, truncation = _gradient(int(length), chosen.model)
    return labs.Numbers(
        steps=steps,
        learning_rate=rate,
        length=length,
        clipping=clipping,
        clip=clip,
        truncation=truncation,
        empty_rows=empty,
        decay_rates=multiple if has_rates else 1.0,
    )


def _gradient(length: int, model: str) -> tuple[str, float, int]:
    """Clipping, its limit, and the tokens that the gradient reaches back: 0 for the whole sequence."""
    titles = {name: t(f"training.clipping_{name}") for name in CLIPPINGS}
    helps = "\n\n".join(f"**{titles[name]}** – {t(f'training.clipping_{name}_help')}" for name in titles)
    grid = st.grid(3, min_column_width=180)
    with grid.cell():
        name = links.choice("lab_clipping", titles, t("lab.clipping"), help=helps)
    usual = CLIPPINGS[name].usual
    with grid.cell():
        limit = st.number_input(
            t("lab.clip"),
            *LIMITS["clip"],
            usual,
            format="%g",
            key=f"lab_clip_{name}",
            disabled=name == "none",
            help=t("lab.clip_help"),
            bind="query-params",
        )
    with grid.cell():
        reach = st.number_input(
            t("lab.truncation"),
            LEAST_TRUNCATION,
            length,
            length,
            step=LEAST_TRUNCATION,
            key=f"lab_truncation_{model}_{length}",
            help=t("lab.truncation_help"),
            bind="query-params",
        )
    st.caption(t(f"training.clipping_{name}_help"))
    return name, usual if name == "none" else float(limit), 0 if reach >= length else int(reach)
