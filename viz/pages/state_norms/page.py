"""The page "State norms"."""

from viz.app.session import current_recording
from viz.pages.state_norms.view import render

render(current_recording())
