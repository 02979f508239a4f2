"""Long work beside the pages: the registry of jobs, their progress, and what they compute."""
