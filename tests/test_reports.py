"""Both reports against an independent computation in pandas from the raw rows, in both languages."""

import io
import json
import re
import uuid
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import pytest
import requests
from PIL import Image

from pulsebook import catalogue
from pulsebook.base.settings import ROOT
from pulsebook.catalogue import DIMENSIONS, METRICS, Dimension, Ratio
from pulsebook.local import sample
from pulsebook.warehouse import WarehouseError

ZONE = ZoneInfo("Europe/Moscow")
UNTIL = datetime(2026, 11, 24, 9, 0, tzinfo=ZONE)
DAYS = {
    "an ordinary day": date(2026, 11, 19),
    "a day with an outage": date(2026, 11, 21),  # the feed was away for 45 minutes
    "the first day of a week": date(2026, 11, 23),
}


@pytest.fixture(scope="module")
def app(server):
    """Five weeks of the sample in a database of their own, and their rows as frames."""
    name = f"report_source_{uuid.uuid4().hex[:6]}"
    sample.fill(sample.http(server), 36, 300, 5, UNTIL, "Europe/Moscow", name)

    def rows(table, columns):
        chosen = columns.replace("time", "toUInt32(time) AS time")
        answer = requests.post(
            server, data=f"SELECT {chosen} FROM {name}.{table} FORMAT TabSeparatedWithNames", timeout=60
        )
        frame = pd.read_csv(io.StringIO(answer.text), sep="\t", keep_default_na=False)
        at = pd.to_datetime(frame["time"], unit="s", utc=True).dt.tz_convert(ZONE)
        return frame.assign(day=at.dt.date, minute=at.dt.hour * 60 + at.dt.minute // 15 * 15)

    feed = rows("feed_actions", "user_id, post_id, action, time, source, gender, age, os")
    messages = rows("message_actions", "user_id, receiver_id, time, source, gender, age, os")
    yield name, feed, messages
    requests.post(server, data=f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
def counted(execute):
    """A target database whose tables of days are filled by the first report that reads them."""
    name = f"report_target_{uuid.uuid4().hex[:6]}"
    execute(f"CREATE DATABASE {name}")
    yield name
    execute(f"DROP DATABASE {name}")


@pytest.fixture
def reading(app, counted, configured):
    """`configured` on the sample, for tests that leave behind nothing but the tables of days."""

    def configure(**values):
        return configured(source_database=app[0], target_database=counted, **values)

    configure()
    return configure


def run(notebook: str, changed: tuple[str, str] = ("", ""), **parameters) -> dict:
    """The cells of a report in this process, a text in them `changed` to another; returns their variables."""
    cells = nbformat.read(ROOT / f"notebooks/reports/{notebook}.ipynb", 4).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    if changed[0]:
        assert sum(source.count(changed[0]) for source in code) == 1, "the change is in one place"
        code = [source.replace(*changed) for source in code]
    parameters = {"post_as": notebook} | parameters if "post" in parameters else parameters
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    variables = {}
    exec(compile("\n".join([code[0], given, *code[1:]]), notebook, "exec"), variables)
    return variables


# -- an independent writer of numbers: no babel, no shared code


def digits(value: float, language: str, places: int = 0) -> str:
    text = f"{value:,.{places}f}"
    return text if language == "en" else text.replace(",", "\xa0").replace(".", ",")


def percent(value: float, language: str, places: int = 1) -> str:
    return digits(value * 100, language, places) + "\xa0%"


def moved(now: float, before: float | None, language: str, share: bool) -> str:
    if before is None or not share and before == 0:
        return "–"
    difference = (now - before) * 100 if share else (now / before - 1) * 100
    unit = {"en": "pp", "ru": "п.п."}[language] if share else "%"
    size = digits(abs(difference), language, 1)
    mark = "=" if size in ("0.0", "0,0") else "▲" if difference > 0 else "▼"
    return f"{mark}\xa0{size}\xa0{unit}"


def with_changes(label, by_day, day, language, share=False, places=0):
    now = by_day(day)
    value = percent(now, language) if share else digits(now, language, places)
    both = " · ".join(moved(now, by_day(day - timedelta(days=n)), language, share) for n in (1, 7))
    return f"{label}: <b>{value}</b>  {both}"


def views(rows):
    return (rows["action"] == "view").sum()


def likes(rows):
    return (rows["action"] == "like").sum()


TITLES = {
    ("en", date(2026, 11, 19)): "Thursday, 19 November 2026",
    ("en", date(2026, 11, 21)): "Saturday, 21 November 2026",
    ("en", date(2026, 11, 23)): "Monday, 23 November 2026",
    ("ru", date(2026, 11, 19)): "четверг, 19 ноября 2026",
    ("ru", date(2026, 11, 21)): "суббота, 21 ноября 2026",
    ("ru", date(2026, 11, 23)): "понедельник, 23 ноября 2026",
}


UNSETTLED = {
    "en": "History since 19 October: users not seen since then count as new",
    "ru": "История с 19 октября: кого с тех пор не было, считаются новыми",
}


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("day", DAYS.values(), ids=DAYS)
def test_the_feed_report_equals_an_independent_computation(day, language, app, reading, capsys, facts):
    _, feed, _ = app
    reading(language=language)
    found = run("feed_report", run_date=str(day))
    of = {d: rows for d, rows in feed.groupby("day")}
    en = language == "en"
    users = "Feed users (DAU)" if en else "Пользователи ленты (DAU)"
    expected = [
        f"<b>{'Feed' if en else 'Лента'} · {TITLES[language, day]}</b>",
        "against the day before · the same weekday a week ago" if en else "к предыдущему дню · к тому же дню неделю назад",
        "",
        with_changes(users, lambda d: of[d]["user_id"].nunique(), day, language),
        with_changes("Views" if en else "Просмотры", lambda d: views(of[d]), day, language),
        with_changes("Likes" if en else "Лайки", lambda d: likes(of[d]), day, language),
        with_changes("CTR", lambda d: likes(of[d]) / views(of[d]), day, language, share=True),
        "",
        f"{'Views per user' if en else 'Просмотров на пользователя'}: "
        + digits(views(of[day]) / of[day]["user_id"].nunique(), language, 1),
        f"{'Likes per user' if en else 'Лайков на пользователя'}: "
        + digits(likes(of[day]) / of[day]["user_id"].nunique(), language, 1),
    ]  # fmt: skip
    assert found["message"].split("\n") == expected
    said = capsys.readouterr().out.strip().split("\n")[-1]
    assert said == (
        f"{day}: {users.removesuffix(' (DAU)')} {digits(of[day]['user_id'].nunique(), language)}, {'Views' if en else 'Просмотры'} "
        f"{digits(views(of[day]), language)}, {'Likes' if en else 'Лайки'} {digits(likes(of[day]), language)}, "
        f"CTR {percent(likes(of[day]) / views(of[day]), language)}"
    )
    users = of[day]["user_id"].nunique()
    assert facts == pytest.approx({
        ("feed_users", ""): users, ("views", ""): views(of[day]), ("likes", ""): likes(of[day]),
        ("ctr", ""): likes(of[day]) / views(of[day]), ("views_per_user", ""): views(of[day]) / users,
        ("likes_per_user", ""): likes(of[day]) / users,
    })  # fmt: skip
    chart = found["daily"][["feed_users", "views", "likes", "ctr"]]
    assert list(chart.index.date) == [day - timedelta(days=n) for n in range(13, -1, -1)]
    assert chart["views"].tolist() == [views(of[d]) for d in chart.index.date]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("day", DAYS.values(), ids=DAYS)
def test_the_app_report_equals_an_independent_computation(day, language, app, reading, facts):
    _, feed, messages = app
    reading(language=language)
    found = run("app_report", run_date=str(day))
    feed_of, messages_of = dict(list(feed.groupby("day"))), dict(list(messages.groupby("day")))
    en = language == "en"
    everything = pd.concat([feed, messages])[["user_id", "day", "minute", "time", "source"]]
    everything = everything[everything["day"] <= day]
    active = {d: set(rows["user_id"]) for d, rows in everything.groupby("day")}
    first = everything.groupby("user_id")["day"].min()

    def within(newest: int, oldest: int) -> set:
        """Users who were active from `oldest` to `newest` days before the day."""
        return set().union(*(active.get(day - timedelta(days=n), set()) for n in range(newest, oldest + 1)))

    in_feed, in_messenger = set(feed_of[day]["user_id"]), set(messages_of[day]["user_id"])
    new = set(first[first == day].index)
    origin = (
        everything[everything["user_id"].isin(new)]
        .sort_values("time")
        .groupby("user_id")["source"]
        .first()
        .value_counts()
    )
    begun = everything["day"].min()

    def over(label: str, of, needed: int, share=False) -> str:
        """A figure of the last days beside that of a week ago, which takes so many days of history."""
        now, before = of(0), of(7) if (day - begun).days + 1 >= needed else None
        value = percent(now, language) if share else digits(now, language)
        return f"{label}: <b>{value}</b>  {moved(now, before, language, share)}"

    def in_days(count: int):
        return lambda ago: len(within(ago, ago + count - 1))

    def returned(ago: int) -> int:
        newest = day - timedelta(days=ago)
        new = set(first[(first > newest - timedelta(days=7)) & (first <= newest)].index)
        return len(within(ago, ago + 6) - within(ago + 7, ago + 13) - new)

    def lost(ago: int) -> int:
        return len(within(ago + 7, ago + 13) - within(ago, ago + 6))

    settled = everything["day"].min() + timedelta(days=28)  # users new before that may be old ones

    def kept(n: int) -> str:
        began = day - timedelta(days=n)
        if began < settled:
            return f"{names['day']} {n} –"
        cohort = set(first[first == began].index)
        share = percent(len(cohort & active[day]) / len(cohort), language)
        return f"{names['day']} {n} {share} ({names['new_on']} {began.day} {names['month']})"

    def feed_users(d):
        return feed_of[d]["user_id"].nunique()

    def posts(d):
        return feed_of[d].loc[feed_of[d]["action"] == "view", "post_id"].nunique()

    def senders(d):
        return messages_of[d]["user_id"].nunique()

    names = dict(
        title="App", users="Users", feed="feed only", messenger="messenger only", both="both", new="New users", ret="Retention",
        day="day", ago="Against a week ago", dau="App users (DAU)",
        returned="Returned after a week", lost="Lost since last week", activity="Activity", views="Views", likes="Likes",
        posts="Posts seen", per_user="Likes per user", sent="Messages", senders="Senders", per_sender="Messages per sender",
        top="Top posts</b> (id: views, CTR)", where="Where", absent="not known yet: this day is not loaded",
        against="against the day before · a week ago", new_on="of", month="Nov",
    ) if en else dict(
        title="Приложение", users="Пользователи", feed="только лента", messenger="только мессенджер", both="оба", new="Новые",
        ret="Удержание", day="день", ago="К прошлой неделе",
        dau="Пользователи приложения (DAU)", returned="Вернулись спустя неделю", lost="Не вернулись с прошлой недели", activity="Активность",
        views="Просмотры", likes="Лайки", posts="Просмотренные посты", per_user="Лайков на пользователя", sent="Сообщения",
        senders="Отправители", per_sender="Сообщений на отправителя", top="Топ постов</b> (номер: просмотры, CTR)",
        where="Где", absent="пока неизвестно: этот день ещё не загружен",
        against="к предыдущему дню · к прошлой неделе", new_on="от", month="нояб.",
    )  # fmt: skip
    n = names

    def line(key, by_day, share=False, places=0):
        return with_changes(n.get(key, key), by_day, day, language, share, places)

    counts = " ".join  # keeps the list below short
    expected = [
        f"<b>{n['title']} · {TITLES[language, day]}</b>", n["against"], "", f"<b>{n['users']}</b>",
        line("dau", lambda d: len(active[d])),
        f"{n['feed']} {digits(len(in_feed - in_messenger), language)} · {n['messenger']} {digits(len(in_messenger - in_feed), language)}"
        f" · {n['both']} {digits(len(in_feed & in_messenger), language)}",
        f"{n['new']}: <b>{digits(len(new), language)}</b>"
        + f" ({' · '.join(counts((who if en else {'ads': 'реклама', 'organic': 'органика'}[who], digits(origin[who], language))) for who in sorted(origin.index))})",
        f"{n['ret']}: {kept(1)} · {kept(7)}",
        *([UNSETTLED[language]] if settled > day - timedelta(days=6) else []),
        "", f"<b>{n['ago']}</b>",
        over("WAU", in_days(7), 14), over("MAU", in_days(30), 37),
        over("DAU / MAU", lambda ago: len(active[day - timedelta(days=ago)]) / in_days(30)(ago), 37, share=True),
        over(n["returned"], returned, 21), over(n["lost"], lost, 21),
        "", f"<b>{n['activity']}</b>",
        line("views", lambda d: views(feed_of[d])),
        line("likes", lambda d: likes(feed_of[d])),
        line("CTR", lambda d: likes(feed_of[d]) / views(feed_of[d]), share=True),
        line("posts", posts),
        line("per_user", lambda d: likes(feed_of[d]) / feed_users(d), places=1),
        line("sent", lambda d: len(messages_of[d])),
        line("senders", senders),
        line("per_sender", lambda d: len(messages_of[d]) / senders(d), places=1),
        "", f"<b>{n['top']}",
    ]  # fmt: skip
    seen = feed_of[day].groupby("post_id")["action"].value_counts().unstack(fill_value=0).reset_index()
    for post in seen.sort_values(["view", "post_id"], ascending=[False, True]).head(5).itertuples():
        ctr = percent(post.like / post.view, language)
        expected.append(f"{post.post_id}: {digits(post.view, language)} · {ctr}")
    expected += ["", f"<b>{n['where']}</b>", f"– {n['absent']}"]
    assert found["message"].split("\n") == expected

    # what is stated
    counts = {
        "dau": len(active[day]), "new_users": len(new), "feed_only": len(in_feed - in_messenger),
        "messenger_only": len(in_messenger - in_feed), "both": len(in_feed & in_messenger), "wau": in_days(7)(0),
        "mau": in_days(30)(0), "stickiness": len(active[day]) / in_days(30)(0), "returned": returned(0), "lost": lost(0), "views": views(feed_of[day]),
        "likes": likes(feed_of[day]), "ctr": likes(feed_of[day]) / views(feed_of[day]), "posts": posts(day),
        "likes_per_user": likes(feed_of[day]) / feed_users(day), "messages_sent": len(messages_of[day]),
        "messenger_users": senders(day), "messages_per_sender": len(messages_of[day]) / senders(day),
    }  # fmt: skip
    assert {name: value for (name, part), value in facts.items() if not part} == pytest.approx(counts)
    assert {part: value for (name, part), value in facts.items() if name == "new_users" and value and part} == {
        f"source={who}": number for who, number in origin.items()
    }
    best = min(seen.itertuples(), key=lambda post: (-post.view, post.post_id))
    assert facts["ctr", f"post={best.post_id}"] == pytest.approx(best.like / best.view)

    # what is drawn
    per_slot = everything.groupby(["day", "minute"])["user_id"].nunique().unstack("day")
    before = per_slot[[day - timedelta(days=k) for k in range(1, 8)]]
    expected_median = before.median(axis=1)
    drawn = found["profile"]
    assert drawn["day"].dropna().to_dict() == per_slot[day].dropna().to_dict()
    assert drawn["median"].dropna().to_dict() == expected_median.reindex(drawn.index).dropna().to_dict()
    for age in (1, 3, 7, 14):
        cohorts = [d for d in first.unique() if settled <= d <= day - timedelta(days=age)]
        if not cohorts:
            assert pd.isna(found["retention"][age])
            continue
        members = [set(first[first == d].index) for d in cohorts]
        kept = sum(len(m & active[d + timedelta(days=age)]) for m, d in zip(members, cohorts, strict=True))
        assert facts["retention", f"days={age}"] == found["retention"][age]
        assert found["retention"][age] == pytest.approx(kept / sum(map(len, members)))


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ru"])
def test_where_users_are_comes_from_the_loaded_table(language, app, configured, databases, execute, facts):
    source, feed, messages = app
    configured(source_database=source, language=language)
    day = DAYS["an ordinary day"]
    execute(f"""CREATE TABLE {databases[1]}.metrics_by_dimension (event_date Date, dimension String, dimension_value String,
        views UInt64, likes UInt64, messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64)
        ENGINE = MergeTree PARTITION BY event_date ORDER BY (dimension, dimension_value)""")
    rows = [("os", "Android", 65), ("os", "iOS", 34), ("os", "unknown", 1), ("gender", "female", 60), ("gender", "male", 40),
            ("gender", "unknown", 0), ("age", "17", 10), ("age", "18", 20), ("age", "24", 20), ("age", "34", 30), ("age", "45", 19),
            ("age", "unknown", 1)]  # fmt: skip
    for dimension, value, count in rows:
        execute(
            f"INSERT INTO {databases[1]}.metrics_by_dimension VALUES ('{day}','{dimension}','{value}',{count},0,0,0,0,0)"
        )
    message = run("app_report", run_date=str(day))["message"]
    if language == "en":
        expected = [
            "<b>Where</b> (share of views)", "OS: Android 65\xa0% · iOS 34\xa0% · unknown 1\xa0%", "Gender: female 60\xa0% · male 40\xa0%",
            "Age: &lt;18 10\xa0% · 18–24 40\xa0% · 25–34 30\xa0% · 45+ 19\xa0% · unknown 1\xa0%",
        ]  # fmt: skip
    else:
        expected = [
            "<b>Где</b> (доля просмотров)", "ОС: Android 65\xa0% · iOS 34\xa0% · неизвестно 1\xa0%", "Пол: женщины 60\xa0% · мужчины 40\xa0%",
            "Возраст: &lt;18 10\xa0% · 18–24 40\xa0% · 25–34 30\xa0% · 45+ 19\xa0% · неизвестно 1\xa0%",
        ]  # fmt: skip
    assert message.split("\n")[-4:] == expected
    assert facts["views", "os=iOS"] == 34 and facts["views", "age=18–24"] == 40 and facts["views", "gender=male"] == 40


def texts(panel) -> list[str]:
    """What is written in a panel of a picture."""
    named = panel.get_legend().get_texts() if panel.get_legend() else []
    return [panel.get_title(loc="left"), panel.get_xlabel(), *(text.get_text() for text in [*panel.texts, *named])]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("days", [27, 28, 29])
def test_retention_is_of_users_who_are_new_beyond_doubt(days, language, app, reading):
    reading(language=language)
    day, en = date(2026, 10, 19) + timedelta(days=days), language == "en"
    found = run("app_report", run_date=str(day))
    panel, clock = found["people"].figure.axes[2:]
    told = next(line for line in found["message"].split("\n") if line.startswith(("Retention: ", "Удержание: ")))
    assert UNSETTLED[language] in found["message"].split("\n")
    that_day = f"{day.day} {'November' if en else 'ноября'} 2026"
    assert texts(clock)[-2:] == (["median of 7 days", that_day] if en else ["медиана 7 дней", that_day])
    if days <= 28:  # a cohort that began on day 28 is first told of on day 29
        reason = "the history is too short" if en else "история слишком коротка"
        assert told == (f"Retention: – {reason}" if en else f"Удержание: – {reason}")
        assert texts(panel) == ["Retention" if en else "Удержание", "", reason] and not panel.lines
        return
    everything = pd.concat(app[1:])
    first = everything.groupby("user_id")["day"].min()
    cohort = set(first[first == day - timedelta(days=1)].index)
    share = percent(len(cohort & set(everything.loc[everything["day"] == day, "user_id"])) / len(cohort), language)
    assert told == (
        f"Retention: day 1 {share} (of 16 Nov) · day 7 –" if en else f"Удержание: день 1 {share} (от 16 нояб.) · день 7 –"
    )  # fmt: skip
    below = "days after the first\nnew on 16 November" if en else "дней после первого\nновые 16 ноября"
    assert texts(panel) == ["Retention" if en else "Удержание", below, share], "text and picture say the same"
    assert all(float(tick).is_integer() for tick in panel.get_xticks())


@pytest.mark.slow
def test_where_the_history_is_long_the_curve_is_of_all_cohorts_of_30_days(app, databases, execute, configured):
    day, source = DAYS["the first day of a week"], databases[0]
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
        execute(f"INSERT INTO {source}.{name} SELECT * FROM {app[0]}.{name}")
    long_ago = int(datetime(2026, 9, 27, 12, tzinfo=ZONE).timestamp())  # 28 days before the first of the cohorts
    execute(f"INSERT INTO {source}.feed_actions (user_id, post_id, action, time) VALUES (1, 1, 'view', {long_ago})")
    found = run("app_report", run_date=str(day))
    assert "History" not in found["message"] and "too short" not in found["message"]
    assert texts(found["people"].figure.axes[2])[1] == "days after the first\nall new from 25 October to 22 November"
    everything = pd.concat(app[1:])
    first = everything.groupby("user_id")["day"].min()
    active = {d: set(rows["user_id"]) for d, rows in everything.groupby("day")}
    for age in (1, 7, 14):
        cohorts = {day - timedelta(days=n): set(first[first == day - timedelta(days=n)].index) for n in range(age, 30)}
        kept = sum(len(members & active[d + timedelta(days=age)]) for d, members in cohorts.items())
        assert found["retention"][age] == pytest.approx(kept / sum(map(len, cohorts.values())))


def posted(configured) -> list[dict]:
    log = configured().outputs / "chat" / "messages.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.slow
def test_a_report_is_posted_once_and_again_only_when_asked(app, configured):
    configured(source_database=app[0])
    day = str(DAYS["an ordinary day"])
    run("feed_report", run_date=day)
    assert posted(configured) == [], "by hand nothing is posted"
    run("feed_report", run_date=day, post=True)
    run("feed_report", run_date=day, post=True)
    assert len(posted(configured)) == 1 and f"feed_report/{day}" in posted(configured)[0]["id"]
    for word in ("again", "again", "and again"):
        run("feed_report", run_date=day, post=True, resend=word)
    assert len(posted(configured)) == 3
    run("app_report", run_date=day, post=True)
    assert [len(m["photos"]) for m in posted(configured)] == [1, 1, 1, 2]


def test_messages_link_to_the_executed_notebook_where_the_archive_is_served(reading):
    reading(archive_url="https://x.y/archive/", executed_as="a b/feed_report-try1.html")
    message = run("feed_report", run_date=str(DAYS["an ordinary day"]))["message"]
    assert message.endswith('<a href="https://x.y/archive/a%20b/feed_report-try1.html">executed notebook</a>')


@pytest.mark.parametrize("table", ["feed_actions", "message_actions"])
@pytest.mark.parametrize("what", ["missing", "unfinished"])
def test_nothing_is_posted_about_a_day_that_is_missing_or_unfinished(table, what, app, databases, execute, configured):
    day, source = DAYS["an ordinary day"], databases[0]
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
        left_out = ""
        if name == table:
            hour = 0 if what == "missing" else 18
            left_out = f"WHERE time < toDateTime('{day} {hour:02}:00:00', 'Europe/Moscow') OR time >= toDateTime('{day + timedelta(days=1)} 00:00:00', 'Europe/Moscow')"
        execute(f"INSERT INTO {source}.{name} SELECT * FROM {app[0]}.{name} {left_out}")
    reports = ["app_report"] + ["feed_report"] * (table == "feed_actions")
    for report in reports:
        says = f"{table} (has no rows on|looks unfinished on) {day}.*Nothing was posted"
        with pytest.raises(ValueError, match=says):
            run(report, run_date=str(day), post=True)
    assert posted(configured) == []


@pytest.mark.slow
def test_what_the_message_could_not_say_comes_as_a_reply_once(app, configured, databases, execute):
    configured(source_database=app[0])
    day, other = str(DAYS["an ordinary day"]), str(DAYS["the first day of a week"])

    def rest(of: str) -> None:
        run("app_report", run_date=of, post=True, rest=True)

    run("app_report", run_date=day, post=True)
    with pytest.raises(SystemExit):  # the day is still not loaded: the task is skipped
        rest(day)
    columns = "event_date Date, dimension String, dimension_value String, views UInt64"
    execute(f"CREATE TABLE {databases[1]}.metrics_by_dimension ({columns}) ENGINE = Memory")
    for loaded in (day, other):
        execute(
            f"INSERT INTO {databases[1]}.metrics_by_dimension VALUES ('{loaded}', 'os', 'iOS', 34), ('{loaded}', 'os', 'Android', 66)"
        )
    with pytest.raises(SystemExit):  # nothing was posted about that day
        rest(other)
    run("app_report", run_date=other, post=True)
    with pytest.raises(SystemExit):  # its message says all
        rest(other)
    for _ in range(2):
        rest(day)
    about, whole, reply = posted(configured)
    lines = ["<b>Where</b> (share of views)", "OS: Android 66\xa0% · iOS 34\xa0%"]
    assert reply["text"].split("\n") == lines and reply["photos"] == [] and reply["chat"] == "team"
    assert reply["reply_to"] == f"team app_report/{day}" == about["id"].rpartition(" ")[0].rpartition(" ")[0]
    assert f"app_report/{other}" in whole["id"] and lines[1] in whole["text"] and lines[1] not in about["text"]


def test_posts_link_to_their_pages_where_these_are_known(reading):
    reading(post_url="https://app.example/posts/{post}")
    message = run("app_report", run_date=str(DAYS["an ordinary day"]))["message"]
    posts = re.findall(r'^<a href="https://app\.example/posts/(\d+)">(\d+)</a>: \d+ · ', message, re.M)
    assert len(posts) == 5 and all(linked == shown for linked, shown in posts)


@pytest.mark.slow
def test_a_gap_in_the_history_is_a_gap_and_no_zero(app, databases, execute, configured):
    day, source = DAYS["the first day of a week"], databases[0]
    gap = day - timedelta(days=7)
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
        execute(
            f"INSERT INTO {source}.{name} SELECT * FROM {app[0]}.{name} WHERE toDate(time, 'Europe/Moscow') != '{gap}'"
        )
    feed, whole = run("feed_report", run_date=str(day)), run("app_report", run_date=str(day))
    assert pd.isna(feed["daily"].loc[str(gap), "views"])
    for text in (feed["message"], whole["message"]):
        lines = [
            line
            for line in text.split("\n")
            if line.startswith(("Feed users (DAU):", "App users (DAU):", "Views:", "CTR:"))
        ]
        assert len(lines) == 3 and all(line.endswith("· –") for line in lines)
    assert "day 7 –" in whole["message"], "the cohort of the day in the gap is not known"


def test_a_day_without_organic_newcomers_does_not_matter(app, databases, execute, configured):
    day, source = DAYS["an ordinary day"], databases[0]
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
        execute(f"INSERT INTO {source}.{name} SELECT * FROM {app[0]}.{name} WHERE source = 'ads'")
    message = run("app_report", run_date=str(day))["message"]
    assert "organic" not in message and "(ads " in message


ODD = [
    "unhex('ff')",
    "unhex('c3')",
    "'$x^$'",
    "'_web'",
    "'<b>'",
    "unhex('1b5b33316d')",
    "'a$'",
    f"'{'long ' * 100}'",
    "'{x}'",
    "' '",
]


@pytest.mark.slow
def test_no_value_of_the_data_stops_a_report(app, databases, execute, configured):
    """Text that is not UTF-8, formulas, markup, commands to a terminal, many values: as origin and as a slice."""
    day, source = DAYS["an ordinary day"], databases[0]
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=ZONE).timestamp())
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
        execute(f"INSERT INTO {source}.{name} SELECT * FROM {app[0]}.{name}")
    for number, value in enumerate([*ODD, *(f"'campaign {n}'" for n in range(40))]):
        execute(
            f"INSERT INTO {source}.feed_actions (user_id, post_id, action, time, source) "
            f"SELECT {10**9 + number}, 1, 'view', toDateTime({noon}), {value}"
        )
    execute(f"""CREATE TABLE {databases[1]}.metrics_by_dimension (event_date Date, dimension String, dimension_value String,
        views UInt64, likes UInt64, messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64)
        ENGINE = MergeTree PARTITION BY event_date ORDER BY (dimension, dimension_value)""")
    for value in ODD:
        views = 13 if value in ("unhex('ff')", "'$x^$'", "'<b>'") else 9
        execute(
            f"INSERT INTO {databases[1]}.metrics_by_dimension SELECT toDate('{day}'), 'os', {value}, {views}, 0, 0, 0, 0, 0"
        )
    configured(source_database=source)
    found = run("app_report", run_date=str(day), post=True)
    everybody = pd.concat(app[1:])
    first = everybody.groupby("user_id")["day"].min()
    newcomers = (first == day).sum() + len(ODD) + 40
    assert f"New users: <b>{newcomers:,}</b>" in found["message"]
    assert int(found["new_users"].iloc[-1].sum()) == newcomers, "the smallest are added up, not left out"
    where = next(line for line in found["message"].split("\n") if line.startswith("OS: "))
    assert "&lt;b&gt; 13\xa0%" in where and "$x^$ 13\xa0%" in where and "\ufffd 13\xa0%" in where
    assert where.endswith(" · other 26\xa0%"), "the largest are told apart"
    assert len(posted(configured)) >= 1


# -- what an analyst changes by one word


def feed_value(rows: pd.DataFrame, name: str) -> float:
    """A metric of the feed over raw rows."""
    seen = rows[rows["action"] == "view"]
    return {
        "posts": lambda: seen["post_id"].nunique(),
        "views_per_user": lambda: len(seen) / rows["user_id"].nunique(),
        "likes_per_user": lambda: likes(rows) / rows["user_id"].nunique(),
        "likes_per_post": lambda: likes(rows) / seen["post_id"].nunique(),
    }[name]()


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", ["posts", "views_per_user", "likes_per_user", "likes_per_post"])
def test_one_word_shows_a_metric_of_the_feed_with_its_changes_and_a_panel(name, language, app, configured, monkeypatch):
    source, feed, _ = app
    configured(source_database=source, language=language)
    new = Ratio(
        "likes_per_post", "Likes & posts", "Лайки & посты", "likes", "posts", digits=2
    )  # of two counts, one not shown
    monkeypatch.setitem(METRICS, new.name, new)
    day, of = DAYS["an ordinary day"], dict(list(feed.groupby("day")))
    shown = run("feed_report", ('"likes", "ctr")', f'"likes", "ctr", "{name}")'), run_date=str(day))
    label, places = getattr(METRICS[name], language), {"posts": 0, "likes_per_post": 2}.get(name, 1)
    line = with_changes(label.replace("&", "&amp;"), lambda d: feed_value(of[d], name), day, language, places=places)
    assert shown["message"].split("\n")[7] == line, "the fifth, after CTR"
    panels = shown["picture"].figure.axes
    assert [panel.get_title(loc="left") for panel in panels][4:] == [label]
    drawn = panels[4].lines[1].get_ydata()
    assert drawn == pytest.approx([feed_value(of[day - timedelta(days=n)], name) for n in range(6, -1, -1)])
    assert Image.open(io.BytesIO(shown["chart"])).size == (1080, 1620)


@pytest.mark.parametrize("name", ["messages_sent", "messages_per_sender", "dau"])
def test_the_feed_report_also_shows_what_is_counted_elsewhere_and_wants_it_finished(
    name, app, databases, execute, configured
):
    source, feed, messages = app
    configured(source_database=source)
    day, word = DAYS["an ordinary day"], ('"likes", "ctr")', f'"likes", "ctr", "{name}")')
    both = dict(list(pd.concat([feed, messages]).groupby("day"))), dict(list(messages.groupby("day")))
    value, places = {
        "messages_sent": (lambda d: len(both[1][d]), 0),
        "messages_per_sender": (lambda d: len(both[1][d]) / both[1][d]["user_id"].nunique(), 1),
        "dau": (lambda d: both[0][d]["user_id"].nunique(), 0),
    }[name]
    told = run("feed_report", word, run_date=str(day))["message"].split("\n")
    assert told[7] == with_changes(METRICS[name].en, value, day, "en", places=places)
    cut = databases[0]
    for table in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {cut}.{table} AS {source}.{table}")
    execute(f"INSERT INTO {cut}.feed_actions SELECT * FROM {source}.feed_actions")
    configured(source_database=cut)
    run("feed_report", run_date=str(day))
    with pytest.raises(ValueError, match=f"message_actions has no rows on {day}. Nothing was posted"):
        run("feed_report", word, run_date=str(day))


@pytest.mark.slow
def test_one_word_less_is_a_metric_less(reading):
    day = str(DAYS["an ordinary day"])
    feed = run("feed_report", ('("feed_users", "views", "likes", "ctr")', '("ctr",)'), run_date=day)
    assert [line.split(":")[0] for line in feed["message"].split("\n")[3:]] == [
        "CTR",
        "",
        "Views per user",
        "Likes per user",
    ]
    assert Image.open(io.BytesIO(feed["chart"])).size == (1080, 540)
    whole = run("app_report", run_date=day)
    less = run("app_report", (ACTIVITY, '"posts",'), run_date=day)
    assert less["pictures"] == whole["pictures"], "what is drawn is named by itself"
    start = less["message"].split("\n").index("<b>Activity</b>")
    assert [line.split(":")[0] for line in less["message"].split("\n")[start + 1 : start + 3]] == ["Posts seen", ""]


ACTIVITY = (
    '"views", "likes", "ctr", "posts", "likes_per_user", "messages_sent", "messenger_users", "messages_per_sender"'
)


@pytest.mark.parametrize("name", ["messages_received", "users_sent", "views_per_user"])
def test_one_word_shows_a_metric_of_either_source_in_the_report_on_the_app(name, app, reading):
    _, feed, messages = app
    day = DAYS["an ordinary day"]
    shown = run("app_report", (ACTIVITY, f'{ACTIVITY}, "{name}"'), run_date=str(day))
    feed_of, messages_of = dict(list(feed.groupby("day"))), dict(list(messages.groupby("day")))
    value, places = {
        "messages_received": (lambda d: len(messages_of[d]), 0),
        "users_sent": (lambda d: messages_of[d]["receiver_id"].nunique(), 0),
        "views_per_user": (lambda d: feed_value(feed_of[d], "views_per_user"), 1),
    }[name]
    after = next(n for n, line in enumerate(shown["message"].split("\n")) if line.startswith("Messages per sender: "))
    assert shown["message"].split("\n")[after + 1] == with_changes(METRICS[name].en, value, day, "en", places=places)


def test_one_word_draws_a_metric_of_either_source_in_the_report_on_the_app(app, reading):
    _, feed, messages = app
    day = DAYS["an ordinary day"]
    drawn = (
        'DRAWN = (("ctr",), ',
        'DRAWN = (("ctr",), ("users_received",), ("views_per_user", "messages_per_sender"), ',
    )
    shown = run("app_report", drawn, run_date=str(day))
    panels = shown["doings"].figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "CTR", "Heard from", "Views per user · Messages per sender", "Views · Likes", "Messages · Senders", "Views by OS"
    ]  # fmt: skip
    last = [day - timedelta(days=n) for n in range(6, -1, -1)]
    heard = [messages[messages["day"] == d]["user_id"].nunique() for d in last]
    assert panels[1].lines[1].get_ydata() == pytest.approx(heard)
    for line, rows, numerator in (
        (0, feed, lambda r: (r["action"] == "view").sum()),
        (1, messages, len),
    ):
        values = [numerator(rows[rows["day"] == d]) / rows[rows["day"] == d]["user_id"].nunique() for d in last]
        assert panels[2].lines[line].get_ydata() == pytest.approx(values)
        assert f"{values[-1]:.1f}" in texts(panels[2]), "a ratio is written with its digits"


@pytest.mark.parametrize(
    ("report", "changed", "says"),
    [
        ("feed_report", ('"likes", "ctr")', '"likes", "wau")'), "wau needs the column wau; the frame has "),
        ("feed_report", ('"likes", "ctr")', '"likes", "clicks")'), "no metric is named clicks; there are dau, feed_users"),
        ("app_report", (ACTIVITY, '"views", "mau"'), "mau needs the column mau; the frame has "),
        ("app_report", ('(("ctr",), ', '(("ctr", "posts"), '), "metrics of one panel must all be shares, or none; got ctr, posts"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_shown_is_refused_with_a_sentence(report, changed, says, reading):
    with pytest.raises(ValueError, match=says):
        run(report, changed, run_date=str(DAYS["an ordinary day"]))


@pytest.mark.parametrize(("table", "column"), [("feed_actions", "post_id"), ("message_actions", "source")])
def test_a_column_that_the_report_needs_and_is_not_there_is_named(table, column, app, databases, execute, configured):
    source = databases[0]
    for name in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{name} AS {app[0]}.{name}")
    execute(f"ALTER TABLE {source}.{table} DROP COLUMN {column}")
    with pytest.raises(WarehouseError, match=rf"{table}.*{column}"):
        run("app_report", run_date=str(DAYS["an ordinary day"]))


def sliced(execute, target: str, rows: list[tuple]) -> None:
    """Fills `metrics_by_dimension` with rows of day, dimension, value and views."""
    columns = "event_date Date, dimension String, dimension_value String, views UInt64"
    execute(f"CREATE TABLE {target}.metrics_by_dimension ({columns}) ENGINE = MergeTree ORDER BY event_date")
    values = ", ".join(f"('{day}', '{name}', '{value}', {count})" for day, name, value, count in rows)
    execute(f"INSERT INTO {target}.metrics_by_dimension VALUES {values}")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_dimension_of_the_catalogue_has_its_line(language, app, configured, databases, execute, monkeypatch):
    country = Dimension("country", "country", "страна", values={"RU": "Россия"})
    minutes = Dimension("minutes", "minutes <a day>", "минут <в день>", bands=(5, 60))
    monkeypatch.setattr(catalogue, "DIMENSIONS", (*DIMENSIONS, country, minutes))
    configured(source_database=app[0], language=language)
    day, en = DAYS["an ordinary day"], language == "en"
    of = {
        "os": {"iOS": 60, "Android": 40},
        "country": {"A&B": 20, "RU": 70, "unknown": 10},
        "minutes": {"4": 5, "4.5": 5, "5": 10, "59": 20, "60": 30, "101": 20, "often": 4, "unknown": 3, "": 3},
    }
    sliced(execute, databases[1], [(day, name, value, n) for name, views in of.items() for value, n in views.items()])
    names = {"RU": "RU", "unknown": "unknown"} if en else {"RU": "Россия", "unknown": "неизвестно"}
    expected = {
        "OS" if en else "ОС": "iOS 60\xa0% · Android 40\xa0%",
        "country" if en else "страна": f"{names['RU']} 70\xa0% · A&amp;B 20\xa0% · {names['unknown']} 10\xa0%",
        "minutes &lt;a day&gt;" if en else "минут &lt;в день&gt;":
            f"&lt;5 10\xa0% · 5–59 30\xa0% · 60+ 50\xa0% · {names['unknown']} 10\xa0%",
    }  # fmt: skip
    lines = run("app_report", run_date=str(day))["message"].split("\n")
    assert lines[-3:] == [f"{label}: {told}" for label, told in expected.items()], "a dimension without rows has none"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_first_dimension_is_drawn(language, app, configured, databases, execute, monkeypatch):
    systems, *_, age = DIMENSIONS
    monkeypatch.setattr(catalogue, "DIMENSIONS", (age, systems))
    configured(source_database=app[0], language=language)
    day, en = DAYS["an ordinary day"], language == "en"
    before = day - timedelta(days=1)
    sliced(execute, databases[1], [(day, "age", "50", 60), (day, "age", "17", 30), (day, "age", "unknown", 10), (before, "age", "20", 8),
                                   (day, "os", "iOS", 100)])  # fmt: skip
    panel = run("app_report", run_date=str(day))["doings"].figure.axes[-1]
    shown = texts(panel)
    assert shown[0] == ("Views by Age" if en else "Просмотры: Возраст")
    assert shown[-4:] == ["<18", "18–24", "45+", "unknown" if en else "неизвестно"], "bands follow one another"
    heights = [[bar.get_height() for bar in part] for part in panel.containers]
    assert [h[-1] for h in heights] == pytest.approx([0.3, 0, 0.6, 0.1])
    assert [h[-2] for h in heights] == pytest.approx([0, 1, 0, 0])
