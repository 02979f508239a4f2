"""The page that opens first: what happened to the memory, in one sentence and a few figures."""

from viz.session import current_recording
from viz.views import overview

overview.render(current_recording())
