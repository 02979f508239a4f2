"""What an upload may be, one file per kind; :mod:`.document` chooses among them and is what others import."""

from model.documents.document import Document, read_document, read_path

__all__ = ["Document", "read_document", "read_path"]
