"""The review tab: the executed notebook of a task's try, in Airflow's own pages.

Airflow loads it from its plugins folder: AIRFLOW__CORE__PLUGINS_FOLDER=…/pulsebook/airflow/plugins
"""

from airflow.plugins_manager import AirflowPlugin

from pulsebook.airflow.operator import REVIEW
from pulsebook.airflow.review import app


class PulsebookReview(AirflowPlugin):
    name = "pulsebook"
    fastapi_apps = [{"app": app, "url_prefix": REVIEW, "name": "Pulsebook notebooks"}]
    external_views = [
        {
            "name": "Notebook",
            "href": f"{REVIEW}/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}?map_index={{MAP_INDEX}}",
            "destination": "task_instance",
            "url_route": "notebook",
        }
    ]
