"""What DAGs need of Airflow; the only place that imports it."""
