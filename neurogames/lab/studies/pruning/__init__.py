"""The pruning study: the paper's algorithm, the corrected rule, and every control."""
