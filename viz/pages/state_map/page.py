"""The page "State map"."""

from viz.app.session import current_recording
from viz.pages.state_map.view import render

render(current_recording())
