"""An archive of 100,000 runs: what one more run costs, how soon the index page is there, how long the commands take. And how
many requests a notebook takes in an object store.

    python -m tests.bench.archive [--runs 100000]

Runs are generated as the DAGs would leave them in a year and a half: 201 a day, most of them alert checks. The page is
opened from disk in headless Chromium, if there is one.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from nbformat import v4, write

from pulsebook import runner
from pulsebook.archive import index, lookup, retention
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.settings import settings
from tests.object_store import object_store

ETL = ("extract_feed", "extract_messages", "merge_users", "slice_os", "slice_gender", "slice_age", "load")
FIRST = date(2025, 6, 1)


def steps_of(day: date):
    """DAG, period and task of all runs of a day."""
    for slot in range(96):
        period = f"{day}T{slot // 4:02}:{slot % 4 * 15:02}:00+03:00"
        yield from (("alerts", period, task) for task in ("collect", "check"))
    yield from (("etl", str(day), task) for task in ETL)
    yield from (("feed_report", str(day), "feed_report"), ("app_report", str(day), "app_report"))


def generate(outputs: Path, runs: int) -> None:
    """Records of so many runs; every 200th failed, every 300th raised an incident."""
    facts = asdict(Record("notebooks/alerts/check.ipynb", {"post": True})) | {"status": "succeeded", "duration": 3.2}
    del facts["path"]
    made = 0
    for n in range(10**6):
        day = FIRST + timedelta(days=n)
        for dag, period, task in steps_of(day):
            if made == runs:
                return
            made += 1
            folder = folder_of(outputs, dag, period, f"scheduled__{period}")
            folder.mkdir(parents=True, exist_ok=True)
            instant = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).isoformat()
            own = {"parameters": {"slot": period, "post": True}, "started": instant, "ended": instant}
            own |= {"headline": f"{period}: 1 slot checked, 0 metrics off, 0 messages; open incidents: none"}
            if made % 200 == 0:
                own |= {"status": "failed", "error": f"cell [5] under “Check”: ValueError: nothing at {period}"}
            if made % 300 == 0:
                own |= {"incidents": 1}
            (folder / f"{task}-try1.json").write_text(json.dumps(facts | own))


def took(what) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def one_more(outputs: Path, n: int) -> tuple[float, float]:
    """Seconds that the index takes for the beginning and the end of one more run."""
    slot = f"2026-11-{n % 28 + 1:02}T10:45:00+03:00"
    record = Record.open(folder_of(outputs, "alerts", slot, f"run-{n}"), "check", 1, notebook="n.ipynb", parameters={})
    begins = took(lambda: index.update(outputs, record))
    record.close("succeeded")
    return begins, took(lambda: index.update(outputs, record))


def page(outputs: Path) -> str:
    """How soon the page is there, and how long a search through all days takes."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "no chromium here"
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        ready = []
        driver.implicitly_wait(60)
        for _ in range(5):
            driver.get("about:blank")
            driver.get(f"file://{outputs}/index.html")
            ready.append(int(driver.find_element("css selector", "body[data-ready]").get_attribute("data-ready")))
        driver.get("about:blank")
        driver.get(f"file://{outputs}/index.html#text=nothing+like+this")
        search = int(driver.find_element("css selector", "body[data-ready]").get_attribute("data-ready"))
        driver.get("about:blank")
        driver.get(f"file://{outputs}/index.html#status=failed")
        failed = int(driver.find_element("css selector", "body[data-ready]").get_attribute("data-ready"))
        return f"{statistics.median(ready)} ms (of {ready}); all days searched {search} ms, failed runs {failed} ms"
    finally:
        driver.quit()


def in_a_bucket(place: Path) -> str:
    """What a notebook of 14 cells takes in an object store: the first run of an archive, one with nothing to compare with, and
    one that is compared."""
    notebook, requested, found = place / "step.ipynb", [], []
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    write(v4.new_notebook(cells=[v4.new_code_cell("1") for _ in range(14)], metadata={"kernelspec": spec}), notebook)
    with object_store(requested=requested) as variables:
        os.environ |= variables | {"PULSEBOOK_OUTPUTS": "s3://pulsebook/bench"}
        settings.cache_clear()
        for dag, day in (("first", 1), ("etl", 1), ("etl", 2)):
            requested.clear()
            folder = folder_of(settings().outputs, dag, f"2026-11-{day:02}", "run")
            seconds = took(lambda folder=folder: runner.run(notebook, {}, folder))
            found.append(f"{len(requested)} in {seconds:.1f} s")
    return "; ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        print(f"requests of a notebook of 14 cells: {in_a_bucket(Path(folder))}", flush=True)
        outputs = Path(folder) / "outputs"
        print(f"generated {runs:,} runs in {took(lambda: generate(outputs, runs)):.0f} s")
        print(f"index made anew: {took(lambda: index.rebuild(outputs)):.0f} s", flush=True)
        times = sorted(1000 * t for n in range(100) for t in one_more(outputs, n))
        print(f"index update for one run: median {statistics.median(times):.1f} ms, longest {times[-1]:.1f} ms")
        last = Record.load(max(outputs.glob("etl/*/*/load-try1.json")))
        print(f"previous run found: {1000 * took(lambda: lookup.previous(outputs, last)):.1f} ms")
        print(f"page, until the list is there: {page(outputs)}", flush=True)
        size = sum(f.stat().st_size for f in (outputs / ".index").rglob("*.js"))
        print(
            f"index: {size / 1e6:.0f} MB, of that {(outputs / '.index/overview.js').stat().st_size / 1e3:.0f} KB overview"
        )
        now = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp() + 30 * 86400
        found = []
        print(f"prune, dry: {took(lambda: found.extend(retention.prune(outputs, now))):.1f} s for {len(found):,} runs")
        print(f"prune: {took(lambda: retention.prune(outputs, now, delete=True)):.1f} s")


if __name__ == "__main__":
    main()
