"""The study of gradient dropout: its law, the course that it predicts, and the search for annealing."""
