"""What users are sliced by: attributes of a user's profile, which is that of their latest action.

One entry of `DIMENSIONS` is a column of the staging tables, a task `slice_…` of the DAG `etl`, rows of
`metrics_by_dimension`, a part of the proof in `load`, and a line in the app's report.
"""

import re
from dataclasses import dataclass, field

from pulsebook.catalogue.checks import TABLE_COLUMNS, CatalogueError, check_name, check_sql, check_texts, once
from pulsebook.catalogue.metrics import METRICS

UNKNOWN = "unknown"  # the value of who has none


@dataclass(frozen=True)
class Dimension:
    """An attribute of a profile: a column of the event tables, or an SQL expression over them.

    Its value is text; NULL, empty text and whoever has no profile are `unknown`.
    """

    name: str
    en: str
    ru: str
    sql: str = ""  # empty: the column of its name
    columns: tuple[str, ...] = ()  # of the event tables, that `sql` reads; empty: the column of its name
    bands: tuple[int, ...] = ()  # of numbers: where bands begin in which reports and alerts show them
    values: dict[str, str] = field(default_factory=dict, hash=False)  # value -> its Russian name; English is the value

    def __post_init__(self):
        check_name("dimension", self.name, ("user_id", "time", *TABLE_COLUMNS, *METRICS))
        check_texts("dimension", self.name, en=self.en, ru=self.ru)
        object.__setattr__(self, "columns", self.columns or (self.name,))
        if self.sql:
            check_sql("dimension", self.name, "sql", self.sql)
            if unread := [name for name in self.columns if not re.search(rf"\b{re.escape(name)}\b", self.sql)]:
                raise CatalogueError(
                    f"dimension {self.name!r}: its sql does not read {', '.join(unread)}: name the columns of the event tables "
                    f'that it reads, such as columns=("city",); got {self.sql}'
                )
        if list(self.bands) != sorted(set(self.bands)):
            raise CatalogueError(f"dimension {self.name!r}: bands must rise, got {self.bands}")

    def label(self, language: str) -> str:
        """Its name for people."""
        return getattr(self, language)

    def named(self, value: str, language: str) -> str:
        """A value for people."""
        return self.values.get(value, shared_name(value, language)) if language == "ru" else value

    @property
    def value(self) -> str:
        """SQL: the value of an event's row as text, '' where it is missing."""
        return f"ifNull(toString({self.sql or self.name}), '')"

    @property
    def shown(self) -> str:
        """SQL: the value of an event's row as reports and alerts show it: a band where it has bands."""
        return band(self.value, self.bands) if self.bands else f"if({self.value} = '', '{UNKNOWN}', {self.value})"

    def order(self, value: str) -> tuple:
        """A key that sorts values: bands and numbers as such, other texts by the alphabet, unknown last."""
        bands = band_names(self.bands)
        number = bands.index(value) if value in bands else int(value) if value.lstrip("-").isdigit() else None
        return value == UNKNOWN, number is None, number or 0, value


SHARED = {UNKNOWN: "неизвестно", "other": "другие"}


def shared_name(value: str, language: str) -> str:
    """A value that any dimension may have, for people."""
    return SHARED.get(value, value) if language == "ru" else value


def band_names(edges: tuple[int, ...]) -> list[str]:
    """`<18`, `18–24`, `45+` of edges 18, 25, 45."""
    if not edges:
        return []
    between = [f"{low}–{high - 1}" for low, high in zip(edges, edges[1:], strict=False)]
    return [f"<{edges[0]}", *between, f"{edges[-1]}+"]


def band(value: str, edges: tuple[int, ...]) -> str:
    """SQL: the band of a number that is given as text; unknown where it is none."""
    number = f"toFloat64OrNull({value})"
    *below, last = band_names(edges)
    cases = ", ".join(f"{number} < {edge}, '{name}'" for edge, name in zip(edges, below, strict=True))
    return f"multiIf(isNull({number}), '{UNKNOWN}', {cases}, '{last}')"


AGE_BANDS = (18, 25, 35, 45)

DIMENSIONS = tuple(
    once(
        "dimension",
        (
            Dimension("os", "OS", "ОС"),
            Dimension("gender", "Gender", "Пол", "multiIf(gender = 1, 'female', gender = 0, 'male', '')",
                      values={"female": "женщины", "male": "мужчины"}),
            Dimension("age", "Age", "Возраст", "if(age < 0, NULL, age)", bands=AGE_BANDS),
        ),
    ).values()
)  # fmt: skip

# Alerts also look here for what explains a change; nothing is loaded by these.
EXPLAINED = tuple(
    {
        d.name: d
        for d in (
            Dimension("country", "Country", "Страна"),
            Dimension("city", "City", "Город"),
            Dimension("source", "Source", "Источник", values={"ads": "реклама", "organic": "органика"}),
            Dimension("exp_group", "Group", "Группа"),
            *DIMENSIONS,
        )
    }.values()
)


def dimension(name: str) -> Dimension:
    """The dimension of that name.

    Raises:
        CatalogueError: there is none.
    """
    return once("dimension", DIMENSIONS)[name]
