"""Training: one loop for every architecture. Knows no tracker and no orchestrator."""
