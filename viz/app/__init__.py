"""What frames every page: language, theme, session, workspace, sidebar."""
