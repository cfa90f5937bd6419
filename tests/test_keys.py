"""The key of a message is derived from the run; another task's key is an error."""

import json
import re
import shutil

import pytest

from pulsebook import chat, runner
from pulsebook.base.names import folder_of
from pulsebook.base.settings import ROOT, settings
from pulsebook.chat.ledger import COLUMNS
from pulsebook.local import sample
from tests.test_reports import UNTIL

DAY = "2026-11-19"


@pytest.fixture
def as_task(configured):
    """Makes the settings those of a kernel that executes a task's notebook."""

    def become(dag_id: str, task_id: str = "report", map_index: str = "", period: str = DAY):
        configured(executed_as=f"{dag_id}/{period}/manual__1/{task_id}{map_index}-try1.html")

    return become


def shown() -> list[str]:
    """Ids of the messages on the page."""
    log = settings().outputs / "chat" / "messages.jsonl"
    return [json.loads(line)["id"] for line in log.read_text().splitlines()] if log.exists() else []


def test_the_key_names_the_dag_of_the_run(as_task):
    for dag_id in ("feed_report", "my.report", "копия", "a=2Fb"):
        as_task(dag_id)
        assert chat.key(DAY) == chat.key(DAY, by_hand="other") == f"{dag_id.replace('a=2Fb', 'a/b')}/{DAY}"


@pytest.mark.parametrize("place", ["", "report-try1.html", "a/b/report-try1.html", "x/y/z/report.html"])
def test_by_hand_a_message_needs_a_sender(place, configured):
    configured(executed_as=place)
    assert chat.key(DAY, by_hand="feed_report") == f"feed_report/{DAY}"
    with pytest.raises(
        ValueError, match=f"set the parameter post_as.*posted as feed_report/{DAY}, once. Nothing was posted"
    ):
        chat.key(DAY)


def test_a_message_under_another_tasks_key_is_an_error_and_a_retry_is_none(as_task):
    as_task("feed_report")
    assert chat.post(chat.key(DAY), "first").sent_now == 1
    assert chat.post(chat.key(DAY), "first").sent_now == 0
    for task, index in (("other", ""), ("report", "-map0")):
        as_task("feed_report", task, index)
        with pytest.raises(
            chat.KeyTaken, match=rf"posted by the task feed_report.report, so this one of feed_report.{task}"
        ):
            chat.post(chat.key(DAY), "second")
        with pytest.raises(chat.KeyTaken):
            chat.post(chat.key(DAY), "", [png()])
        assert chat.post(chat.key(f"{DAY}/{task}{index}"), "second").sent_now == 1
    assert len(shown()) == 3


def png() -> bytes:
    from pulsebook.present.charts import Picture

    picture = Picture("p", columns=1)
    picture.panel("p")
    return picture.png()


def test_a_ledger_of_before_gets_its_columns_and_its_messages_stay_sent(as_task, execute, databases):
    table = f"{databases[1]}.chat_messages"
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items() if name not in ("task", "revision"))
    execute(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (key, part, at)")
    row = f"now(), 'feed_report/{DAY}', 'text 1', 'page team', 'c', 'sent', '1', 'first', ''"
    execute(f"INSERT INTO {table} SELECT {row}")
    as_task("feed_report")
    assert chat.post(chat.key(DAY), "first").sent_now == 0
    assert chat.post(chat.key("2026-11-20"), "next").sent_now == 1
    owners = execute(f"SELECT key, task FROM {table} WHERE status = 'sent' ORDER BY key FORMAT TSV")
    assert owners == f"feed_report/{DAY}\t\\N\nfeed_report/2026-11-20\tfeed_report.report\n"


@pytest.mark.story
@pytest.mark.slow
def test_a_copied_report_posts_a_message_of_its_own(configured, server, databases, tmp_path):
    sample.fill(sample.http(server), 15, 100, 5, UNTIL, "Europe/Moscow", databases[0])
    copy = tmp_path / "copy.ipynb"
    shutil.copy(ROOT / "notebooks/reports/feed_report.ipynb", copy)
    for notebook, dag_id in (
        (ROOT / "notebooks/reports/feed_report.ipynb", "feed_report"),
        (copy, "copy"),
        (copy, "copy"),
    ):
        folder = folder_of(settings().outputs, dag_id, DAY, "run")
        runner.run(notebook, {"run_date": DAY, "post": True}, folder)
    assert shown() == [f"team {dag}/{DAY} pictures 1" for dag in ("feed_report", "copy")]
    with pytest.raises(runner.NotebookFailed, match=re.escape("set the parameter post_as")):
        runner.run(copy, {"run_date": DAY, "post": True}, tmp_path / "by hand")
    assert len(shown()) == 2
