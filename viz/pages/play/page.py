"""The page "Play"."""

from viz.app.session import current_recording
from viz.pages.play.view import render

render(current_recording())
