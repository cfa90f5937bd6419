"""`python -m pulsebook.airflow.tasks FILE`: what a DAG file executes, as JSON, for those who cannot import Airflow.

A list in the order of the run: {"task_id": …, "notebook": "etl/load.ipynb", "parameters": {…}, "after": [ids of all tasks
that must be over]}. Of parameters only what is written out is named, not what a run's templates give.
"""

import json
import runpy
import sys
from graphlib import TopologicalSorter

from airflow.sdk import DAG

from pulsebook.airflow.operator import NotebookOperator


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
                written = {k: v for k, v in task.parameters.items() if "{{" not in str(v)}
                own = {"task_id": name, "notebook": task.input_nb, "parameters": written, "after": sorted(after[name])}
                found.append(own)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
