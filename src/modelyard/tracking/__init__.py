"""MLflow's store on this disk: opening, runs, reconciliation, relocation, upgrade."""
