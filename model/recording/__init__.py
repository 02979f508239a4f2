"""A recording: what a reading leaves on disk, and what every page reads."""
