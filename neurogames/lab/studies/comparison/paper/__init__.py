"""The protocol of the paper on gradient dropout, arXiv 2507.19143, as its public code has it."""
