"""What a run gives its notebooks without being asked: the period that it is about, and parameters of the DAG.

A notebook is given what its parameters cell declares, unless the task gives it itself:

    run_date, slot    the DAG's parameter, or what belongs to the instant at which the run was due
    resend            of a DAG's parameter that is on or off: the run's id where it is on (its retries post nothing twice)
    any other         the DAG's parameter of that name, unless that is None
"""

from datetime import datetime
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException

from pulsebook.base.periods import PeriodError, run_date_of, run_day, run_slot, slot_of

PERIODS = {"run_date": (run_day, run_date_of), "slot": (run_slot, slot_of)}  # name: check, period of an instant


def due(dag_run) -> datetime:
    """The instant at which a run was due; one that was triggered without a date was when it was triggered."""
    return dag_run.logical_date or dag_run.run_after


def run_date(dag, dag_run, params) -> str:
    """The day that a run reports on: the parameter, or yesterday as seen from when the run was due."""
    _refuse_unknown(dag, dag_run)
    return _period("run_date", dag_run, params)


def slot(dag, dag_run, params) -> str:
    """The slot that a run checks: the parameter, or the one that had just ended when the run was due."""
    _refuse_unknown(dag, dag_run)
    return _period("slot", dag_run, params)


def with_given(notebook: Path, parameters: dict, context) -> dict:
    """The parameters of a task, and what else its run has for what the notebook declares.

    Raises:
        AirflowFailException: what no retry repairs: a name that the DAG does not know, a period that cannot be.
    """
    from pulsebook.parameters import known_of  # IPython: not at DAG import

    if not isinstance(parameters, dict):
        return parameters
    known = known_of(notebook)
    found = {name: _given(name, context) for name in known if name not in parameters}
    fitting = {
        name: value
        for name, value in found.items()
        if value is not None and (name not in PERIODS or known[name].type.fits(value))  # another `slot` than ours
    }
    return fitting | parameters


def _given(name: str, context) -> object:
    """What the run has for a parameter; None: nothing."""
    dag, dag_run, params = context["dag"], context["dag_run"], context["params"]
    if name in dag.params:
        _refuse_unknown(dag, dag_run)
    if name in PERIODS:
        return _period(name, dag_run, params)
    value = params.get(name)
    if name == "resend" and isinstance(value, bool):
        return dag_run.run_id if value else ""
    return value


def _period(name: str, dag_run, params) -> str:
    check, of_instant = PERIODS[name]
    given = params.get(name) or ""
    if given and getattr(dag_run, "run_type", "") == "backfill":
        raise AirflowFailException(
            f"each run of a backfill works on a {name} of its own, but all were given {given}: leave it empty; "
            f"one alone is a run that is triggered"
        )
    try:
        check(given)
        return given or of_instant(due(dag_run))
    except PeriodError as error:  # before 1972 and after 2105 an instant has none
        raise AirflowFailException(str(error)) from None


def _refuse_unknown(dag, dag_run) -> None:
    """A run that was asked for with a name that the DAG does not know fails at once."""
    unknown = (dag_run.conf or {}).keys() - dag.params.keys()
    if unknown:
        raise AirflowFailException(
            f"the DAG has the parameters {', '.join(dag.params)}, got {', '.join(sorted(unknown))}"
        )
