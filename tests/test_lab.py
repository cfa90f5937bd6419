"""The workbench on a real JupyterLab: its start page, and `%pulsebook` in the kernel of an open notebook."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import requests
import websocket
from IPython.core.error import UsageError
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located as present

from pulsebook.archive.diff import Comparison
from pulsebook.base.settings import ROOT, settings
from pulsebook.cli.checks import check_notebook
from pulsebook.cli.checks.notebook import read
from pulsebook.lab.magic import open_notebook
from pulsebook.lab.stale import Catalogue
from pulsebook.local import services
from pulsebook.runner import NotebookFailed, run
from tests.browser import wait
from tests.services import notebook, until

TRIED = """
import sys

print("asked:", *sys.argv[1:-1])
with open(sys.argv[-1], "w") as page:
    page.write("<p>before &amp; after</p><script>parent.document.title = 'taken over'</script>")
print(sys.argv[-1])
sys.exit("bad=1" in sys.argv)
"""


@pytest.fixture(scope="module")
def workbench(tmp_path_factory):
    """JupyterLab as `make lab` starts it, on a project of its own: `home`, its address, and kernels of its notebooks."""
    home, token = tmp_path_factory.mktemp("project"), uuid.uuid4().hex
    (home / "notebooks" / "reports").mkdir(parents=True)
    (home / "dags").mkdir()
    (home / "docs").mkdir()
    for name in ("dags/feed_report.py", "README.md", "notebooks/reports/feed_report.ipynb"):
        (home / name).write_bytes((ROOT / name).read_bytes())
    (home / "docs" / "analysts.md").write_text("# For analysts\n\n## First\n\n### Within\n\n## Second\n")
    port = services.free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PULSEBOOK_")}
    environment |= {
        "PULSEBOOK_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "JUPYTER_TOKEN": token,
        "IPYTHONDIR": str(home / ".ipython"),
    }
    environment |= {f"JUPYTER_{what}_DIR": str(home / ".jupyter" / what) for what in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-c", "from pulsebook.local import lab; import os; c = lab.jupyter(); os.execv(c[0], c + "
               f"['--no-browser', '--port={port}', '--ServerApp.port_retries=0'])"]  # fmt: skip
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home, start_new_session=True)
    address, headers = f"http://127.0.0.1:{port}", {"Authorization": f"token {token}"}

    def api(method: str, where: str, /, **body):
        answer = requests.request(method, f"{address}/api/{where}", headers=headers, json=body or None, timeout=60)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def answers():
        assert server.poll() is None, (home / "log").read_text()
        try:
            return api("GET", "status")
        except requests.ConnectionError:
            return None

    try:
        until(answers, 60, "JupyterLab", pause=0.2)
        yield SimpleNamespace(
            home=home, address=address, token=token, api=api, open=lambda name: Kernel(api, address, headers, name)
        )
    finally:
        server.terminate()
        server.wait(30)


class Kernel:
    """The kernel of a notebook that is open, over the server's WebSocket."""

    def __init__(self, api, address: str, headers: dict, path: str):
        session = api(
            "POST", "sessions", path=path, name=path.rpartition("/")[2], type="notebook", kernel={"name": "python3"}
        )
        self.id = session["kernel"]["id"]
        url = f"{address.replace('http', 'ws')}/api/kernels/{self.id}/channels"
        self.socket = websocket.create_connection(url, header=headers, timeout=60)

    def run(self, code: str, cell: str = "") -> SimpleNamespace:
        """What a cell put out: `text` of both streams, `html`, and the name of the `error`."""
        sent = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": "",
            "session": "test",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = {
            "header": sent,
            "parent_header": {},
            "metadata": {"cellId": cell},
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
        self.socket.send(json.dumps(message))
        found = SimpleNamespace(text="", html="", error="", status="")
        idle = False
        while not (idle and found.status):
            got = json.loads(self.socket.recv())
            if got["parent_header"].get("msg_id") != sent["msg_id"]:
                continue
            content = got["content"]
            match got["msg_type"]:
                case "stream":
                    found.text += content["text"]
                case "display_data" | "execute_result":
                    found.html += content["data"].get("text/html", "")
                    found.text += content["data"].get("text/plain", "")
                case "error":
                    found.error = content["ename"]
                case "execute_reply":
                    found.status = content["status"]
                case "status":
                    idle = content["execution_state"] == "idle"
        return found


def keep(place: Path, *code: str) -> Path:
    """A notebook of these cells, saved as JupyterLab does."""
    nbformat.write(notebook(*code, title="# A trial\n\nIt tries."), place)
    return place


def test_the_start_page_lists_what_the_tree_has_at_the_moment(workbench):
    def page():
        return workbench.api("GET", "contents/start.md")["content"]

    row = r"\| \[Report on the feed\]\(notebooks/reports/feed_report.ipynb\) \| \[feed_report\]\(dags/feed_report.py\) \| Reads `daily"
    assert re.search(row, page()) and "[For analysts](docs/analysts.md) | First · Second |" in page()
    assert "A trial" not in page()
    new = keep(workbench.home / "notebooks" / "trial.ipynb")
    assert "| [A trial](notebooks/trial.ipynb) | by hand | It tries. |" in page()
    new.write_text("{")
    assert "| [trial.ipynb](notebooks/trial.ipynb) | by hand | cannot be read: `pulsebook check` says why |" in page()
    new.unlink()
    listed = {entry["name"] for entry in workbench.api("GET", "contents/")["content"]}
    assert {"start.md", "README.md", "dags", "docs", "notebooks"} <= listed and not {".jupyter", ".env"} & listed


@pytest.mark.slow
def test_the_start_page_is_what_people_see_first(workbench, browser):
    browser.get(f"{workbench.address}/?token={workbench.token}")
    link = wait(browser, present((By.LINK_TEXT, "Report on the feed")))
    assert browser.find_element(By.CSS_SELECTOR, ".jp-MarkdownViewer h1").text.startswith("Pulsebook")
    link.click()
    wait(browser, present((By.CSS_SELECTOR, ".jp-NotebookPanel")))


def test_a_kernel_works_where_those_of_runs_do_and_knows_the_magic(workbench):
    kernel = workbench.open("notebooks/reports/feed_report.ipynb")
    assert kernel.run("import os; print(os.getcwd())").text == f"{workbench.home / 'notebooks' / 'reports'}\n"
    assert kernel.run("%pulsebook ship").text == "UsageError: %pulsebook takes one of try, check, run, got ship\n"


def test_a_column_that_is_not_there_is_told_with_those_that_are(workbench):
    kernel = workbench.open("notebooks/reports/feed_report.ipynb")
    failed = kernel.run("import pandas as pd\npd.DataFrame({'views': [1]})['veiws']")
    assert failed.error == "KeyError" and failed.text == "the columns are views: is views meant?\n"


def test_check_and_run_are_about_the_open_notebook_as_it_was_saved(workbench):
    place = keep(workbench.home / "notebooks" / "open.ipynb", "x = 1", "print('two', x)", "%pulsebook run")
    kernel = workbench.open("notebooks/open.ipynb")
    kernel.run("x = 1", "a")
    said = kernel.run("%pulsebook check")
    assert said.text.startswith("open.ipynb, saved ") and "notebooks/open.ipynb: expected one cell tagged" in said.text
    assert said.status == "ok" and "is for JupyterLab" not in said.text, "the cell that asks is no fault"
    done = kernel.run("%pulsebook run")
    assert "succeeded" in done.text and done.status == "ok", done.text
    (executed,) = (workbench.home / "outputs").rglob("open-try1.ipynb")
    assert "two 1" in executed.read_text()

    kernel.run("x = 7", "a")
    refused = kernel.run("%pulsebook run")
    assert refused.status == "error" and "a cell that was executed since is not in it: 'x = 7' … Save" in refused.text
    place.rename(place.with_name("renamed.ipynb"))
    assert f"{place} is not there, was it renamed?" in kernel.run("%pulsebook check").text


def test_try_shows_what_the_command_says_and_its_page_without_scripts(workbench, browser, tmp_path):
    (tmp_path / "pulsebook").mkdir()
    (tmp_path / "pulsebook" / "__init__.py").touch()
    (tmp_path / "pulsebook" / "__main__.py").write_text(TRIED)
    instead = f"%env PYTHONPATH={tmp_path}"
    place = keep(workbench.home / "notebooks" / "tried.ipynb", instead)
    kernel = workbench.open("notebooks/tried.ipynb")
    kernel.run(instead)
    shown = kernel.run("%pulsebook try -p run_date=2026-11-20")
    assert shown.text.endswith(f"asked: try {place} -p run_date=2026-11-20 --html\nthe comparison")
    assert "asked: try other.ipynb -p run_date=" in kernel.run("%pulsebook try other.ipynb -p run_date=2026-11-20").text
    failed = kernel.run("%pulsebook try -p bad=1")
    assert failed.html and failed.status == "error" and "pulsebook try has failed" in failed.text
    (tmp_path / "page.html").write_text(f"<!doctype html><title>Lab</title>{shown.html}")
    browser.get((tmp_path / "page.html").as_uri())
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    assert browser.find_element(By.TAG_NAME, "body").text == "before & after"
    browser.switch_to.default_content()
    assert browser.title == "Lab"


def test_the_open_notebook_is_what_jupyterlab_or_vs_code_says(monkeypatch, tmp_path):
    place = keep(tmp_path / "a.ipynb")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert open_notebook({"__vsc_ipynb_file__": str(place)}) == place
    with pytest.raises(UsageError, match="no notebook is open in this kernel: name one"):
        open_notebook({})
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "console-1-abc"))
    with pytest.raises(UsageError, match="no notebook is open"):
        open_notebook({})


def test_a_run_refuses_the_magic_before_it_executes_anything(outputs, tmp_path):
    place = keep(tmp_path / "left.ipynb", "print('done')", "x = 1\n  %pulsebook try -p x=1")
    with pytest.raises(
        NotebookFailed, match="nothing was executed: cell 3 holds `%pulsebook try -p x=1`, which is for JupyterLab"
    ):
        run(place, {}, outputs / "left" / "2026-11-20" / "manual")
    assert not list(outputs.rglob("*.ipynb"))
    found = [one for one in check_notebook(place) if one.rule == "magic"]
    assert [(one.cell, one.line) for one in found] == [(3, 2)]


def test_what_jupyterlab_leaves_in_an_open_notebook_is_no_fault_there(monkeypatch, outputs, tmp_path):
    place = keep(tmp_path / "open.ipynb", "1", "%pulsebook check")
    content = json.loads(place.read_text())
    content["cells"][1] |= {"execution_count": 3, "metadata": {"trusted": True, "collapsed": False}}
    content["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1"]}]
    place.write_text(json.dumps(content))

    def found():
        return [(one.rule, one.hint) for one in check_notebook(place) if one.rule in ("outputs", "metadata", "magic")]

    usual = [(rule, False) for rule in ("outputs", "outputs", "metadata", "metadata", "magic")]
    assert found() == usual
    monkeypatch.setenv("PULSEBOOK_IN_LAB", "1")
    settings.cache_clear()
    assert found() == [("outputs", True)]
    assert [cell.number for cell in read(place, "").cells] == [1, 2], "the cell that asks is no part of the notebook"


def test_the_magic_is_no_part_of_the_code_that_is_compared():
    def executed(*code: str):
        found = notebook(*code)
        for cell in found.cells:
            cell.metadata["tags"] = []
        return found

    before, after = executed("x = 1", "y = 1"), executed("%pulsebook try", "x = 1\n%pulsebook try -p a=1", "y = 2")
    (change,) = Comparison(None, None, (before, after)).code
    assert change.lines == (("y = 1", "y = 2"),)


def test_a_catalogue_that_has_changed_is_named_once_for_each_change(monkeypatch, tmp_path, capsys):
    file = tmp_path / "pulsebook" / "catalogue" / "trial.py"
    file.parent.mkdir(parents=True)
    file.touch()
    catalogue = Catalogue()
    catalogue.note()
    monkeypatch.setitem(sys.modules, "pulsebook.catalogue.trial", SimpleNamespace(__file__=str(file)))
    catalogue.note()
    catalogue.look()
    assert capsys.readouterr().err == ""
    os.utime(file, (1, 1))
    catalogue.look()
    catalogue.look()
    said = "pulsebook/catalogue/trial.py has changed since this kernel imported it, which goes on by the old one: restart the kernel"
    assert capsys.readouterr().err == f"{said}\n"
