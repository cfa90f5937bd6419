"""Makes the generated parts of docs/reference.md: `make reference`. What stands around them is written by hand.

Columns come from the code that makes the tables, settings from their declaration and its comments, metrics and dimensions from
the catalogue, commands from their parsers. Only what a table or a column means stands here, and nothing may lack it.
"""

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import nbformat

from pulsebook import cli
from pulsebook.base import settings
from pulsebook.catalogue import DIMENSIONS, EXPLAINED, METRICS, Count
from pulsebook.catalogue.dimensions import band_names
from pulsebook.cli.doctor.expected import tables

PAGE = Path(__file__).with_suffix(".md")
NOTEBOOKS = settings.ROOT / "notebooks"
BLOCK = re.compile(r"(?s)(<!-- generated: (\w+) -->\n).*?(<!-- end -->)")

TABLES = {
    "metrics_by_dimension": "The result of `etl`: a row for each day, dimension and value.",
    "daily_metrics": "Of `load`, and of who needs a day that is missing: the catalogue's counts of each day.",
    "user_activity": "Likewise: a row for each day and user who acted, and one a day with its version.",
    "first_days": "Made from `user_activity` by who reads it: each user in the partition of their first day, and one row a day that "
    "says what it was made from.",
    "slot_metrics": "What alerts compare: each metric in each slot. Filled from the source where it is missing.",
    "incidents": "A row for each slot in which an incident changed, one for each check, and notes on what corrected slots would (not) raise. "
    "**Not in the source.**",
    "chat_messages": "The ledger of what was sent; rows are only added. **Not in the source.**",
    "reported": "The numbers of each message, by day or slot, and what replies have corrected. **Not in the source.**",
    "staging_feed": "Of `extract_feed`: a row for each user and profile of theirs on the day, with the counts in the feed and the latest action.",
    "staging_messages": "Of `extract_messages`: the same of the messenger for who sent; who received, without a profile.",
    "staging_profiles": "Of `merge_users`: older profiles, of users who only received.",
    "staging_users": "Of `merge_users`: one row per user of the day, with one profile.",
    "staging_slices": "Of `slice`: a day's sums by one dimension, which `load` proves and loads.",
}
COLUMNS = {
    "event_date": "day in the business time zone",
    "user_id": "the user",
    "dimension": "`os`, `gender` or `age`: the catalogue's",
    "dimension_value": "`Android`, `female`, `23`, …; `unknown` where no profile is known",
    "latest": "orders actions: milliseconds of the user's latest one, whose profile this is, and a hash; 0: none",
    "views": "feed posts viewed",
    "likes": "feed posts liked",
    "messages_received": "messages received",
    "messages_sent": "messages sent",
    "users_received": "distinct senders, summed over the receiving users",
    "users_sent": "distinct receivers, summed over the sending users",
    "feed": "1: in the feed, else 0",
    "messenger": "1: in the messenger (sent), else 0",
    "origin": "where the user came from, by the first action of the day: `ads` or `organic`",
    "version": "0: a user; else the row says by which writing the day is there",
    "basis": "what the day was made from: its version in `user_activity` and the version of the day before; 0: a user",
    "period": "the day or slot that it is of",
    "slice": "of which part, such as `os=iOS`; empty: of all",
    "message": "key of the message; of what a reply tells, that of the message that it answers",
    "told_at": "when, in microseconds since 1970; of several the latest counts",
    "slot": "start of the 15 minutes",
    "metric": "a metric of the catalogue; in `daily_metrics` also what is known of the day: `feed.rows`, `dau.1795294800`, `day.version`",
    "value": "its value; NULL where the source has no data",
    "base": "of a ratio its denominator; else NULL",
    "collected": "when it was counted; of several rows the newest counts",
    "at": "when the row was written",
    "incident": "its id, such as `anomaly-1795341600`; `checked`: the slot was checked to the end",
    "status": "what became of it",
    "opened": "start of its first slot",
    "state": "all that is known of it, as JSON",
    "key": "who sends and what about: `feed_report/2026-11-22`, with the word of a resend",
    "part": "`text 1`, `pictures 1`, …: each is a request of its own; `edit`: another text of the message",
    "chat": "the chat's id, or `page`",
    "claim": "one attempt to send it",
    "message_ids": "ids that Telegram gave",
    "headline": "first line of the text",
    "detail": "the error, of a failed or uncertain attempt",
    "task": "DAG and task that sends; NULL in rows of before it was noted",
    "revision": "of an edit, the greater the later; NULL: no edit",
}
KINDS = {
    "SecretStr": "text, kept secret", "Identifier": "name of a database", "Identifier | Literal['']": "name of a database",
    "str": "text", "float": "number", "int": "whole number", "int | None": "whole number", "bool": "true or false",
    "ZoneInfo": "IANA time zone", "Path": "folder", "Any": "folder or `s3://…`",
}  # fmt: skip


class Unexplained(LookupError):
    """Something has no words in this file, or no comment where it is declared."""


def meaning(known: dict[str, str], name: str, what: str) -> str:
    if name not in known:
        raise Unexplained(f"{what} {name}: say what it means in {Path(__file__).name}")
    return known[name]


def table(head: str, rows: Iterator[tuple]) -> str:
    """A table of Markdown; head: its columns, separated by `|`."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head.split("|"), ["---"] * (head.count("|") + 1), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def counted(metric) -> str:
    """How a metric is computed."""
    if not isinstance(metric, Count):
        return f"`{metric.numerator}` / `{metric.denominator}`"
    return f"`{metric.sql}`" if metric.sql else "from days, by `app_report`"


def column(name: str) -> str:
    """What a column of a table means."""
    if name in {dimension.name for dimension in DIMENSIONS}:
        return "of the user's profile; empty where it is missing"
    if name not in COLUMNS and isinstance(count := METRICS.get(name), Count):
        return f"{count.en}: {counted(count)} of `{count.source}`, summed over users"
    return meaning(COLUMNS, name, "column")


def of_tables() -> str:
    found = {t.name: t for t in tables(NOTEBOOKS)}
    order = [*(name for name in TABLES if name in found), *(name for name in found if name not in TABLES)]
    parts = []
    for name in order:
        rows = ((f"`{c}`", kind, column(c)) for c, kind in found[name].columns.items())
        parts.append(f"### {name}\n\n{meaning(TABLES, name, 'table')}\n\n{table('column|type|meaning', rows)}")
    return "\n".join(parts)


def comments(source: str) -> dict[int, str]:
    """The comments of a source by their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def fields() -> Iterator[tuple[str, str, str]]:
    """Name, type as it is written, and comment of each setting: above it, or on its lines."""
    source = Path(settings.__file__).read_text()
    said, body = comments(source), next(n for n in ast.parse(source).body if getattr(n, "name", "") == "Settings").body
    lines = source.splitlines()
    for node in body:
        if isinstance(node, ast.AnnAssign):
            first = node.lineno
            while lines[first - 2].lstrip().startswith("#"):
                first -= 1
            words = " ".join(said[line] for line in range(first, node.end_lineno + 1) if line in said)
            yield node.target.id, ast.unparse(node.annotation), words


def default(value) -> str:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, Path):
        value = value.relative_to(settings.ROOT)
    return "" if value in ("", None) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def of_settings() -> str:
    rows = []
    for name, annotation, words in fields():
        if not words:
            raise Unexplained(f"setting {name}: say what it means in a comment beside it")
        field = settings.Settings.model_fields[name]
        choices = " or ".join(f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str))
        limits = {key: f"{getattr(m, key):g}" for m in field.metadata for key in ("ge", "gt", "le") if hasattr(m, key)}
        span = f", {limits['ge']} to {limits['le']}" if "ge" in limits else ", positive" if "gt" in limits else ""
        kind = (choices or meaning(KINDS, annotation, "type")) + span
        rows.append((f"`PULSEBOOK_{name.upper()}`", kind, default(field.default), words))
    return table("setting|type|default|meaning", rows)


def users(metric: str) -> Iterator[str]:
    """The notebooks that name a metric."""
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        if any(re.search(rf"[\"']{metric}[\"']", text) for text in code):
            yield path.stem


def of_metrics() -> str:
    rows = []
    for name, metric in METRICS.items():
        where = [*(["`etl`"] if getattr(metric, "column", False) else []), *(["alerts"] if metric.alert else [])]
        where += ["alerts, to explain"] if getattr(metric, "helper", False) else []
        where += [f"`{user}`" for user in users(name)]
        rows.append((f"`{name}`", metric.en, metric.ru, metric.unit, metric.source, counted(metric), ", ".join(where)))
    return table("metric|English|Russian|unit|source|how|used in", rows)


def of_dimensions() -> str:
    loaded = {dimension.name for dimension in DIMENSIONS}
    rows = []
    for d in (*DIMENSIONS, *(d for d in EXPLAINED if d.name not in loaded)):
        where = "`etl`, reports, alerts" if d.name in loaded else "alerts, to explain"
        values = ", ".join([*band_names(d.bands), *(f"`{value}` {name}" for value, name in d.values.items())])
        rows.append((f"`{d.name}`", d.en, d.ru, f"`{d.sql or d.name}`", values, where))
    return table("dimension|English|Russian|expression|shown as|used in", rows)


def commands(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Each command that can be called, what it is for, and its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                own = action.choices[choice.dest]
                below = list(commands(own, f"{words} {choice.dest}"))
                yield from below or [(f"{words} {choice.dest}", choice.help, own)]


def of_commands() -> str:
    parts = []
    for words, purpose, parser in commands(cli.parser(), "pulsebook"):
        arguments = [action for action in parser._actions if action.dest != "help"]
        rows = ((f"`{spelt(action)}`", action.help) for action in arguments)
        listed = f"\n{table('argument|meaning', rows)}" if arguments else ""
        parts.append(f"### {words}\n\n{purpose[0].upper()}{purpose[1:]}.\n{listed}")
    return "\n".join(parts)


def spelt(action: argparse.Action) -> str:
    """An argument as one writes it."""
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        return f"{value} …" if action.nargs in ("+", "*") else value
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


PARTS = {
    "tables": of_tables, "settings": of_settings, "metrics": of_metrics, "dimensions": of_dimensions, "commands": of_commands,
}  # fmt: skip


def page(before: str) -> str:
    """The page with its generated parts made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", before)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
