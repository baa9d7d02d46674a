"""Statistics: paired differences, resampling, association."""
