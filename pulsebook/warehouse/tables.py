"""Engines of our tables, and of scratch tables beside others' tables."""

import re

from pulsebook.settings import settings

_REPLICATED = re.compile(
    r"Replicated(\w*MergeTree)(?:\(('(?:[^'\\]|\\.)*'), *('(?:[^'\\]|\\.)*')(?:, *(.*?))?\))?(?=\s|$)"
)


def engine(table: str, newest: str = "") -> str:
    """SQL: the engine of one of our tables, as PULSEBOOK_TABLE_ENGINE wants it.

    Args:
        newest: of rows with the same key only the one with the largest value in this column counts.
    """
    kind, _, arguments = settings().table_engine.replace("{table}", table.replace(".", "/")).partition("(")
    arguments = [arguments.removesuffix(")")] if arguments else []
    if newest:
        kind, arguments = kind.replace("MergeTree", "ReplacingMergeTree"), [*arguments, newest]
    return f"{kind}({', '.join(arguments)})" if arguments else kind


def alone(engine_full: str) -> str:
    """An engine clause as it stands in system.tables, without replication."""
    match = _REPLICATED.match(engine_full)
    if not match:
        return engine_full
    return f"{match[1]}({match[4] or ''})" + engine_full[match.end() :]
