"""A marked passage of a document: which head holds it, and how long until it is forgotten."""
