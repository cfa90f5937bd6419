"""The review as people meet it: a real browser on a real Airflow, and on the archive's pages from disk."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
import requests
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located as present

from pulsebook.local.server import running
from tests.browser import DESKTOP, wait
from tests.services import steal, until

pytestmark = pytest.mark.slow
PHONE = (400, 850)


@pytest.fixture(scope="module")
def run(airflow):
    """A run of the DAG `pages`, ended: the task `hostile` succeeded, `missing_day` failed. Its id."""
    airflow.cli("dags", "unpause", "pages")
    run = airflow.api("POST", "/dags/pages/dagRuns", logical_date=None)["dag_run_id"]
    tasks = f"/dags/pages/dagRuns/{run}/taskInstances"

    def states():
        found = {t["task_id"]: t["state"] for t in airflow.api("GET", tasks)["task_instances"]}
        return found if set(found.values()) <= {"success", "failed"} else None

    assert until(states, 120, "the end of both tasks") == {"hostile": "success", "missing_day": "failed"}
    return run


@pytest.fixture(scope="module")
def session(airflow, browser):
    """The browser, logged in as admin by the form that people use."""
    browser.get(airflow.address)
    wait(browser, present((By.NAME, "username"))).send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys(airflow.passwords["admin"])
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait(browser, lambda b: "/auth/login" not in b.current_url)
    return browser


def open_tab(browser, airflow, run: str, task: str):
    """From a task's page to its notebook, with a click on the tab; leaves the browser within the notebook's frame."""
    browser.switch_to.default_content()
    browser.get(f"{airflow.address}/dags/pages/runs/{run}/tasks/{task}")
    wait(browser, present((By.LINK_TEXT, "Notebook"))).click()
    browser.switch_to.frame(wait(browser, present((By.CSS_SELECTOR, "iframe[src*='/pulsebook/']"))))
    into_the_notebook(browser)


def open_page(browser, airflow, run: str, task: str):
    """The same notebook on a page of its own, where the button on the task's details leads."""
    browser.switch_to.default_content()
    browser.get(f"{airflow.address}/pulsebook/pages/{run}/{task}")
    into_the_notebook(browser)


def into_the_notebook(browser):
    """Through the frame in which the review shows what a notebook produced, if there is one, to the notebook's markup."""
    wait(browser, present((By.CSS_SELECTOR, "main, iframe")))
    if not browser.find_elements(By.TAG_NAME, "main"):
        browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait(browser, present((By.TAG_NAME, "main")))


def test_the_tab_shows_the_summary_of_a_task_that_succeeded(airflow, session, run):
    open_tab(session, airflow, run, "hostile")
    text = session.find_element(By.TAG_NAME, "body").text
    assert "42 rows of trial" in session.find_element(By.CSS_SELECTOR, "main .summary").text
    assert text.index("42 rows of trial") < text.index("what the notebook shows"), "the summary comes first"
    assert "succeeded" in text
    session.switch_to.default_content()


def test_the_tab_shows_the_error_of_a_task_that_failed(airflow, session, run):
    open_tab(session, airflow, run, "missing_day")
    error = session.find_element(By.CSS_SELECTOR, "pre.error").text
    assert "has no rows on 2026-01-05" in error and "cell" in error
    assert session.find_element(By.LINK_TEXT, "stopped here").is_displayed()
    assert "Clear the task when the source is complete" in error, "and what to do"
    session.switch_to.default_content()


def reached(airflow) -> list[str]:
    """What has reached the server that no page may know; every trick has had its time."""
    time.sleep(3)
    return airflow.elsewhere.asked


def test_what_a_notebook_printed_reaches_neither_the_session_nor_the_api_nor_anybody_else(airflow, session, run):
    session.get(f"{airflow.address}/dags")
    assert "_token=" in session.execute_script("return document.cookie"), "there is something to steal"
    runs = airflow.api("GET", "/dags/etl/dagRuns")["total_entries"]
    for look in (
        lambda: open_tab(session, airflow, run, "hostile"),
        lambda: open_page(session, airflow, run, "hostile"),
    ):
        look()
        assert session.find_element(By.ID, "harmless").text == "what the notebook shows"
        assert reached(airflow) == []
        with pytest.raises(WebDriverException, match="sandboxed"):
            session.execute_script("return document.cookie")
        with pytest.raises(WebDriverException, match="cross-origin|sandboxed"):
            session.execute_script("return parent.document.title + top.document.title + localStorage.length")
        answer = session.execute_async_script(
            "const done = arguments[0]; fetch('/api/v2/dags', {credentials: 'include'}).then(a => done(a.status), e => done(String(e)))"
        )
        assert "TypeError" in str(answer), "a call of the API is not even sent, or its answer is not shown"
        for form in session.find_elements(By.ID, "form"):
            session.execute_script("arguments[0].submit()", form)
        assert reached(airflow) == []
        session.switch_to.default_content()
        assert "taken over" not in session.title
    assert airflow.api("GET", "/dags/etl/dagRuns")["total_entries"] == runs


def test_the_tricks_would_work_without_the_sandbox(airflow, session, tmp_path):
    """The control: a page that is served as it is tells all that it finds."""
    airflow.elsewhere.asked.clear()
    page = tmp_path / "page.html"
    page.write_text(f"<script>{steal(airflow.elsewhere.url, 'script')}</script>")
    session.get(page.as_uri())
    until(lambda: airflow.elsewhere.asked, 10, "a request of the script")
    airflow.elsewhere.asked.clear()


def test_every_page_of_the_review_asks_who_looks_and_lets_nobody_out_of_the_archive(airflow, run):
    from pulsebook.airflow.review import app

    routes = [route.path for route in app.routes]
    assert routes
    for route in routes:
        own, foreign = (
            route.lstrip("/").format(dag_id=dag, run_id=run, task_id="missing_day") for dag in ("trials", "pages")
        )
        assert airflow.page(foreign).status_code == 401, "nobody"
        assert airflow.page(foreign, headers={"Authorization": "Bearer x.y.z"}).status_code in (401, 403)
        assert airflow.page(foreign, headers=airflow.bearer("viewer")).status_code == 403, "a viewer of another DAG"
        assert airflow.page(own, headers=airflow.bearer("viewer")).status_code == 404, "may look, there is nothing"
        for name in ("..%2f..%2fchat%2findex", "..", "%2fetc%2fpasswd", "%2e%2e%2f%2e%2e", "*", "missing_day-try1"):
            out = route.lstrip("/").format(dag_id="pages", run_id=run, task_id=name)
            assert airflow.page(out, headers=airflow.bearer()).status_code == 404, out
            out = route.lstrip("/").format(dag_id="pages", run_id=name, task_id="missing_day")
            assert airflow.page(out, headers=airflow.bearer()).status_code == 404, out
    for page in ("docs", "redoc", "openapi.json"):
        assert airflow.page(page).status_code == 404


def runs(browser) -> list:
    return browser.find_elements(By.CSS_SELECTOR, ".run")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_archive_opens_from_disk_finds_a_run_by_its_error_and_leads_to_its_page(airflow, browser, run, size):
    browser.set_window_size(*size)
    browser.get((airflow.outputs / "index.html").as_uri())
    wait(browser, lambda b: b.find_element(By.TAG_NAME, "body").get_attribute("data-ready"))
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    cell = browser.find_element(By.CSS_SELECTOR, "#days td.good, #days td.bad")
    view = browser.find_element(By.CSS_SELECTOR, ".wide")
    assert cell.rect["x"] + cell.rect["width"] <= view.rect["x"] + view.rect["width"], "the latest day is in view"
    browser.find_element(By.ID, "text").send_keys("no rows on 2026-01-05")
    found = wait(browser, lambda b: (rows := runs(b)) and all("no rows on" in row.text for row in rows) and rows)
    next(row for row in found if "pages" in row.text).find_element(By.TAG_NAME, "a").click()
    assert "has no rows on 2026-01-05" in wait(browser, present((By.CSS_SELECTOR, "pre.error"))).text
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "nor on the page"
    browser.set_window_size(*DESKTOP)


def test_the_page_of_another_server_cannot_use_the_embedded_warehouse(browser, tmp_path):
    """Pictures, a request without CORS, a form and a script, from a page on loopback, which is the same site."""
    with running(tmp_path) as url:
        for statement in ("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a", "INSERT INTO kept VALUES (1)"):
            assert requests.post(url, data=statement, timeout=60).ok
        insert, drop = quote("INSERT INTO kept VALUES (2)"), quote("DROP TABLE kept")
        page = f"""<!doctype html><title>begun</title><img src="{url}/?query={insert}"><img src="{url}/?query={drop}">
            <iframe name="answer"></iframe>
            <form method="post" target="answer" action="{url}/?query={drop}"><input name="x"></form>
            <script>
                document.forms[0].submit();
                const asked = ["SELECT 1", "DROP TABLE kept"].flatMap(statement => [
                    fetch("{url}", {{method: "POST", mode: "no-cors", body: statement}}),
                    fetch("{url}", {{method: "POST", body: statement}}).then(a => a.text()),
                    fetch("{url}/?query=" + encodeURIComponent(statement)).then(a => a.text()),
                ]);
                Promise.allSettled(asked).then(all => document.title = all.map(a => a.value || a.status).join(" "));
            </script>"""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as elsewhere:
            threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
            browser.get(f"http://localhost:{elsewhere.server_port}/")
            wait(browser, lambda b: b.title not in ("", "begun"))
            assert browser.title.split() == ["[object", "Response]", "rejected", "rejected"] * 2, "no answer is shown"
            time.sleep(2)  # for the pictures and the form
            elsewhere.shutdown()
        assert requests.post(url, data="SELECT count() FROM kept", timeout=60).text == "1\n"
