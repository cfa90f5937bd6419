"""Pulsebook: the plumbing that notebooks and DAGs share. What is computed lives in `notebooks/`, when in `dags/`."""
