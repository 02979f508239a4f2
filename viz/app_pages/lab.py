"""The page "Lab"."""

import streamlit as st

from viz.choices import choices
from viz.language import t
from viz.views.lab import render

chosen = choices()
if chosen is None:
    st.info(t("lab.no_model"), icon=":material/deployed_code_alert:")
else:
    render(chosen)
