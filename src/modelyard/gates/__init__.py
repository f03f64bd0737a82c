"""What a version has to pass before it may be champion: limits as data, verdicts with their evidence."""
