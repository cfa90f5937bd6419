"""Names of other packages that no documentation promises, and that the project uses all the same.

Each stands here once, with what would break without it: a new version of a package that takes one away or gives it another
shape fails here first, in words.
"""

import importlib
import inspect
import io
import re
from pathlib import Path

import nbformat
import pytest

from pulsebook.base.settings import ROOT


def found(name: str):
    """What a dotted name stands for: a module, or what is in one."""
    module, names = name, []
    while True:
        try:
            thing = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            names.insert(0, last)
    for part in names:
        thing = getattr(thing, part)
    return thing


def parameters(name: str) -> list[str]:
    return list(inspect.signature(found(name)).parameters)


TAKEN = {  # name -> what it is called with, what breaks without it
    # Airflow
    "airflow.api_fastapi.core_api.security.requires_access_dag": (
        ["method", "access_entity"], "the review tab asks Airflow through it who may see a DAG: without it nobody is kept out"
    ),
    "airflow.sdk.bases.operator.BaseOperator.render_template": (
        ["content", "context", "jinja_env", "seen_oids"], "NotebookOperator keeps digits of a text parameter text there"
    ),
    "airflow.sdk.bases.operator.BaseOperator.get_template_env": (["dag"], "NotebookOperator renders parameters with it"),
    "airflow.sdk.bases.operatorlink.BaseOperatorLink.get_link": (
        ["operator", "ti_key"], "the link from a task to its executed notebook"
    ),
    "airflow.sdk.bases.operator.BaseOperator.on_kill": ([], "a task that is stopped ends its kernel and closes its record there"),
    "airflow.sdk.bases.hook.BaseHook.get_connection": (["conn_id"], "servers and chat are taken from Airflow's Connections"),
    "airflow.providers.papermill.operators.papermill.PapermillOperator.__init__": (
        ["input_nb", "output_nb", "parameters"], "NotebookOperator is one"
    ),
    # papermill
    "papermill.clientwrap.PapermillNotebookClient.__init__": (["nb_man", "km"], "the runner's client derives from it"),
    "papermill.clientwrap.PapermillNotebookClient.papermill_execute_cells": (
        ["self"], "the runner puts the kernel under guard before its first cell there: without it kernels outlive their tasks"
    ),
    "papermill.engines.NBClientEngine.execute_managed_notebook": (["nb_man", "kernel_name"], "the runner's engine is this one"),
    "papermill.engines.NotebookExecutionManager.cell_exception": (
        ["cell"], "the cell that was cut off is marked through it: without it the notebook of a killed task claims to be complete"
    ),
    "papermill.engines.papermill_engines.register": (["name", "engine"], "the runner's engine is registered through it"),
    "papermill.iorw.papermill_io.register": (["scheme", "handler"], "notebooks reach the archive through our handler"),
    "papermill.translators.papermill_translators.register": (
        ["language", "translator"], "parameters cells are read by our translator: papermill's own refuses ordinary ones"
    ),
    "papermill.translators.PythonTranslator.inspect": (["parameters_cell"], "our translator overrides it"),
    "papermill.models.Parameter": (["name", "inferred_type_name", "default", "help"], "our translator answers with it"),
    "papermill.parameterize.parameterize_path": (["path", "parameters"], "braces in a path are escaped for it"),
    # jupyter_client, IPython
    "jupyter_client.provisioning.local_provisioner.LocalProvisioner.launch_kernel": (["cmd"], "a kernel is forked instead there"),
    "jupyter_client.provisioning.local_provisioner.LocalProvisioner.shutdown_requested": (
        ["restart"], "a forked kernel's end is waited for there: without it runs take a tenth of a second longer"
    ),
    "jupyter_client.client.KernelClient._handle_kernel_info_reply": (["msg"], "older kernels are spoken to in their own protocol"),
    "ipykernel.kernelapp.IPKernelApp.launch_instance": (["argv"], "a fork becomes a kernel through it"),
    "IPython.core.inputtransformer2.TransformerManager.transform_cell": (["cell"], "magics in a parameters cell become calls"),
    # pandahouse
    "pandahouse.http.execute": (["query", "connection", "data"], "statements are sent with it"),
    "pandahouse.http.prepare": (["query", "connection", "external"], "it formats a statement: braces in it are doubled for that"),
    # fsspec, universal_pathlib
    "s3fs.S3FileSystem._call_s3": (["method"], "writes to an object store with a condition"),
    "s3fs.S3FileSystem.set_session": ([], "the store's credentials are found through it, to be hidden"),
    "s3fs.S3FileSystem.split_path": (["path"], "bucket and key of a file of the archive"),
    "upath.registry.register_implementation": (["protocol", "cls", "clobber"], "paths of the archive read a file with one request"),
}  # fmt: skip
THERE = {  # name -> what breaks without it
    "airflow.sdk.execution_time.comms.CommsDecoder": "a task knows by it that a supervisor runs it, and ends with that one",
    "airflow.api_fastapi.auth.managers.models.resource_details.DagAccessEntity.TASK_INSTANCE": "the review tab's guard asks for it",
    "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.log_url": "messages to operations link to the log",
    "airflow.sdk.definitions.connection.Connection.extra_dejson": "chat ids are taken from a Connection's extra",
    "airflow.plugins_manager.AirflowPlugin.external_views": "the tab on a task's page",
    "airflow.plugins_manager.AirflowPlugin.fastapi_apps": "the pages of the review",
    "papermill.engines.NBClientEngine.nb_kernel_name": "the kernel that a notebook names",
    "jupyter_client.provisioning.local_provisioner.LocalProvisioner.pgid": "the guard kills the kernel's process group by it",
    "jupyter_client.provisioning.local_provisioner.LocalProvisioner.pid": "the same, where there are no groups",
    "jupyter_client.manager.KernelManager.provisioner": "the runner's own stands there: without it kernels are started anew",
    "jupyter_client.manager.KernelManager.client_factory": "the runner's client is ready a fifth of a second earlier",
    "ipykernel.iostream.IOPubThread.stop": "a kernel ends in turn: it waits for a thread that it has stopped otherwise",
    "ipykernel.control.ControlThread.stop": "the same",
    "ipykernel.kernelapp.IPKernelApp.parent_handle": "a forked kernel does not end with its parent, which is the server",
    "jupyter_client.manager.KernelManager.shutdown_wait_time": "a kernel that hangs at its end is killed after it",
    "jupyter_client.connect.ConnectionFileMixin.transport": "kernels talk over sockets in a folder of their own: ports are raced for",
    "nbclient.NotebookClient.startup_timeout": "a slow machine has a minute to start a kernel",
    "nbclient.NotebookClient.shutdown_kernel": "a kernel that is busy with a cell nobody waits for is not waited for either",
    "nbclient.NotebookClient.timeout": "a cell's limit of time",
    "nbclient.exceptions.DeadKernelError": "a dead kernel is told as one",
    "nbclient.exceptions.CellTimeoutError": "a cell that took too long is told as one",
    "papermill.exceptions.PapermillExecutionError": "what a cell raised is told",
    "pandahouse.http.requests": "its requests go through ours, with timeout, credentials and a check of the answer",
    "pandahouse.read_clickhouse": "frames are read with it",
    "pandahouse.to_clickhouse": "frames are written with it",
    "upath.implementations.cloud.S3Path": "paths into an object store derive from it",
    "jinja2.Template.root_render_func": "a template's value before it is evaluated as code",
    "jinja2.Template.new_context": "the same",
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_called_is_there_and_takes_what_it_is_called_with(name):
    names, breaks = TAKEN[name]
    try:
        known = parameters(name)
    except (AttributeError, ImportError) as error:
        pytest.fail(f"{name} is gone ({error}): {breaks}")
    missing = [one for one in names if one not in known]
    assert not missing, f"{name} takes {known}, not {', '.join(missing)}: {breaks}"


@pytest.mark.parametrize("name", THERE)
def test_what_is_used_is_there(name):
    of, _, last = name.rpartition(".")
    try:
        there = hasattr(found(of), last) or last in vars(found(of)).get("__annotations__", {})  # of each instance
    except (AttributeError, ImportError):
        there = False
    assert there, f"{name} is gone: {THERE[name]}"


def test_the_facts_of_a_task_have_their_names():
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    needed = {"dag_id", "run_id", "task_id", "map_index", "try_number"}
    assert needed <= set(TaskInstanceKey._fields), "the link to an executed notebook is made of them"
    assert needed <= set(RuntimeTaskInstance.model_fields), "the archive files a notebook under them"
    assert TaskInstanceKey("d", "t", "r").map_index == -1, "a task that is not mapped has none of our map indexes"


def test_airflow_says_where_its_supervisor_is_once_a_task_runs():
    from airflow.sdk.execution_time import task_runner

    source = inspect.getsource(task_runner)
    assert re.search(r"^\s+SUPERVISOR_COMMS\s*=|^SUPERVISOR_COMMS\s*:", source, re.M), (
        "task_runner.SUPERVISOR_COMMS is gone: a task whose worker has died would go on beside the one that takes its place"
    )


def test_airflows_pages_fill_in_the_address_of_the_tab():
    import airflow

    scripts = [file.read_text() for file in (Path(airflow.__file__).parent / "ui" / "dist" / "assets").glob("*.js")]
    for word in ("{DAG_ID}", "{RUN_ID}", "{TASK_ID}", "{MAP_INDEX}"):
        assert any(f"replaceAll(`{word}`" in script for script in scripts), (
            f"Airflow's pages replace {word} no more: the Notebook tab would show no try, or another's"
        )


def test_a_native_environment_still_has_its_values_before_they_are_evaluated():
    from airflow.sdk import DAG
    from jinja2.nativetypes import NativeEnvironment

    from pulsebook.airflow.templates import rendered

    environment = DAG("d", schedule=None, render_template_as_native_obj=True).get_template_env()
    assert isinstance(environment, NativeEnvironment), "digits of a text parameter would become numbers"
    assert rendered(environment.from_string("{{ x }}"), {"x": "2026"}) == "2026"


def test_papermill_writes_down_when_a_cell_began():
    from papermill.engines import NotebookExecutionManager
    from papermill.iorw import load_notebook_node

    text = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
    manager = NotebookExecutionManager(load_notebook_node(text))
    manager.notebook_start()
    (cell,) = manager.nb.cells
    assert cell.metadata.papermill.get("start_time", 0) is None and "status" in cell.metadata.papermill, (
        "cell.metadata.papermill has another shape: the cell at which a run was cut off could not be found"
    )


def test_pandahouse_asks_through_its_module_and_formats_statements(monkeypatch):
    import pandahouse.http

    asked = []

    class Answer:
        content, raw = b"1", io.BytesIO(b"1")

        def raise_for_status(self):
            pass

    def post(url, params=None, data=None, stream=False, files=None):
        asked.append(params["query"])
        return Answer()

    monkeypatch.setattr(pandahouse.http, "requests", type("Requests", (), {"post": staticmethod(post)}))
    pandahouse.http.execute("SELECT '{{}}'")
    assert asked == ["SELECT '{}'"], "statements with braces would be refused, or sent past our timeout and credentials"


def test_sqlite_says_what_a_savepoint_needs():
    """`pulsebook/local/sqlite` begins a transaction at a savepoint."""
    from sqlalchemy import create_engine, event

    engine, seen = create_engine("sqlite://"), []
    event.listen(engine, "savepoint", lambda connection, name: seen.append(connection.dialect.driver))
    with engine.connect() as connection, connection.begin_nested():
        assert connection.connection.dbapi_connection.in_transaction in (True, False)
    assert seen == ["pysqlite"], "creating a backfill while tasks run would fail with `database is locked`"


def test_no_private_name_is_used_that_is_not_here():
    """Methods of other packages that are called by a name with an underscore, and such names that are imported."""
    known = {name.rpartition(".")[2] for name in [*TAKEN, *THERE]} | {"_exit"}  # os._exit is documented
    sources = {path: path.read_text() for path in (ROOT / "pulsebook").rglob("*.py")}
    own = set(re.findall(r"\bdef (_\w+)", "".join(sources.values())))
    for path, source in sources.items():
        used = set(re.findall(r"[\w)\]]\.(_[a-z]\w+)\(", source)) - own
        used |= set(re.findall(r"^\s*from (?!pulsebook|__future__)[\w.]+ import .*\b(_[a-z]\w+)", source, re.M))
        assert used <= known, (
            f"{path} uses {', '.join(used - known)} of another package: say here what breaks without it"
        )
