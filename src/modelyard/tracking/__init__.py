"""The only room that knows MLflow: runs, registry, releases."""
