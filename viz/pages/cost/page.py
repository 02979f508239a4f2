"""The page "Cost"."""

import streamlit as st

from viz.app.choices import choices
from viz.app.language import t
from viz.pages.cost.view import render

chosen = choices()
if chosen is None:
    st.info(t("cost.no_model"), icon=":material/deployed_code_alert:")
else:
    render(chosen)
