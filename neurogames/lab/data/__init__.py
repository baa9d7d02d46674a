"""Tables and pictures: where they come from, and how they are made ready."""
