"""The page of documents and recordings: what came in, what was made, what to keep."""

from viz.pages.documents import view as documents

documents.render()
