"""The page "Models"."""

from viz.pages.models import view as models

models.render()
