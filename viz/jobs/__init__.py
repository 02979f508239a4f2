"""Background work of the pages: the registry of jobs, their progress, and what they compute."""
