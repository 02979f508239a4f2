"""The page "State norms"."""

from viz.session import current_recording
from viz.views.state_norms import render

render(current_recording())
