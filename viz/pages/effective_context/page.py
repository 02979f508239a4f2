"""The page "Effective context"."""

import streamlit as st

from viz.app.choices import choices
from viz.app.language import t
from viz.pages.effective_context.view import render

chosen = choices()
if chosen is None:
    st.info(t("effective_context.no_model"), icon=":material/deployed_code_alert:")
else:
    render(chosen)
