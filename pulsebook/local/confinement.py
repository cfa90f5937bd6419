"""Statements stay in the data folder: they read and write neither other files nor the network, and start no programs.

    >>> Refusals(engines=(), functions=()).check(Statement(b"SELECT file('/etc/passwd')"))
    Traceback (most recent call last):
    pulsebook.local.failure.Failure: Code: 497. DB::Exception: the function file ...

Three walls. The engine's grants and constraints name what is allowed: no sources, of engines and settings the harmless
ones. What they cannot stop is refused by its tokens: the scalar function `file`, INTO OUTFILE, programs, the sources of a
dictionary. And on Linux the kernel keeps the process to its folder (`landlock`).
"""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from pulsebook.local.failure import Failure
from pulsebook.local.sql import Token, significant
from pulsebook.local.statement import Statement

GRANTS = (
    "SHOW, CHECK, SELECT, INSERT, ALTER, TRUNCATE, OPTIMIZE, dictGet, UNDROP TABLE, CREATE DATABASE, CREATE TABLE, "
    "CREATE VIEW, CREATE DICTIONARY, CREATE TEMPORARY TABLE, CREATE ARBITRARY TEMPORARY TABLE, DROP DATABASE, DROP TABLE, "
    "DROP VIEW, DROP DICTIONARY, KILL QUERY, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM MOVES, SYSTEM DROP CACHE, "
    "SYSTEM FLUSH, SYSTEM SYNC REPLICA, SYSTEM RELOAD DICTIONARY"
)
ENGINES = {
    "MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree", "CollapsingMergeTree",
    "CoalescingMergeTree", "VersionedCollapsingMergeTree", "Memory", "Log", "TinyLog", "StripeLog", "Null", "Set", "Join",
    "Buffer", "Merge", "Dictionary", "GenerateRandom", "View", "MaterializedView",
}  # fmt: skip
# Beside them what only a configuration of its own can grant or make use of, and databases.
MORE_ENGINES = {"Atomic", "Replicated", "Distributed", "Remote", "RemoteSecure"} | {f"Replicated{e}" for e in ENGINES}
FUNCTIONS = {
    "dictionary", "format", "generateRandom", "generateSeries", "generate_series", "input", "loop", "merge", "null",
    "numbers", "numbers_mt", "primes", "values", "view", "viewIfPermitted", "zeros", "zeros_mt", "mergeTreeIndex",
    "mergeTreeProjection", "cluster", "clusterAllReplicas", "remote", "remoteSecure",
}  # fmt: skip
# Settings that nobody changes: in these the engine takes texts for code or for files, or reads another language.
FIXED = (
    "allow_experimental_eval_table_function", "additional_table_filters", "additional_result_filter", "dialect",
    "allow_introspection_functions", "parallel_replicas_custom_key", "schema_inference_hints", "format_schema",
    "format_template_resultset", "format_template_row", "allow_settings_after_format_in_insert",
)  # fmt: skip
KEYWORDS = {"BACKUP", "RESTORE", "EXECUTE", "PREPARE", "COPY", "LOAD", "INSTALL"}  # of what is refused whole
_DICTIONARY_KEYS = {"TABLE", "DB", "USER", "PASSWORD", "UPDATE_FIELD", "UPDATE_LAG"}  # of a source CLICKHOUSE
# After these a name cannot be the first argument of a function, where it could be that of another function.
_BEFORE_A_COLUMN = {
    ".", ",", "=", "<", ">", "SELECT", "BY", "WHERE", "PREWHERE", "HAVING", "AND", "OR", "ON", "AS", "WHEN", "THEN", "ELSE",
    "SET", "UPDATE", "COLUMN", "FROM", "JOIN", "INTO", "TABLE", "EXISTS",
}  # fmt: skip
_COMPUTED = re.compile(rb"\b(default|materialized|alias|ephemeral)\b", re.I)  # columns whose values are expressions
_MAY_CALL_FILE = re.compile(rb"file|\\x")  # names may be spelt with codes
VALUES = 64 << 20  # bytes of an insert with VALUES that can be looked through


def confined(folder: Path) -> Path:
    """Writes a configuration file that grants what is harmless; returns its path."""
    grants = [f"GRANT {GRANTS} ON *.*", *(f"GRANT TABLE ENGINE ON `{engine}`" for engine in sorted(ENGINES))]
    queries = "".join(f"<query>{grant}</query>" for grant in grants)
    fixed = "".join(f"<{name}><const/></{name}>" for name in FIXED)
    users = (
        f"<clickhouse><profiles><default><constraints>{fixed}</constraints></default></profiles><quotas><default/></quotas>"
        "<users><default><password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
        f"<grants>{queries}</grants></default></users></clickhouse>"
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.xml").write_text(users, "utf-8")
    config = folder / "config.xml"
    config.write_text(
        f"<clickhouse><users_config>{escape(str(folder.resolve()))}/users.xml</users_config></clickhouse>", "utf-8"
    )
    return config


class Refusals:
    """What statements may not do; `engines` and `functions`: all that this engine has, of tables and databases."""

    def __init__(self, engines: Iterable[str], functions: Iterable[str]):
        self.engines = {name.lower().encode() for name in set(engines) - ENGINES - MORE_ENGINES}
        self.functions = {name.lower().encode() for name in set(functions) - FUNCTIONS} | {b"disk"}

    def check(self, statement: Statement, params: dict[str, str] | None = None, data: io.IOBase | None = None) -> None:
        """Refuse a statement that would leave the data folder.

        Args:
            params: values of `{name:Type}`.
            data: of an insert, where they are not in the statement; VALUES can be expressions.

        Raises:
            Failure: it would, or it could.
        """
        if statement.keyword in KEYWORDS:
            raise _refused(f"a statement that begins with {statement.keyword[:20]}")
        found = list(significant(statement.source))
        words = [token.upper for token in found]
        if statement.keyword == "KILL" and words[1:2] != ["MUTATION"]:
            raise _refused("KILL (but KILL QUERY WHERE query_id = '…' and KILL MUTATION)")
        if statement.keyword == "ATTACH" and "FROM" in words:
            raise _refused("ATTACH … FROM")
        insert, columns = statement.insert, _columns(statement, found, words)
        for index in range(len(found)):
            self._check_word(found, words, index, index in columns)
        if "DICTIONARY" in words[:8]:
            _check_dictionary(found, words)
        if "IDENTIFIER" in words:
            for value in (params or {}).values():
                if "\\" in value or value.strip("`\"' ") == "file":
                    raise _refused("this name as a parameter")
        if data is not None and insert and insert.format.lower() == "values":
            self._check_values(data)

    def check_table(self, structure: str, format: str, rows: io.IOBase) -> None:
        """The same for an external table."""
        source = structure.encode("utf-8", "surrogateescape")
        self.check(Statement(b"SELECT " + source))
        depth = 0
        for token in significant(source):
            depth += (token.upper == "(") - (token.upper == ")")
            if depth < 0 or token.upper == ";" or (token.upper and _COMPUTED.fullmatch(token.text)):
                raise _refused("more than names and types as columns of an external table")
        if format.lower() == "values":
            self._check_values(rows)

    def _check_values(self, data: io.IOBase) -> None:
        start, before, suspect = data.tell(), b"", False
        while not suspect and (chunk := data.read(1 << 20)):
            suspect, before = bool(_MAY_CALL_FILE.search(before + chunk)), chunk[-4:]
        data.seek(start)
        if not suspect:
            return
        source = data.read(VALUES + 1)
        data.seek(start)
        if len(source) > VALUES:
            raise _refused(f"VALUES of more than {VALUES} bytes in which `file` occurs (another format may)")
        found = list(significant(source))
        words = [token.upper for token in found]
        for index in range(len(found)):
            self._check_word(found, words, index, False)

    def _check_word(self, found: list[Token], words: list[str], index: int, column: bool) -> None:
        token, before, after = found[index], words[index - 1] if index else "", "".join(words[index + 1 : index + 2])
        if (before, token.upper) in (("INTO", "OUTFILE"), ("FROM", "INFILE")):
            raise _refused(f"{before} {token.upper}")
        if token.upper == "ENGINE":
            at = index + 1 + (after == "=")
            named = found[at : at + 1]
            if named and named[0].value.lower() in self.engines:
                raise _refused(f"the engine {named[0].value.decode('latin-1')}")
        if token.kind not in ("word", "name"):
            return
        name = token.value.lower()
        plain = column and after != "(" and "APPLY" not in words[max(index - 2, 0) : index]
        if (
            name == b"file" and not plain and (after == "(" or before not in _BEFORE_A_COLUMN)
        ):  # also arrayMap(+file, …)
            raise _refused("the function file (a column of this name: with its table, as in t.file)")
        if after == "(" and name in self.functions:
            raise _refused(f"the function {name.decode('latin-1')}")
        if after == "(" and name == b"format":
            _check_format(found, words, index)
        if after == "(" and name == b"input":
            _check_texts(found, words, index + 2, "input")


def _columns(statement: Statement, found: list[Token], words: list[str]) -> range:
    """The tokens among which names are those of columns: of INSERT INTO t (…), and the first of CREATE TABLE t (…)."""
    begin = words.index("(") + 1 if "(" in words else 0
    if words[:1] == ["INSERT"] and "FUNCTION" not in words[:4]:
        return range(begin, sum(token.start < statement.insert.head for token in found))
    if words[:1] == ["CREATE"] and "TABLE" in words[:5] and not {"AS", "ENGINE"} & set(words[:begin]):
        return range(begin, begin + 1)
    return range(0)


def _check_format(found: list[Token], words: list[str], index: int) -> None:
    """`format('{} …', …)` makes a text; `FROM format(CSV, '…')` is a table, whose rows can be expressions in VALUES."""
    first, after = found[index + 2 : index + 3], words[index + 3 : index + 4]
    if not first or (first[0].kind == "string" and b"{" in first[0].value and after in ([","], [")"])):
        return
    if first[0].value.lower() in (b"values", b"mysqldump") or after != [","]:
        raise _refused("the table function format with expressions as rows")
    _check_texts(found, words, index + 4, "format")


def _check_texts(found: list[Token], words: list[str], index: int, function: str) -> None:
    """From there to the closing bracket there are texts as they stand, and no columns that are computed."""
    while index + 1 < len(found) and found[index].kind == "string" and words[index + 1] in (",", ")"):
        if _COMPUTED.search(found[index].value) and b"file" in found[index].value:
            break
        if words[index + 1] == ")":
            return
        index += 2
    raise _refused(f"the table function {function} with other arguments than texts, or with computed columns")


def _check_dictionary(found: list[Token], words: list[str]) -> None:
    checked = 0
    for index, word in enumerate(words):
        if word != "SOURCE" or words[index + 1 : index + 2] != ["("]:
            continue
        if index < checked:  # each is read once, however many there are
            raise _refused("a source of a dictionary within another")
        kind = words[index + 2 : index + 4]
        if kind != ["CLICKHOUSE", "("] and kind[:1] != ["NULL"]:
            raise _refused("sources of dictionaries other than tables of this warehouse")
        end = checked = next((at for at in range(index, len(words)) if words[at] == ")"), len(words))
        keys = set(words[index + 4 : end : 2]) if kind[0] == "CLICKHOUSE" else set()
        if not keys <= _DICTIONARY_KEYS or any(
            t.kind not in ("string", "word", "name", "number") for t in found[index + 4 : end]
        ):
            raise _refused(f"a dictionary's source with other keys than {', '.join(sorted(_DICTIONARY_KEYS))}")


def _refused(what: str) -> Failure:
    return Failure(
        497,
        "ACCESS_DENIED",
        f"{what} is not for here: statements stay in the warehouse's folder. "
        "Who needs other sources starts it with --allow-sources (or PULSEBOOK_LOCAL_SOURCES=1)",
    )
