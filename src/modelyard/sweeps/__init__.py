"""Many trainings at once: what is tried, how it is searched, what it came to."""
