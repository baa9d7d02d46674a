"""What is played: games as frozen data, on numpy alone."""
