"""Two runs compared, the review tab's pages, and the index in a browser."""

import base64
import html
import io
import os
import re
import shutil
import threading
import time
from urllib.parse import quote

import nbformat
import pandas as pd
import pytest
import requests
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from PIL import Image
from selenium.common.exceptions import WebDriverException

from pulsebook import runner
from pulsebook.archive import diff, diff_page, index, lookup
from pulsebook.archive.record import Record, folder_of
from pulsebook.archive.scraped import figures, moved, value
from pulsebook.base.settings import settings
from pulsebook.cli import main
from tests.test_archive import a_notebook
from tests.test_archive_commands import a_run

CHROMIUM = shutil.which("chromium")


def summary_of(*outputs):
    new = nbformat.v4
    cells = [new.new_markdown_cell("## Load"), new.new_code_cell("1", outputs=[stream("7 before the summary")])]
    cells += [new.new_markdown_cell("## Summary"), new.new_code_cell("2", outputs=list(outputs))]
    return new.new_notebook(cells=cells)


def stream(text):
    return nbformat.v4.new_output("stream", text=text)


def frame(table: pd.DataFrame):
    return nbformat.v4.new_output("execute_result", {"text/html": table.to_html(), "text/plain": str(table)})


def test_numbers_in_text_are_labelled_by_the_words_around_them():
    text = (
        "2026-11-22: 2,976 users, CTR 21.1 %; 21,054 likes from 120,742 rows of feed_2\nDAU −5, at 11:15: 3 missing-17"
    )
    assert figures(summary_of(stream(text))) == {
        "users": "2,976", "CTR": "21.1 %", "likes from … rows of feed_2": "21,054",
        "… likes from # rows of feed_2": "120,742", "DAU": "−5", "at # missing-17": "3",
    }  # fmt: skip


def test_numbers_in_a_table_are_labelled_by_row_and_column():
    by_name = pd.DataFrame({"views": [5, 6], "ctr": [0.5, float("nan")]}, index=["ads", "organic"])
    assert figures(summary_of(frame(by_name))) == {
        "ads · views": "5", "ads · ctr": "0.5", "organic · views": "6", "organic · ctr": "NaN"
    }  # fmt: skip
    counted = pd.DataFrame(
        {"day": ["2026-11-22"] * 3, "age": [19, 22, 20], "os": ["iOS", "iOS", ""], "views": [3, 3, 1]}
    )
    assert figures(summary_of(frame(counted))) == {"19 iOS · views": "3", "22 iOS · views": "3", "20 · views": "1"}
    assert figures(summary_of(frame(pd.DataFrame({"users": [9], "feed": [4]})))) == {"users": "9", "feed": "4"}
    many = pd.DataFrame({"n": [1, 2, 3]}, index=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")]))
    assert figures(summary_of(frame(many))) == {"a x · n": "1", "a y · n": "2", "b x · n": "3"}
    of_slot = pd.DataFrame({1795335300: [8, 22]}, index=["senders", "sent"])
    assert figures(summary_of(frame(of_slot))) == {"senders": "8", "sent": "22"}, "a slot is no name"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234", 1234), ("1,234,567.5", 1234567.5), ("12,5", 12.5), ("1\u202f234,5".replace(",5", ""), 1234), ("−3", -3),
     ("21.1 %", 21.1), ("2e-05", 2e-05), ("iOS", None), ("", None), ("1.2.3", None)],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written(text, number):
    assert value(text) == number


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [("3,041", "2,976", "-65 (-2.1 %)"), ("0", "4", "+4"), ("20.0 %", "21.5 %", "+1.5 pp"), ("4.000", "4.0", ""),
     ("NaN", "4", ""), (None, "4", ""), ("-10", "-5", "+5 (+50 %)")],
)  # fmt: skip
def test_a_change_has_its_sign_and_its_share(before, after, change):
    assert moved(before, after) == change


def picture(colour: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


STEP = """\
rows = {"2026-11-20": 1200, "2026-11-21": 1500}[run_date]
print(f"{run_date}: {rows:,} rows <b>")"""
DRAWN = "from IPython.display import display\ndisplay({'image/png': PICTURE}, raw=True)"
CHANGED = STEP + "\nprint('checked')"


DAYS = ("2026-11-20", "2026-11-21")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An archive with two runs of a step by the real runner; between them the code has changed."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSEBOOK_OUTPUTS", str(place / "outputs"))
        settings.cache_clear()
        for day, colour, code in zip(DAYS, ("red", "blue"), (STEP, CHANGED), strict=True):
            notebook = a_notebook(
                place / "step.ipynb", "## Process", code, DRAWN.replace("PICTURE", repr(picture(colour))), "## Summary",
                "print(f'{run_date}: {rows:,} rows, 5 steady')", parameters='run_date: str = ""  # the day',
            )  # fmt: skip
            runner.run(notebook, {"run_date": day}, folder_of(place / "outputs", "etl", day, f"scheduled__{day}"))
    settings.cache_clear()
    return place


@pytest.fixture
def two_runs(finished, outputs):
    """A copy of these two runs."""
    shutil.copytree(finished, outputs.parent, dirs_exist_ok=True)
    return [Record.load(outputs / "etl" / day / f"scheduled__{day}" / "step-try1.json") for day in DAYS]


def test_a_run_leaves_a_comparison_with_the_previous_one(two_runs, outputs, capsys):
    earlier, later = two_runs
    assert not earlier.compared.exists() and later.compared.exists()
    assert set(later.sha256) == {later.executed.name, later.html.name, later.compared.name}
    found = lookup.entries(outputs)
    assert [run["compared"] for _, run in sorted(found.items())] == [False, True]
    page = later.compared.read_text()
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "<td>1,200</td><td class=changed>1,500</td><td class=up>+300 (+25 %)</td>" in page
    assert "<td>&#x27;2026-11-20&#x27;</td><td class=changed>&#x27;2026-11-21&#x27;</td>" in page
    assert picture("red") in page and picture("blue") in page
    assert "<ins>print(&#x27;checked&#x27;)</ins>" in page and "1 the same" in page
    link = re.search(r"href='(\.\./[^']+)'", page)[1]
    assert (later.path.parent / link).resolve() == earlier.html.resolve()
    assert main(["archive", "verify"]) == 0
    capsys.readouterr()


def test_the_command_tells_what_differs_by_default_from_the_previous_run(two_runs, outputs, tmp_path, capsys):
    earlier, later = two_runs
    name = "etl/2026-11-21/scheduled__2026-11-21/step-try1"
    assert main(["archive", "diff", name]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("from  etl/2026-11-20/scheduled__2026-11-20/step-try1: succeeded in ")
    assert re.search(r"^  run_date +'2026-11-20' +'2026-11-21'$", said, re.M)
    assert re.search(r"^  rows +1,200 +1,500 +\+300 \(\+25 %\)$", said, re.M) and "1 differ, 1 the same" in said
    assert "> print('checked')" in said and "pictures: 1 differ" in said or "pictures: 2 differ" in said
    assert main(["archive", "diff", str(later.html), str(earlier.executed)]) == 0
    assert "-300 (-20 %)" in capsys.readouterr().out, "the other way round, by the paths of page and notebook"
    file = tmp_path / "compared.html"
    assert main(["archive", "diff", name, "--html", str(file)]) == 0
    assert file.read_text().count("data:image/png;base64,") == 2
    capsys.readouterr()
    for words, says in (
        (["etl/x"], "no run record belongs to etl/x"),
        ([str(earlier.path)], "no earlier succeeded run"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["archive", "diff", *words])
        assert says in capsys.readouterr().err


def test_a_comparison_of_runs_of_one_code_says_so_and_what_failed_is_compared_too(two_runs, outputs, tmp_path):
    notebook = a_notebook(
        tmp_path / "step.ipynb", "## Check", "raise ValueError('<late>')", parameters='run_date: str = ""  # the day'
    )
    with pytest.raises(runner.NotebookFailed):
        runner.run(notebook, {"run_date": "2026-11-22"}, folder_of(outputs, "etl", "2026-11-22", "run"))
    failed = Record.load(outputs / "etl" / "2026-11-22" / "run" / "step-try1.json")
    assert "&lt;late&gt;" in failed.compared.read_text()
    same = diff.compare(two_runs[1], two_runs[1])
    assert same.code == [] and all(change.same for change in same.numbers + same.pictures)
    assert "The code is the same" in diff_page.render(same)


@pytest.fixture
def tab(outputs):
    """The review's app on a server, framed and guarded as Airflow does it: address and cookies of who may see the DAG."""
    from pulsebook.airflow.review import app

    def guard(request: Request):
        if request.cookies.get("_token") != "of a user":
            raise HTTPException(401)

    for route in app.routes:
        app.dependency_overrides |= {needed.dependency: guard for needed in route.dependencies}
    outer = FastAPI()
    outer.mount("/pulsebook", app)

    @outer.get("/ui/{step:path}")
    def ui(step: str):  # as in Airflow's own pages
        frame = f'<iframe id="f" width="1000" height="700" src="/pulsebook/{quote(step)}"'
        answer = HTMLResponse(
            f'{frame} sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"></iframe>'
        )
        answer.set_cookie("_token", "of a user", samesite="lax", path="/")
        return answer

    server = uvicorn.Server(uvicorn.Config(outer, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield (
        address,
        lambda path, **query: requests.get(
            f"{address}/pulsebook{path}", params=query, cookies={"_token": "of a user"}, timeout=20
        ),
    )
    server.should_exit = True
    thread.join()
    app.dependency_overrides.clear()


def test_every_route_of_the_review_asks_airflow_first():
    from pulsebook.airflow.review import app

    assert len(app.routes) == 4
    assert all("requires_access_dag" in repr(guard.dependency) for r in app.routes for guard in r.dependencies)
    assert all(len(route.dependencies) == 1 for route in app.routes)


def test_the_tab_frames_the_sandboxed_page_and_the_comparison(two_runs, tab):
    step, (_, get) = "/etl/scheduled__2026-11-21/step", tab
    shown = get(step)
    assert "<b>try 1</b>" in shown.text and "succeeded" in shown.text and "script-src" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    source = re.search(r'<iframe sandbox="allow-popups" src="([^"]+)"', shown.text)[1]
    page = get(f"/etl/scheduled__2026-11-21/{source}")
    assert page.headers["content-security-policy"].startswith("sandbox ") and "1,500 rows" in page.text
    assert "allow-same-origin" not in page.headers["content-security-policy"] + shown.text
    assert "<nav class=ways" in two_runs[1].html.read_text() and "<nav class=ways" not in page.text, (
        "they lead nowhere here"
    )
    compared = get(f"{step}/compare?try_number=1")
    assert "2026-11-21 compared with 2026-11-20" in compared.text
    source = re.search(r'src="([^"]+)"', compared.text)[1].replace("&amp;", "&")
    page = get(f"{step}/{source}")
    assert page.headers["content-security-policy"].startswith("sandbox ") and "+300 (+25 %)" in page.text


def test_nobody_sees_anything_without_airflows_consent(two_runs, tab):
    step = f"{tab[0]}/pulsebook/etl/scheduled__2026-11-21/step"
    for path in ("", "/page", "/compare", "/compare/page"):
        assert requests.get(step + path, timeout=20).status_code == 401


def test_the_comparison_in_the_tab_offers_earlier_runs_and_refuses_ways_out(two_runs, tab, outputs):
    third = runner.run(
        outputs.parent / "step.ipynb",
        {"run_date": "2026-11-21"},
        folder_of(outputs, "etl", "2026-11-21", "by hand"),
    )
    step, (_, get) = "/etl/by hand/step", tab
    offered = get(f"{step}/compare").text
    assert "<b>2026-11-21, scheduled__2026-11-21, step-try1</b>" in offered, "of one day: its run and try tell it apart"
    assert (
        ">2026-11-20</a>" in offered and "2026-11-21 compared with 2026-11-21, scheduled__2026-11-21, step-" in offered
    )
    other = quote("2026-11-20/scheduled__2026-11-20/step-try1", safe="")
    assert "+300 (+25 %)" in get(f"{step}/compare/page?with={other}").text
    assert get("/etl/scheduled__2026-11-20/step/compare").status_code == 404, "the first run has nothing before it"
    assert ">compare</a>" in get("/etl/by hand/step").text
    assert ">compare</a>" not in get("/etl/scheduled__2026-11-20/step").text
    secret = outputs.parent / "secret.json"
    secret.write_text(third.path.read_text())
    for way_out in (
        "../../secret",
        "../..",
        "..%2f..%2fsecret",
        "/etc/passwd",
        "a/b/c/d",
        f"{outputs.parent}/x/secret",
    ):
        assert get(f"{step}/compare/page", **{"with": way_out}).status_code == 404, way_out


def archived(outputs, dag_id, run_id, task_id="step", map_index=None, attempt=1, folder=None, says=True, page="<p>it"):
    """A finished try with a page, as the operator archives it."""
    folder = folder or folder_of(outputs, dag_id, "2026-11-21", run_id)
    facts = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index, "try_number": attempt}
    record = Record.open(
        folder, task_id, attempt, map_index, notebook="n.ipynb", parameters={}, airflow=facts if says else {}
    )
    record.executed.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    record.html.write_text(page)
    record.close("succeeded")
    index.update(outputs, record)
    return record


def test_ids_that_look_alike_show_each_only_its_own(tab, outputs):
    _, get = tab
    for dag_id, run_id in (
        (".etl", "r"),
        ("etl", "r"),
        ("d", "a b"),
        ("d", "a_b"),
        ("d", "a=20b"),
        ("d", "x/y"),
        ("d", "x_y"),
    ):
        archived(outputs, dag_id, run_id, page=f"page of {dag_id}, {run_id}")
    assert get("/.etl/r/step/page").text == "page of .etl, r" and get("/etl/r/step/page").text == "page of etl, r"
    for run_id in ("a b", "a_b", "a=20b", "x_y"):
        assert get(f"/d/{quote(run_id)}/step/page").text == f"page of d, {run_id}"
    archived(outputs, "secret", "r")
    for name in (
        ".secret",
        "..secret",
        "./secret",
        "secret.",
        "=2Esecret",
        "secre=74",
        "SECRET",
        " secret",
        "secret\x00",
    ):
        assert get(f"/{quote(name, safe='')}/r/step").status_code == 404, name
        assert get(f"/d/{quote(name, safe='')}/step").status_code == 404, name


def test_an_archive_from_before_ids_were_escaped_shows_to_each_id_its_own_in_a_shared_folder(tab, outputs):
    _, get = tab
    shared = outputs / "etl" / "2026-11-20" / "a_b"
    archived(outputs, ".etl", "a b", "hidden", folder=shared, page="of the dag with a dot")
    archived(outputs, "etl", "a_b", "plain", folder=shared, page="of the plain one")
    archived(outputs, "etl", "a_b", "by_hand", folder=shared, says=False, page="by hand")
    assert (
        get("/.etl/a b/hidden/page").text == "of the dag with a dot"
        and get("/etl/a_b/plain/page").text == "of the plain one"
    )
    assert get("/etl/a_b/by_hand/page").text == "by hand" == get("/etl/a b/by_hand/page").text
    for step in (
        "/etl/a_b/hidden",
        "/etl/a b/hidden",
        "/.etl/a_b/hidden",
        "/.etl/a b/plain",
        "/etl/a b/plain",
        "/.etl/a_b/by_hand",
    ):
        assert get(step).status_code == get(f"{step}/page").status_code == 404, step
    archived(outputs, ".etl", "a b", "both")
    later = archived(outputs, "etl", "a_b", "both", folder=shared)
    other = quote(f"2026-11-20/a_b/{later.path.stem}", safe="")
    assert get(f"/.etl/a b/both/compare?with={other}").status_code == 404, "of another DAG"


def test_the_tab_tells_the_map_indexes_of_a_task_apart(tab, outputs):
    _, get = tab
    for map_index, attempt in ((0, 1), (1, 1), (1, 2), (12, 1)):
        archived(outputs, "etl", "r", map_index=map_index, attempt=attempt, page=f"page of {map_index}, {attempt}")
    archived(outputs, "etl", "r", "other", page="page of the other")
    for query, shown in (("map_index=0", "0, 1"), ("map_index=1", "1, 2"), ("map_index=1&try_number=1", "1, 1"),
                         ("map_index=12", "12, 1"), ("", "0, 1"), ("map_index={MAP_INDEX}", "0, 1"), ("map_index=-1", "0, 1")):  # fmt: skip
        assert get(f"/etl/r/step/page?{query}").text == f"page of {shown}", query
        framed = get(f"/etl/r/step?{query}").text
        source = html.unescape(re.search(r'<iframe sandbox="allow-popups" src="([^"]+)"', framed)[1])
        assert get(f"/etl/r/{source}").text == f"page of {shown}", query
    framed = get("/etl/r/step?map_index=1").text
    assert "<b>[1]</b>" in framed and "<b>try 2</b>" in framed and 'href="step?try_number=1&amp;map_index=1"' in framed
    assert 'href="step?map_index=12">[12]</a>' in framed
    assert get("/etl/r/other/page?map_index={MAP_INDEX}").text == "page of the other"
    assert "[" not in get("/etl/r/other").text
    for query in ("map_index=2", "map_index=0&try_number=2", "map_index=99999999999999999"):
        assert get(f"/etl/r/step?{query}").status_code == 404, query
    assert get("/etl/r/other?map_index=0").status_code == 404


def test_the_previous_run_of_a_mapped_step_is_that_of_the_same_map_index(outputs):
    days = ("2026-11-20", "2026-11-21")
    one, two = (
        [archived(outputs, "etl", day, map_index=n, folder=folder_of(outputs, "etl", day, day)) for n in (0, 1)]
        for day in days
    )
    assert [lookup.previous(outputs, record) for record in two] == [record.path for record in one]
    alone = archived(outputs, "etl", "x", folder=folder_of(outputs, "etl", "2026-11-22", "x"))
    assert lookup.previous(outputs, alone) is None, "a task that is not mapped is another step"
    assert {(run["task"], run.get("map"), run["try"]) for run in lookup.entries(outputs).values()} == {
        ("step", 0, 1), ("step", 1, 1), ("step", None, 1)
    }  # fmt: skip


DAMAGE = {
    "not JSON": ("json", b"{"), "a list": ("json", b"[]"), "a text": ("json", b'"x"'), "nothing": ("json", b""),
    "not UTF-8": ("json", b'{"notebook": "\xff", "parameters": {}}'), "no facts": ("json", b"{}"), "deep": ("json", b"[" * 100000),
    "started null": ("json", b'{"notebook": "n", "parameters": {}, "started": null}'),
    "numbers": ("json", b'{"notebook": 1, "parameters": 2, "status": 3, "error": 4, "airflow": 5, "duration": "x"}'),
    "lists": ("json", b'{"notebook": [], "parameters": [], "status": [], "error": [], "airflow": [], "sha256": []}'),
    "a notebook of half": ("ipynb", b'{"cells": ['), "no notebook": ("ipynb", b"[]"), "bad cells": ("ipynb", b'{"cells": [1], "nbformat": 4}'),
    "bytes": ("ipynb", bytes(range(256))), "an old format": ("ipynb", b'{"nbformat": 1}'),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_gives_a_sentence_that_names_no_place(kind, tab, outputs):
    _, get = tab
    before = archived(outputs, "etl", "r0", folder=folder_of(outputs, "etl", "2026-11-20", "r0"))
    record = archived(outputs, "etl", "r")
    suffix, content = DAMAGE[kind]
    record.html.unlink()  # the page is then made from the notebook
    record.path.with_suffix(f".{suffix}").write_bytes(content)
    other = quote(f"2026-11-20/r0/{before.path.stem}", safe="")
    for path in ("", "/page", "/compare", "/compare/page", f"/compare?with={other}", f"/compare/page?with={other}"):
        answer = get(f"/etl/r/step{path}")
        assert answer.status_code in (200, 404) and str(outputs.parent) not in answer.text, (path, answer.text)
        if answer.status_code == 404:
            assert "cannot be read" in answer.json()["detail"] or "cannot be compared" in answer.json()["detail"]
    page = get("/etl/r/step/page")  # a notebook that cannot be read has a page all the same, which says so
    assert page.status_code == (404 if suffix == "json" else 200)
    assert suffix == "json" or "not shown" in page.text or "odd" in page.text, page.text[-3000:]
    assert get("/etl/r0/step/page").text == "<p>it", "it costs nobody else anything"


def test_odd_file_names_beside_a_try_are_none(tab, outputs):
    _, get = tab
    record = archived(outputs, "etl", "r")
    odd = ["step-try1 (copy)", "step-try²", "step-try٣", "step-try02", "step-try", "step-try-1", "-try1", "step-trying", "step-try1.bak",
           "step-map-try1", "step-mapx-try1", "step\ud800".encode("utf-8", "surrogatepass") + b"-try1", b"\xff-try1"]  # fmt: skip
    for name in odd:
        file = os.fsencode(record.path.parent) + b"/" + os.fsencode(name) + b".json"
        with open(file, "wb") as copy:
            copy.write(record.path.read_bytes())
    os.mkdir(record.path.with_name("step-try7.json"))
    os.symlink("/nowhere/at/all", record.path.with_name("step-try8.json"))
    for n in (7, 8):
        answer = get(f"/etl/r/step?try_number={n}")
        assert answer.status_code == 404 and "nowhere" not in answer.text and str(outputs) not in answer.text
    assert get("/etl/r/step?try_number=1").status_code == 200 == get("/etl/r/step/page?try_number=1").status_code
    for name in map(os.fsdecode, odd):
        task = quote(os.fsencode(name), safe="")
        assert get(f"/etl/r/{task}").status_code == 404, name


NASTY = [
    "..", ".", "../x", "/etc/passwd", "%", "%00", "\x00", "\n", "*", "?", "[a]", "{x}", "~", "~root", "a" * 5000, "é" * 300, "\U0001f600",
    "a/b/c", "\\..\\..", "C:\\", "con", "<script>", "'", '"', "=", "=2E", "", " ",
]  # fmt: skip


def test_any_name_is_answered_without_an_error_or_a_place(tab, outputs):
    _, get = tab
    archived(outputs, "etl", "r")
    (outputs.parent / "secret.json").write_text((next(outputs.glob("etl/*/r/*.json"))).read_text())
    for name in NASTY:
        odd = quote(name, safe="")
        paths = [f"/{odd}/r/step", f"/etl/{odd}/step", f"/etl/r/{odd}", f"/{odd}/{odd}/{odd}/page"]
        queries = [
            f"with={odd}",
            f"with=2026-11-21/r/{odd}",
            f"with=2026-11-21/{odd}/step-try1",
            f"with={odd}/r/step-try1",
        ]
        queries += [f"try_number={odd}x", f"map_index={odd}x&try_number=2"]
        paths += [f"/etl/r/step/compare{page}?{query}" for query in queries for page in ["/page"]]
        for path in paths:
            answer = get(path)
            assert answer.status_code in (404, 405, 422), (path, answer.status_code)
            assert str(outputs.parent) not in answer.text, path
    for number in ("0", "-1", "1e3", "9" * 5000, "१"):
        assert get(f"/etl/r/step?try_number={number}").status_code in (404, 422), number


@pytest.fixture
def browser():
    """Headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.implicitly_wait(10)
    yield driver
    driver.quit()


needs_browser = pytest.mark.skipif(not (CHROMIUM and shutil.which("chromedriver")), reason="no chromium, chromedriver")


@needs_browser
@pytest.mark.slow
def test_links_within_the_tab_keep_the_session_and_the_notebook_has_none(two_runs, tab, browser):
    browser.get(f"{tab[0]}/ui/etl/scheduled__2026-11-21/step")
    browser.switch_to.frame("f")
    browser.find_element("link text", "compare").click()
    browser.find_element("link text", "back")
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    assert "+300 (+25 %)" in browser.find_element("tag name", "body").text
    with pytest.raises(WebDriverException, match="sandboxed"):
        browser.execute_script("return document.cookie")
    browser.switch_to.parent_frame()
    browser.find_element("link text", "back").click()
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    assert "2026-11-21: 1,500 rows <b>" in browser.find_element("tag name", "body").text


@needs_browser
@pytest.mark.slow
def test_the_index_opens_from_disk_filters_searches_and_puts_two_runs_side_by_side(two_runs, outputs, browser):
    slot = "2026-11-21T10:45:00+03:00"
    a_run(outputs, "alerts", slot, 3, incidents=2)
    a_run(outputs, "alerts", "2026-11-20T10:45:00+03:00", 3, "failed")

    def shown(filter: str = "") -> list[str]:
        browser.get("about:blank")
        browser.get(f"file://{outputs}/index.html#{filter}")
        browser.find_element("css selector", "body[data-ready]")
        return [line.text for line in browser.find_elements("css selector", "#runs .run")]

    assert len(shown()) == 4 and not browser.get_log("browser")
    assert "4 runs on 2 days, 1 not succeeded, 2 incidents" in browser.find_element("id", "state").text
    assert [len(shown(f)) for f in ("status=!", "status=%2B", "status=succeeded", "dag=etl", "status=skipped")] == [
        1,
        1,
        3,
        2,
        0,
    ]
    assert "2 incidents" in shown("status=%2B")[0] and "failed: ValueError: x" in shown("text=valueerror")[0]
    (found,) = shown("text=run_date=2026-11-20")
    assert "2026-11-20: 1,200 rows, 5 steady" in found
    shown("dag=etl")
    newer, older = browser.find_elements("css selector", "#runs .run .time")
    newer.click()
    links = {link.text: link.get_attribute("href") for link in browser.find_elements("css selector", ".detail a")}
    assert links["compared with the previous run"].endswith("/etl/2026-11-21/scheduled__2026-11-21/step-try1.diff.html")
    browser.find_element("css selector", ".detail button").click()
    older.click()
    browser.find_elements("css selector", ".detail button")[-1].click()
    for frame, rows in zip(browser.find_elements("css selector", "dialog iframe"), ("1,200", "1,500"), strict=True):
        browser.switch_to.frame(frame)
        assert f"{rows} rows, 5 steady" in browser.find_element("tag name", "body").text
        browser.switch_to.default_content()
    command = browser.find_elements("css selector", ".detail pre")[-1].get_attribute("textContent")
    names = [f"'etl/2026-11-{day}/scheduled__2026-11-{day}/step-try1'" for day in (20, 21)]
    assert command == f"pulsebook archive diff {' '.join(names)}"
    for link in links.values():
        browser.get(link)
        assert "ERR_" not in browser.page_source[:3000]


@needs_browser
@pytest.mark.slow
def test_pages_fit_a_phone(two_runs, outputs, browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", dict(width=390, height=844, deviceScaleFactor=2, mobile=True)
    )
    for file in (two_runs[1].html, two_runs[1].compared, outputs / "index.html"):
        browser.get(f"file://{file}")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, file
