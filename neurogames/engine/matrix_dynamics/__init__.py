"""Mixed strategies of matrix games in motion."""
