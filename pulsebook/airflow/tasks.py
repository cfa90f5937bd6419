"""`python -m pulsebook.airflow.tasks FILE`: what a DAG file executes, as JSON, for those who cannot import Airflow.

A list in the order of the run: {"task_id": …, "notebook": "etl/load.ipynb", "parameters": {…}, "after": [ids of all tasks
that must be over]}. Parameters are those of a run that nobody has given any, but for what only a run knows: its day, its id.
"""

import json
import runpy
import sys
from graphlib import TopologicalSorter

from airflow.sdk import DAG

from pulsebook.airflow.given import PERIODS
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.base.settings import settings
from pulsebook.parameters import known_of

OF_A_RUN = {*PERIODS, "resend"}


def main(file: str) -> list[dict]:
    """The notebooks that the DAGs of a file execute."""
    found = []
    for dag in {id(value): value for value in runpy.run_path(file).values() if isinstance(value, DAG)}.values():
        before = {task.task_id: task.upstream_task_ids for task in dag.tasks}
        after: dict[str, set[str]] = {}
        for name in TopologicalSorter(before).static_order():
            after[name] = set(before[name]).union(*(after[other] for other in before[name]))
            task = dag.get_task(name)
            if isinstance(task, NotebookOperator):
                given = {"parameters": _parameters(dag, task), "after": sorted(after[name])}
                found.append({"task_id": name, "notebook": task.input_nb} | given)
    return found


def _parameters(dag: DAG, task: NotebookOperator) -> dict:
    """What the DAG gives a notebook that declares it, and what the task does."""
    known = known_of(settings().notebooks / task.input_nb)
    defaults = {name: value for name, value in dag.params.dump().items() if name in known and name not in OF_A_RUN}
    written = {name: value for name, value in task.parameters.items() if "{{" not in str(value)}
    return {name: value for name, value in defaults.items() if value is not None} | written


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
