"""A report for a meeting: what was measured, what it costs, what to do, as one page that needs no network."""
