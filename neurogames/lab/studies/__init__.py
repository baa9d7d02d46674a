"""Studies that can be run by name: each is settings, measure, analysis and page."""
