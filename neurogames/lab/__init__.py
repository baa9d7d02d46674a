"""Experiments: data, sweeps, statistics, plots, report, command line."""
