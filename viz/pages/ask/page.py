"""The page "Ask after reading"."""

from viz.app.session import current_recording
from viz.pages.ask.view import render

render(current_recording())
