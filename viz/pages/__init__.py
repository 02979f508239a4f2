"""The pages, one folder each; no page imports another."""
