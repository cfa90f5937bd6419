"""The pages that reviewers read: by keyboard, by ear, in the dark, on a phone, from an address. axe-core looks at each of them."""

import base64
import functools
import shutil
import subprocess
import tarfile
from urllib.parse import unquote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from pulsebook import runner
from pulsebook.archive import index, index_entries, index_files, page
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.russian_runs import STATUSES
from pulsebook.base.settings import settings
from pulsebook.chat import page as chat_page
from tests.test_archive import a_notebook
from tests.test_archive_commands import a_run
from tests.test_pages import PNG as PICTURE
from tests.test_pages import Audit, code, display, markdown, of_file
from tests.test_review import browser, finished, needs_browser, picture, tab, two_runs  # noqa: F401 (fixtures)

pytestmark = [needs_browser, pytest.mark.slow]
AXE = "axe-core@4.10.2"
PAPER = 718  # pixels of a sheet of A4 between its margins
TRACEBACK = "raise ValueError(f'{7 + 1} rows are missing')"


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The script of axe-core, from npm. Skipped only where there is no npm."""
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    asked = subprocess.run(
        ["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert asked.returncode == 0, asked.stderr
    with tarfile.open(folder / asked.stdout.strip()) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture
def archive(two_runs, outputs, tmp_path, monkeypatch):  # noqa: F811
    """Two runs that succeeded, one that failed and printed much, incidents, and a chat: the pages by what they are."""
    notebook = a_notebook(
        tmp_path / "step.ipynb", "## Check", "print('wide ' * 80)", TRACEBACK, "## Save", "print('never')",
        parameters='run_date: str = ""  # the day',
    )  # fmt: skip
    with pytest.raises(runner.NotebookFailed):
        runner.run(notebook, {"run_date": "2026-11-22"}, folder_of(outputs, "etl", "2026-11-22", "run"))
    a_run(outputs, "alerts", "2026-11-21T10:45:00+03:00", 3, incidents=1)
    monkeypatch.setenv("PULSEBOOK_EXECUTED_AS", "etl/2026-11-21/scheduled__2026-11-21/step-try1.html")
    settings.cache_clear()
    text = "<b>Feed</b>\nDAU 7 <code>x</code>"
    chat_page.add("team k text 1", chat="team", text=text, photos=[base64.b64decode(picture("red"))], note="sent")
    chat_page.add("team k2 text 1", chat="operations", text="answer", photos=[], reply_to="team k")
    failed = outputs / "etl" / "2026-11-22" / "run" / "step-try1"
    return {
        "index": outputs / "index.html", "success": two_runs[1].html, "comparison": two_runs[1].compared,
        "failure": failed.with_suffix(".html"), "chat": outputs / "chat" / "index.html",
    }  # fmt: skip


def opened(browser, address: str):  # noqa: F811
    """A page, freshly loaded; of the index, when its list is drawn."""
    browser.get("about:blank")
    browser.get(address)
    if "/index.html" in address and "/chat/" not in address:
        browser.find_element("css selector", "body[data-ready]")
    return browser


def seen_as(browser, width: int, scheme: str, media: str = "") -> None:  # noqa: F811
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": wanted})


def lightness(browser, script: str) -> float:  # noqa: F811
    """0 to 1, of a colour that a script gives."""
    red, green, blue = browser.execute_script(f"return ({script}).match(/[0-9.]+/g).slice(0, 3).map(Number)")
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def serious(browser, axe: str) -> list[str]:  # noqa: F811
    """What axe-core finds on the page at hand that is serious or critical."""
    look = f"{axe};const done = arguments[0]; axe.run(document).then(found => done(found.violations.flatMap(v => "
    look += "['serious', 'critical'].includes(v.impact) ? v.nodes.map(n => v.id + ': ' + n.html.slice(0, 150)) : [])))"
    return browser.execute_async_script(look)


def fits(browser, width: int) -> bool:  # noqa: F811
    return browser.execute_script("return document.documentElement.scrollWidth") <= width


def has_ground(browser, scheme: str) -> bool:  # noqa: F811
    ground = lightness(browser, "getComputedStyle(document.body).backgroundColor")
    return ground < 0.2 if scheme == "dark" else ground > 0.8


def test_axe_finds_nothing_serious_on_any_page_light_or_dark_wide_or_narrow(archive, axe, browser):  # noqa: F811
    for name, file in archive.items():
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
            seen_as(browser, width, scheme)
            opened(browser, file.as_uri())
            if name == "index":
                browser.find_element("css selector", ".run .open").click()
            said = (name, width, scheme)
            assert serious(browser, axe) == [], said
            assert fits(browser, width) and has_ground(browser, scheme), said
            once = browser.execute_script("return ['main', 'h1'].map(e => document.querySelectorAll(e).length)")
            assert once[0] == 1 and once[1] >= 1, said


def test_a_picture_keeps_its_light_ground_in_the_dark(archive, browser):  # noqa: F811
    for name in ("success", "comparison", "chat"):
        seen_as(browser, 1280, "dark")
        opened(browser, archive[name].as_uri())
        assert lightness(browser, "getComputedStyle(document.querySelector('img')).backgroundColor") > 0.99, name


def test_pages_name_every_state_in_words(archive, two_runs, browser):  # noqa: F811
    words = {"success": ["succeeded"], "comparison": ["succeeded"] * 2, "failure": ["failed"]}
    for name, expected in words.items():
        opened(browser, archive[name].as_uri())
        assert [mark.text for mark in browser.find_elements("css selector", ".status")] == expected
    never = browser.find_element("css selector", ".celltag_never-ran .input")
    for mark, says in (
        (browser.find_element("css selector", ".celltag_stopped .input"), "stopped here"),
        (never, "never ran"),
    ):
        said = browser.execute_script("return getComputedStyle(arguments[0], '::before').content", mark)
        assert said == f'"{says}"'
    record = two_runs[0]
    for status in STATUSES:
        record.status = status
        assert f">{status}</b>" in page.outcome(record)
    assert "1,200" in (compared := archive["comparison"].read_text()) and "+300 (+25 %)" in compared, (
        "a change has its sign"
    )
    assert "sent · " in archive["chat"].read_text()


def test_a_picture_says_what_it_shows(tmp_path, archive):
    shown = [markdown("# T"), markdown("## Views by hour"), code(display({"image/png": PICTURE}))]
    named = code(display({"image/png": PICTURE}, alt="of its own"))
    document = {"cells": [*shown, named], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    made = page.render(of_file(tmp_path, document))
    assert Audit(made).check() and 'alt="picture: Views by hour"' in made and 'alt="of its own"' in made
    assert 'alt="chart 1: Feed"' in archive["chat"].read_text()
    assert ', before"' in archive["comparison"].read_text()


def press(browser, *keys) -> str:  # noqa: F811
    """Press keys; returns the name of what has the focus then, which is seen to have it."""
    ActionChains(browser).send_keys(*keys).perform()
    name, ring = browser.execute_script(
        "const on = document.activeElement;"
        "if (on.matches('body, iframe')) return [on.title, 'within'];"
        "return [on.ariaLabel || on.title || on.textContent, getComputedStyle(on).outlineStyle]"
    )
    assert ring != "none", f"it is not seen that {name} has the focus"
    return name


def tab_to(browser, what: str) -> str:  # noqa: F811
    for _ in range(60):
        if what in (focused := press(browser, Keys.TAB)):
            return focused
    raise AssertionError(f"no {what}")


def test_the_index_is_used_with_the_keyboard_alone(archive, browser):  # noqa: F811
    seen_as(browser, 1280, "light")
    opened(browser, archive["index"].as_uri())
    known = tab_to(browser, "etl, 2026-11-22")
    assert known == "etl, 2026-11-22: 1 run, 1 failed, 0 incidents", "the latest day, in words"
    assert press(browser, Keys.LEFT) == "etl, 2026-11-21: 1 run, all succeeded, 0 incidents"
    assert press(browser, Keys.UP).startswith("alerts, 2026-11-21")
    assert press(browser, Keys.DOWN).startswith("etl, 2026-11-21")
    assert press(browser, Keys.ENTER).startswith("etl, 2026-11-21"), "it stays where it was"
    assert browser.current_url.endswith("#day=2026-11-21&in=etl")
    assert browser.switch_to.active_element.get_attribute("aria-pressed") == "true"
    press(browser, Keys.ENTER)
    tab_to(browser, "details of ")
    assert press(browser, Keys.DOWN).startswith("details of ") and press(browser, Keys.UP).startswith("details of ")
    press(browser, Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("aria-expanded") == "true"
    assert "started 20" in browser.find_element("css selector", ".detail").text


def test_pages_comparisons_and_the_chat_are_used_with_the_keyboard_alone(archive, browser):  # noqa: F811
    seen_as(browser, 1280, "light")

    def enter(what: str, leads_to: str) -> None:
        tab_to(browser, what)
        ActionChains(browser).send_keys(Keys.ENTER).perform()
        wait_for(browser, lambda: unquote(browser.current_url).endswith(leads_to))

    opened(browser, archive["chat"].as_uri())
    enter("executed notebook", "/step-try1.html")
    enter(
        "Summary", "#cell-id=" + browser.find_element("css selector", "section.summary .cell").get_attribute("id")[8:]
    )
    enter("comparison", "/step-try1.diff.html")
    tab_to(browser, "the same")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.find_element("css selector", "details[open]").text.count("\n"), "what is folded opens"
    opened(browser, archive["failure"].as_uri())
    enter(
        "stopped here", "#cell-id=" + browser.find_element("css selector", ".celltag_stopped").get_attribute("id")[8:]
    )
    enter("index", "index.html#day=2026-11-22")


def seen(browser) -> tuple:  # noqa: F811
    """What the index shows."""
    rows = [row.text for row in browser.find_elements("css selector", ".run, .detail")]
    fields = [browser.find_element("id", name).get_property("value") for name in ("text", "dag", "status", "day")]
    return rows, fields, browser.find_element("id", "month").text


def test_an_address_restores_what_was_seen_and_months_without_runs_are_skipped(archive, outputs, browser):  # noqa: F811
    a_run(outputs, "etl", "2026-08-30", 80)
    opened(browser, archive["index"].as_uri())
    browser.find_element("id", "earlier").click()
    assert browser.find_element("id", "month").text == "August 2026" and browser.current_url.endswith("#month=2026-08")
    assert browser.find_element("id", "earlier").get_property("disabled")
    browser.find_element("id", "later").click()
    assert browser.find_element("id", "month").text == "November 2026"
    browser.execute_script(
        "const day = document.getElementById('day'); day.value = arguments[0]; day.dispatchEvent(new Event('change'))",
        "2026-11-21",
    )
    browser.find_element("id", "text").send_keys("steady")
    browser.find_element("xpath", "//select[@id='status']/option[.='succeeded']").click()
    wait_for(browser, lambda: "text=steady" in browser.current_url and len(seen(browser)[0]) == 1)
    browser.find_element("css selector", ".run .time").click()
    known, address = seen(browser), browser.current_url
    assert len(known[0]) == 2 and known[1] == ["steady", "", "succeeded", "2026-11-21"]
    opened(browser, address)
    assert seen(browser) == known
    opened(browser, f"{archive['index'].as_uri()}#day=2026-13-45&month=x&run=../../x&dag=none&in=nobody&status=odd")
    assert len(seen(browser)[0]) == 5, "what an address cannot mean shows everything"


def wait_for(browser, condition):  # noqa: F811
    from tests.browser import wait

    wait(browser, lambda _: condition())


def test_a_page_leads_to_what_belongs_to_it_also_to_what_came_later(archive, outputs, browser):  # noqa: F811
    seen_as(browser, 1280, "light")

    def follow(name: str, link: str) -> str:
        opened(browser, archive[name].as_uri())
        browser.find_element("css selector", "nav.ways").find_element("link text", link).click()
        wait_for(browser, lambda: "go=" not in browser.current_url or note())
        return unquote(browser.current_url.partition("/outputs/")[2])

    def note() -> str:
        return browser.execute_script("return document.getElementById('note')?.textContent")

    success = "etl/2026-11-21/scheduled__2026-11-21/step-try1"
    assert follow("success", "previous period") == "etl/2026-11-20/scheduled__2026-11-20/step-try1.html"
    assert follow("success", "next period") == "etl/2026-11-22/run/step-try1.html", "it ran after the page was written"
    assert follow("success", "comparison") == f"{success}.diff.html"
    assert (
        follow("failure", "next period").startswith("index.html#")
        and note() == "step of etl, 2026-11-22, has no later run here"
    )
    assert follow("failure", "index") == "index.html#day=2026-11-22"
    follow("success", "tasks of this run")
    wait_for(browser, lambda: len(seen(browser)[0]) == 1)


def test_a_try_that_a_later_one_made_good_is_no_failure(outputs, browser):  # noqa: F811
    folder = folder_of(outputs, "etl", "2026-11-22", "run")
    known = functools.partial(Record.open, folder, notebook="n.ipynb", parameters={})
    for task, attempt, map_index, status in (
        ("load", 1, None, "failed"), ("load", 2, None, "timed out"), ("load", 3, None, "succeeded"),
        ("slice", 1, 0, "failed"), ("slice", 2, 1, "succeeded"), ("back", 1, None, "succeeded"), ("back", 2, None, "failed"),
    ):  # fmt: skip
        record = known(task, attempt, map_index)
        record.executed.write_text('{"cells": []}')
        record.close(status, None if status == "succeeded" else "ValueError: x")
        index.update(outputs, record)
    assert index_files.read(index_files.overview_of(outputs), {})["days"] == {"2026-11-22": {"etl": [7, 2, 0, 0]}}
    opened(browser, (outputs / "index.html").as_uri())
    words = [row.text for row in browser.find_elements("css selector", ".run .status")]
    assert sorted(words) == ["↻ failed, retried", "↻ timed out, retried", *["✓ succeeded"] * 3, *["✗ failed"] * 2]
    opened(browser, f"{(outputs / 'index.html').as_uri()}#status=!")
    assert len(browser.find_elements("css selector", ".run")) == 2
    opened(browser, f"{(outputs / 'index.html').as_uri()}#status=failed")
    assert len(browser.find_elements("css selector", ".run")) == 3
    retried = index_entries.counts_of({
        "etl/d/run/load-try1": {"dag": "etl", "task": "load", "status": "failed"},
        "etl/d/other/load-try2": {"dag": "etl", "task": "load", "try": 2, "status": "succeeded"},
    })  # fmt: skip
    assert retried == {"etl": [2, 1, 0, 0]}, "another run makes nothing good"


def test_index_and_pages_tell_the_time_of_the_business_zone_and_name_it(outputs, browser, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PULSEBOOK_TIMEZONE", "Asia/Tokyo")
    settings.cache_clear()
    record = a_run(outputs, "etl", "2026-11-22", 3)
    record.started = "2026-11-22T20:15:07+00:00"
    index.update(outputs, record)
    made = page.render(record)
    assert "2026-11-23 05:15:07, Asia/Tokyo" in made and " UTC" not in made
    opened(browser, (outputs / "index.html").as_uri())
    assert browser.find_element("css selector", ".run .time").text == "05:15"
    assert "Asia/Tokyo" in browser.find_element("id", "state").text


def test_every_page_fits_the_paper_in_dark_ink(archive, browser):  # noqa: F811
    seen_as(browser, PAPER, "dark", media="print")
    for name, file in archive.items():
        opened(browser, file.as_uri())
        assert fits(browser, PAPER), name
        assert lightness(browser, "getComputedStyle(document.querySelector('h1')).color") < 0.3, name
        hidden = "return [...document.querySelectorAll('main *')].filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1"
        hidden += " && getComputedStyle(e).overflowX !== 'visible').map(e => e.outerHTML.slice(0, 150))"
        assert browser.execute_script(hidden) == [], f"{name}: nothing is cut off"


def test_a_message_on_the_chat_page_links_to_the_notebook_that_posted_it(archive):
    made = archive["chat"].read_text()
    assert made.count('<a href="../etl/2026-11-21/scheduled__2026-11-21/step-try1.html">executed notebook</a>') == 2


def test_a_page_of_a_notebook_that_posted_leads_to_its_first_message(archive, two_runs, browser):  # noqa: F811
    archive["success"].write_text(page.render(two_runs[1]))  # as after a run that posts
    opened(browser, archive["success"].as_uri())
    browser.find_element("link text", "message").click()
    assert browser.find_element("css selector", "article:has(:target) .text").text.startswith("Feed")
    assert ">message<" not in archive["failure"].read_text()


def test_the_notebook_tab_is_for_everybody_too(two_runs, tab, axe, browser):  # noqa: F811
    """By ear, in the dark, on a phone, on paper, by keyboard, from an address; Airflow's frame around it is Airflow's."""
    step = f"{tab[0]}/pulsebook/etl/scheduled__2026-11-21/step"
    browser.get(f"{tab[0]}/ui/etl/scheduled__2026-11-21/step")  # logs in
    looks = ((1280, "light", ""), (1280, "dark", ""), (390, "light", ""), (PAPER, "dark", "print"))
    for address in (step, f"{step}/compare"):
        for width, scheme, media in looks:
            seen_as(browser, width, scheme, media)
            opened(browser, address)
            assert serious(browser, axe) == [], (address, width, scheme, media)
            assert fits(browser, width) and has_ground(browser, "light" if media else scheme), (address, width, scheme)
    seen_as(browser, 1280, "light")
    opened(browser, step)
    line = browser.find_element("tag name", "nav")
    assert "succeeded" in line.text, "in words"
    tab_to(browser, "compare")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_for(browser, lambda: browser.current_url.endswith("/compare?try_number=1"))
    compared = browser.find_element("tag name", "nav").text
    assert "2026-11-21 compared with 2026-11-20" in compared
    assert opened(browser, browser.current_url).find_element("tag name", "nav").text == compared
    tab_to(browser, "back")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_for(browser, lambda: browser.current_url.endswith("/step?try_number=1"))
    tab_to(browser, "executed notebook")
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    tab_to(browser, "Process")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_for(browser, lambda: browser.execute_script("return document.querySelector(':target').innerText") == "Process")
