"""A message as a template that looks like it (Jinja2); whatever comes from data is escaped where it is put in.

    >>> render("{{ 'views' | label }}: <b>{{ views | metric('views') }}</b>", "en", views=1234)
    'Views: <b>1,234</b>'

Beside what Jinja2 brings a template has the words and numbers of its language as filters:

    'views' | label               a metric's name            1234 | number, 0.2 | percent(0), -0.5 | signed
    1234 | metric('views')        its value                  day | date('d MMMM')     Babel's patterns of dates
    series | changes('views')     the last of consecutive days against the day before and the same weekday a week ago
    series | line('views')        name, value of the last day, changes

A line of `{% … %}` alone leaves no line; line ends before and after the message do not count.
"""

import difflib
import re
from functools import cache, partial

from babel.dates import format_date
from jinja2 import Environment, StrictUndefined, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables
from markupsafe import Markup

from pulsebook.base.texts import escape
from pulsebook.present import numbers

_ALONE = re.compile(r"^[ \t]*((?:\{%[^%]*%\}[ \t]*)+)\n", re.M)  # a line of tags alone


class MessageError(ValueError):
    """A template cannot be filled in."""


def render(template: str, language: str, **values) -> str:
    """The message that a template makes of some values, as Telegram takes it.

    Raises:
        MessageError: the template is none, or uses what is not given; says what is close.
    """
    environment = _environment(language)
    try:
        unknown = find_undeclared_variables(environment.parse(template)) - values.keys() - environment.globals.keys()
        if unknown:
            name = sorted(unknown)[0]
            close = difflib.get_close_matches(name, values, 1)
            raise MessageError(
                f"the message uses {name}, which is not given; given are {', '.join(values) or 'no values'}"
                + (f": is {close[0]} meant?" if close else "")
            )
        return environment.from_string(_ALONE.sub(r"\1", template)).render(values).strip("\n")
    except UndefinedError as error:
        raise MessageError(f"the message uses what is not there: {error.message}") from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise MessageError(f"the message is no template{f', line {line}' if line else ''}: {error.message}") from None


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escape(value)),
        undefined=StrictUndefined,
    )
    made.filters |= {
        "label": lambda name: numbers.label(name, language),
        "metric": lambda value, name: numbers.text(value, name, language),
        "changes": lambda series, name: numbers.changes(series, name, language),
        "line": partial(_line, language),
        "number": lambda value, digits=0: numbers.number(value, language, digits),
        "percent": lambda value, digits=1: numbers.percent(value, language, digits),
        "signed": lambda share: numbers.signed(share, language),
        "date": partial(_date, language),
    }
    return made


def _date(language: str, at, pattern: str) -> str:
    return format_date(at, pattern, locale=language)


def _line(language: str, series, name: str) -> Markup:
    value, moved = numbers.text(series.iloc[-1], name, language), numbers.changes(series, name, language)
    return Markup(f"{escape(numbers.label(name, language))}: <b>{escape(value)}</b>  {escape(moved)}")
