"""A name that is not there: the error says what there is and what may be meant, wherever the mistake was made."""

import pandas as pd
import pytest

from pulsebook import catalogue
from pulsebook.catalogue import CatalogueError
from pulsebook.execution.in_kernel import words
from pulsebook.present import charts
from pulsebook.present.numbers import with_ratios
from pulsebook.warehouse import Warehouse, WarehouseError
from pulsebook.warehouse.events import events
from pulsebook.warehouse.unknown import hint

DAYS = pd.date_range("2026-11-01", periods=5)
FRAME = pd.DataFrame({"views": 1.0, "likes": 2.0}, DAYS)
OLD = "e.displayText() = DB::Exception"
FEED, USERS = ["user_id", "action", "time"], ["user_id", "views"]
TABLES = {"one.feed": FEED, "one.users": USERS}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: catalogue.metric("veiws"), r"no metric is named veiws; there are dau, .*: is views meant\?"),
        (lambda: catalogue.METRICS["veiws"], r"no metric is named veiws; there are dau, .*: is views meant\?"),
        (lambda: catalogue.dimension("gendr"), r"no dimension is named gendr; there are os, gender, age: is gender meant\?"),
        (lambda: catalogue.dimension("xyz"), "no dimension is named xyz; there are os, gender, age$"),
        (lambda: events(Warehouse(""), "fed"), r"no source is named fed; there are feed, messages: is feed meant\?"),
        (lambda: with_ratios(FRAME.set_axis(["veiws", "likes"], axis=1), "ctr"), r"has veiws, likes: is veiws meant\?"),
    ],
)  # fmt: skip
def test_of_the_catalogue(ask, said):
    with pytest.raises(CatalogueError, match=said):
        ask()


@pytest.mark.parametrize(
    ("sql", "answer", "said"),
    [
        ("SELECT actoin FROM one.feed", f"Code: 47, {OLD}: Unknown identifier: actoin, e.what() = DB::Exception",
         "\none.feed has user_id, action, time: is action meant?"),
        ("SELECT f.veiws FROM one.feed AS f ANY LEFT JOIN one.users AS u USING user_id", f"Code: 47, {OLD}: Unknown identifier: veiws",
         "\none.feed has user_id, action, time\none.users has user_id, views: is views meant?"),
        ("SELECT x FROM one.feed", "Code: 47. DB::Exception: Missing columns: 'x' while processing query: 'SELECT x', required columns: 'x'",
         "\none.feed has user_id, action, time"),
        ("SELECT veiws FROM one.users", "Code: 47. DB::Exception: Missing columns: 'veiws', maybe you meant: ['views']", ""),
        ("WITH w AS (SELECT views FROM one.users) SELECT veiws FROM w", f"Code: 47, {OLD}: Unknown identifier: veiws",
         "\none.users has user_id, views: is views meant?"),
        ("SELECT 1 FROM one.fed", f"Code: 60, {OLD}: Table one.fed doesn't exist.", "\none has feed, users: is feed meant?"),
        ("SELECT 1 FROM feed", f"Code: 60, {OLD}: Table default.feed doesn't exist.",
         "\nfeed needs the name of its database before it: one.feed"),
        ("SELECT 1 FROM oen.feed", f"Code: 81, {OLD}: Database oen doesn't exist", "\nthere are default, one: is one meant?"),
        ("SELECT 1 FROM one.feed WHERE (", f"Code: 62, {OLD}: Syntax error: failed at position 30", ""),
    ],
)  # fmt: skip
def test_of_a_column_or_table_on_servers_that_only_say_what_they_do_not_know(sql, answer, said):
    def ask(statement: str) -> list[str]:
        words = statement.split()
        match words:
            case ["DESCRIBE", "TABLE", table] if table in TABLES:
                return TABLES[table]
            case ["SHOW", "TABLES", "FROM", database] if database in ("one", "default"):
                return [name.partition(".")[2] for name in TABLES if name.startswith(f"{database}.")]
            case ["SHOW", "DATABASES"]:
                return ["default", "one", "system"]
        raise WarehouseError(f"unexpected: {statement}")

    assert hint(ask, sql, answer) == said


def test_of_a_column_or_table_on_a_server(server, databases, execute):
    source, _ = databases
    execute(f"CREATE TABLE {source}.feed_actions (user_id UInt32, action String) ENGINE Log")
    warehouse = Warehouse(server)
    for sql, name in (
        ("SELECT actoin FROM {}.feed_actions", "action"),
        ("SELECT 1 FROM {}.feed_action", "feed_actions"),
    ):
        with pytest.raises(WarehouseError, match=rf"aybe you meant[^?]*\b{name}\b|is {name} meant"):
            warehouse.read(sql.format(source))
    with pytest.raises(WarehouseError, match="meant"):
        warehouse.execute(f"INSERT INTO {source}.feed_actions SELECT user_di, action FROM {source}.feed_actions")
    with pytest.raises(WarehouseError, match="meant"):
        warehouse.columns(f"{source}.feed_action")
    with pytest.raises(WarehouseError, match=r"lacks usr_id; it has user_id, action: is user_id meant\?"):
        warehouse.require(f"{source}.feed_actions", ("usr_id",))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: FRAME["veiws"], "'veiws'; the columns are views, likes: is views meant?"),
        (lambda: FRAME[["likes", "veiws"]], "the columns are views, likes: is views meant?"),
        (lambda: FRAME.iloc[-1]["lieks"], "'lieks'; the labels are views, likes: is likes meant?"),
        (lambda: FRAME.sort_values("veiws"), "'veiws'; the columns are views, likes: is views meant?"),
        (lambda: {"views": 1}["veiws"], "'veiws'"),
        (lambda: pd.DataFrame({1: [2]})[3], "3"),
    ],
)
def test_of_a_column_of_a_table_of_pandas(ask, said):
    with pytest.raises(KeyError) as failed:
        ask()
    name, message = words(failed.value)
    assert name == "KeyError" and message.endswith(said)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda ax: charts.week(ax, FRAME["views"], "views", "en"), "a series of 14 days, found 5 days"),
        (lambda ax: charts.week(ax, FRAME, "views", "en"), "a series of 14 days, found a DataFrame"),
        (lambda ax: charts.band(ax, FRAME, "views", "en"), "needs the columns value, low, .*; value is not among views, likes"),
        (lambda ax: charts.lines(ax, FRAME, "en", ("views",)), "found 1 names, 2 columns"),
    ],
)  # fmt: skip
def test_of_what_a_chart_is_drawn_of(draw, said):
    with pytest.raises(ValueError, match=said):
        draw(charts.Picture("x").panel("y"))
