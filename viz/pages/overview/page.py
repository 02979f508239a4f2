"""The page that opens first: what happened to the memory, in one sentence and a few figures."""

from viz.app.session import current_recording
from viz.pages.overview import view as overview

overview.render(current_recording())
