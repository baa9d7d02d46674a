"""Resumable runs: the folder, its cells, the store, the workers."""
