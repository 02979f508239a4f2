"""The page "State map"."""

from viz.session import current_recording
from viz.views.state_map import render

render(current_recording())
