"""The review as people meet it: a real browser on a real Airflow, and on the archive's pages from disk."""

import os
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located as present
from selenium.webdriver.support.wait import WebDriverWait

from tests.services import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
DESKTOP, PHONE = (1400, 1000), (400, 850)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium; it knows nothing yet. Skipped only where there is none and nobody promised one."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "needs Debian's packages chromium and chromium-driver"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                 f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--no-first-run", "--lang=en"):  # fmt: skip
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_window_size(*DESKTOP)
    yield browser
    browser.quit()


def wait(browser, condition, seconds: float = 30):
    return WebDriverWait(browser, seconds).until(condition)


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
    browser.get(f"{airflow.address}/dags/pages/runs/{run}/tasks/{task}")
    wait(browser, present((By.LINK_TEXT, "Notebook"))).click()
    frame = wait(browser, present((By.CSS_SELECTOR, "iframe[src*='/pulsebook/']")))
    browser.switch_to.frame(frame)
    wait(browser, present((By.CSS_SELECTOR, "main")))


def test_the_tab_shows_the_summary_of_a_task_that_succeeded(airflow, session, run):
    open_tab(session, airflow, run, "hostile")
    text = session.find_element(By.TAG_NAME, "body").text
    assert "42 rows of trial" in session.find_element(By.CSS_SELECTOR, "main.summary").text
    assert text.index("42 rows of trial") < text.index("what the notebook shows"), "the summary comes first"
    assert "succeeded" in text
    session.switch_to.default_content()


def test_the_tab_shows_the_error_of_a_task_that_failed(airflow, session, run):
    open_tab(session, airflow, run, "missing_day")
    error = session.find_element(By.CSS_SELECTOR, "pre.error").text
    assert "has no rows on 2026-01-05" in error and "cell" in error
    assert session.find_element(By.CSS_SELECTOR, ".jp-RenderedText[data-mime-type*=stderr], .stopped").is_displayed()
    session.switch_to.default_content()
