"""The page "Overview", which opens first."""

from viz.app.session import current_recording
from viz.pages.overview import view as overview

overview.render(current_recording())
