"""The page of documents and recordings: what came in, what was made, what to keep."""

from viz.views import documents

documents.render()
