"""How games are solved and how they move; never torch."""
