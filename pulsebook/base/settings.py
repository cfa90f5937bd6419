"""Where things are: environment variables (and `.env`), validated, secrets held as secrets.

    >>> settings().timezone
    zoneinfo.ZoneInfo(key='Europe/Moscow')
    >>> settings().source_url  # the server to read from, credentials included
    SecretStr('**********')

This is the one module that reads the environment. Every name has the prefix `PULSEBOOK_`. A value that cannot be used
raises `SettingsError`, which names the variable and shows its value only where that can be no secret.
"""

import os
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pulsebook.base import embedded
from pulsebook.base.calendars import public_holidays
from pulsebook.base.errors import PulsebookError
from pulsebook.base.quiet_hours import NONE, TIME, QuietHours
from pulsebook.base.secret_names import secrets_of

HOME = os.environ.get("PULSEBOOK_HOME")
ROOT = Path(HOME or Path(__file__).resolve().parents[2])  # the checkout: relative paths start here
LIMITS = ("cell_output_limit", "notebook_output_limit")
SHOWN = {
    "table_engine",
    "query_timeout",
    "user_days",
    "timezone",
    "language",
    "country",
    "late_at",
    "telegram_thread_id",
    *LIMITS,
}  # in errors: no secrets


class SettingsError(PulsebookError, ValueError):
    """A setting is missing or cannot be used."""


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError("must be a plain database name such as simulator (letters, digits, underscores)")
    return name


Identifier = Annotated[str, AfterValidator(_identifier)]


def place(name: str | Path):
    """A folder or file of the archive by name: a `Path`, or for s3://bucket/… an `Object`, which has the same methods.

    Raises:
        ValueError: it is neither.
    """
    if "://" not in str(name):
        return ROOT / name
    address = urlsplit(str(name))
    if address.scheme != "s3" or not address.netloc or "@" in address.netloc:
        raise ValueError("must be a folder or s3://bucket/prefix, with the credentials in AWS's own variables")
    from pulsebook.base.objects import Object  # most of a second to import, which a folder does not need

    return Object(str(name).rstrip("/"), use_listings_cache=False)  # others write there too


class Settings(BaseSettings):
    """One frozen set of settings; build it with `settings()`."""

    model_config = SettingsConfigDict(
        env_prefix="PULSEBOOK_", env_file=ROOT / ".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # server of the target tables: http://user:password@host:8123; unset: the embedded warehouse that runs in this folder
    clickhouse_url: SecretStr = SecretStr("http://127.0.0.1:8123")
    # server of the event tables, if it is another one: rows then stream through the client; empty: the same server
    source_url: SecretStr = SecretStr("")
    source_database: Identifier = "simulator"  # holds the event tables
    target_database: Identifier = "test"  # holds our tables; is made if need be
    try_database: Identifier | Literal[""] = ""  # where `pulsebook try` works; empty: {target_database}_try
    # engine of our tables: ReplicatedMergeTree, or in full ReplicatedMergeTree('/clickhouse/{shard}/{table}', '{replica}')
    table_engine: str = "MergeTree"
    query_timeout: float = Field(600.0, gt=0, allow_inf_nan=False)  # seconds that one statement may take
    user_days: int = Field(
        400, ge=31, le=20_000
    )  # days for which user_activity keeps who acted; then only first days stay
    timezone: ZoneInfo = ZoneInfo("Europe/Moscow")  # business time zone: where days begin
    language: Literal["en", "ru"] = "en"  # of chat texts, pages, labels, number formats
    country: str = ""  # whose public holidays alerts and pictures name: RU, or DE-BY for a part of one; empty: none
    # in which only critical incidents are notified, such as 23:00-08:00; none; empty: the catalogue's
    quiet_hours: str = ""
    # time of day from which the team is told which daily reports have not come, once a day; none: it is not told
    late_at: str = "11:30"
    notebooks: Path = ROOT / "notebooks"  # folder of the notebooks
    outputs: Any = ROOT / "outputs"  # the archive: a folder, or s3://bucket/prefix
    # MB of text that one cell may put out; of more, head and tail are kept, and how much was left out is said
    cell_output_limit: float = Field(1.0, ge=0.02, le=100)
    # MB of all outputs of a notebook, pictures included; a cell takes at most half of what is left
    notebook_output_limit: float = Field(20.0, ge=0.1, le=1000)
    kernel_fork: bool = True  # whether kernels are forked from a process that has imported what they need (Linux)
    working_folder: str = ""  # where kernels work, seen from the project; empty: in the notebook's own folder
    archive_url: str = ""  # where `outputs` is served; messages then link to the executed notebook
    dashboard_url: str = ""  # linked in alerts
    post_url: str = ""  # a post's page, such as https://app.example/posts/{post}: posts in reports then link to it
    executed_as: str = ""  # the notebook's page below `outputs`; the runner passes it to the kernel
    in_lab: bool = False  # `%pulsebook` in a notebook asks: what JupyterLab has in a notebook's file is no fault
    telegram_token: SecretStr = SecretStr("")  # empty: messages go to a local page
    telegram_chat_id: str = ""  # the team's chat
    telegram_ops_chat_id: str = ""  # the chat that hears of failures; empty: the team's chat
    telegram_thread_id: int | None = None  # topic of the team's chat
    telegram_api_url: str = "https://api.telegram.org"  # for a Bot API server of your own
    # dead man's switch: {this}/{dag_id} is called when a scheduled run has succeeded, with /start and /fail too, as
    # Healthchecks takes it, such as https://hc-ping.com/<ping key>; empty: nothing is called
    heartbeat_url: SecretStr = SecretStr("")

    @field_validator("notebooks")
    @classmethod
    def _folder(cls, path: Path):
        return ROOT / path

    @field_validator("outputs")
    @classmethod
    def _outputs(cls, name):
        return place(name)

    @field_validator("timezone", mode="before")
    @classmethod
    def _zone(cls, name):
        try:
            return name if isinstance(name, ZoneInfo) else ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be an IANA time zone such as Europe/Moscow") from None

    @field_validator("country")
    @classmethod
    def _country(cls, name: str):
        try:
            public_holidays(name, "en")
        except ValueError:
            raise ValueError("must be a country such as RU, or a part of one such as DE-BY (ISO 3166)") from None
        return name

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, text: str):
        try:
            return QuietHours(text).text
        except ValueError as error:
            raise ValueError(f"cannot be used: {error}") from None

    @field_validator("late_at")
    @classmethod
    def _time(cls, text: str):
        if text != NONE and not re.fullmatch(TIME, text):
            raise ValueError(f"must be a time of day such as 11:30 (two digits each), or {NONE}")
        return text

    @field_validator("clickhouse_url", "source_url")
    @classmethod
    def _url(cls, url: SecretStr):
        if not url.get_secret_value():
            return url
        try:
            parts = urlsplit(url.get_secret_value())
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must look like http://user:password@host:8123")
        if {"user", "password"} & dict(parse_qsl(parts.query, keep_blank_values=True)).keys():
            raise ValueError("has user or password in its query: write http://user:password@host:8123")
        return url

    @field_validator("table_engine")
    @classmethod
    def _engine(cls, engine: str):
        if not re.fullmatch(r"(Replicated|Shared)?MergeTree(\('[^'\\]+', *'[^'\\]+'\))?", engine):
            raise ValueError(
                "must be MergeTree, ReplicatedMergeTree or ReplicatedMergeTree('/clickhouse/{shard}/{table}', '{replica}')"
            )
        if "(" in engine and "{table}" not in engine:
            raise ValueError("must contain {table}: every table needs a path of its own")
        return engine

    @field_validator("post_url")
    @classmethod
    def _page_of_a_post(cls, url: str):
        if url and "{post}" not in url:
            raise ValueError("must contain {post}, in place of which a post's id stands")
        return url

    @field_validator("archive_url", "dashboard_url", "post_url", "telegram_api_url")
    @classmethod
    def _web_address(cls, url: str):
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    @field_validator("heartbeat_url")
    @classmethod
    def _base_address(cls, url: SecretStr):
        try:
            parts = urlsplit(url.get_secret_value())
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 or not parts.geturl()
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment:
            raise ValueError("must look like https://hc-ping.com/<ping key>, without a query")
        return SecretStr(url.get_secret_value().rstrip("/"))

    @model_validator(mode="after")
    def _the_embedded_one_where_no_server_is_named(self):
        if "clickhouse_url" not in self.model_fields_set and (there := embedded.url(ROOT)):
            object.__setattr__(self, "clickhouse_url", SecretStr(there))
        return self

    @model_validator(mode="after")
    def _source_defaults_to_the_same_server(self):
        if not self.source_url.get_secret_value():
            object.__setattr__(self, "source_url", self.clickhouse_url)
        return self

    @model_validator(mode="after")
    def _tries_have_a_database_of_their_own(self):
        if self.try_database in (self.source_database, self.target_database):
            raise ValueError(f"PULSEBOOK_TRY_DATABASE must be a database for tries alone, found {self.try_database}")
        return self

    @model_validator(mode="after")
    def _a_token_needs_a_chat(self):
        if self.telegram_token.get_secret_value() and not self.telegram_chat_id:
            raise ValueError("PULSEBOOK_TELEGRAM_TOKEN is set, so PULSEBOOK_TELEGRAM_CHAT_ID must be set too")
        return self

    @cached_property
    def secrets(self) -> list[str]:
        """Passwords and tokens that must never be shown, a password also as its URL spells it."""
        heartbeat = self.heartbeat_url.get_secret_value()
        urls = (self.clickhouse_url.get_secret_value(), self.source_url.get_secret_value(), heartbeat)
        passwords = {spelt for url in urls if (p := urlsplit(url).password) for spelt in (p, unquote(p))}
        keys = {part for part in urlsplit(heartbeat).path.split("/") if len(part) >= 8}  # shorter ones are words: ping
        return sorted({*passwords, *keys, self.telegram_token.get_secret_value()} - {""})

    @cached_property
    def secrets_of_environment(self) -> frozenset[str]:
        """What the other variables of the environment hold that must never be shown, as it is when first asked for."""
        return frozenset(secrets_of(os.environ))

    @property
    def ops_chat_id(self) -> str:
        """The chat that hears of failures."""
        return self.telegram_ops_chat_id or self.telegram_chat_id

    @property
    def notebook_url(self) -> str:
        """The address of the page of the notebook that is being executed; empty where there is none."""
        return f"{self.archive_url}/{quote(self.executed_as)}" if self.archive_url and self.executed_as else ""

    @property
    def one_server(self) -> bool:
        """Whether source and target are the same server (statements may then read one and write the other)."""
        return self.source_url == self.clickhouse_url


def _variable(place: tuple) -> str:
    """The variable's name; none where a rule is about several."""
    return f"PULSEBOOK_{'_'.join(map(str, place)).upper()} " if place else ""


def _found(error: dict) -> str:
    """The value, where it may be shown."""
    return f", found {str(error['input'])[:80]!r}" if SHOWN & {*error["loc"]} else ""


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: a variable cannot be used; the message names it and says what was expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{_variable(e['loc'])}{e['msg'].removeprefix('Value error, ')}{_found(e)}"
            for e in error.errors(include_url=False)
        )
        raise SettingsError(problems) from None
