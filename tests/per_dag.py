"""An auth manager for the tests' Airflow: rights per DAG, which Airflow's own simple one does not know."""

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class PerDag(SimpleAuthManager):
    """Airflow's simple logins, but the user `viewer` sees no DAG except `feed_report` and `trials`."""

    def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
        foreign = user.username == "viewer" and details and details.id not in (None, "feed_report", "trials")
        return not foreign and super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
