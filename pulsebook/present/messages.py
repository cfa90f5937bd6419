"""A message as a template that looks like it (Jinja2); whatever comes from data is escaped where it is put in.

    >>> render("{{ 'views' | label }}: <b>{{ views | metric('views') }}</b>", "en", views=1234)
    'Views: <b>1,234</b>'

Beside what Jinja2 brings a template has the words and numbers of its language as filters:

    'views' | label               a metric's or a dimension's name      1234 | number, 0.2 | percent(0), -0.5 | signed
    1234 | metric('views')        its value                             day | date('d MMMM')     Babel's patterns, of times too
    series | changes('views')     the last of consecutive days against the day before and the same weekday a week ago
    series | line('views')        name, value of the last day, changes
    'male' | named(dimension)     the name of its value                 5400 | duration          1 h 30 min
    now | change(before, 'views') how a metric has moved                now | moved(before, 'views')  the same with a sign
    series | counts(dimension)    ads 12 · organic 30: of each value    series | shares(dimension)     iOS 60 % · Android 40 %
    url | link('page')            a link; nothing where there is no URL   2 | plural('day')  2 days: in English alone

A line of `{% … %}` alone leaves no line; line ends before and after the message do not count.
"""

import re
from collections.abc import Callable
from datetime import datetime, time
from functools import cache, partial

from babel.dates import format_datetime
from jinja2 import Environment, StrictUndefined, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables
from markupsafe import Markup

from pulsebook.base.errors import PulsebookError
from pulsebook.base.facts import Statement
from pulsebook.base.spelling import meant
from pulsebook.base.texts import escape, short
from pulsebook.catalogue import Dimension
from pulsebook.present import numbers

NAME = 40  # characters of a name from data
LEAST = 0.005  # shares up to this would be written as 0 %
_ALONE = re.compile(r"^[ \t]*((?:\{%[^%]*%\}[ \t]*)+)\n", re.M)  # a line of tags alone


class MessageError(PulsebookError, ValueError):
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
            given = ", ".join(values) or "no values"
            raise MessageError(f"the message uses {name}, which is not given; given are {given}{meant(name, values)}")
        return environment.from_string(_ALONE.sub(r"\1", template)).render(values).strip("\n")
    except UndefinedError as error:
        raise MessageError(f"the message uses what is not there: {error.message}") from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise MessageError(f"the message is no template{f', line {line}' if line else ''}: {error.message}") from None


def preview(*parts: str | bytes) -> None:
    """Shows in a notebook what goes to the chat, about as it will look there: messages, and pictures as PNG. The messages are
    stated, too: a comparison of two runs finds their lines."""
    from IPython.display import Image, display

    for part in parts:
        shown = f"<p style='white-space: pre-wrap'>{part}</p>"
        display(Statement(part, shown, message=part) if isinstance(part, str) else Image(part, width=540))


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escape(value)),
        undefined=StrictUndefined,
    )
    made.filters |= {
        "label": lambda what: what.label(language) if isinstance(what, Dimension) else numbers.label(what, language),
        "metric": lambda value, name: numbers.text(value, name, language),
        "change": lambda now, before, name: numbers.change(now, before, name, language),
        "moved": lambda now, before, name: numbers.moved(now, before, name, language),
        "changes": lambda series, name: numbers.changes(series, name, language),
        "line": partial(_line, language),
        "number": lambda value, digits=0: numbers.number(value, language, digits),
        "percent": lambda value, digits=1: numbers.percent(value, language, digits),
        "plural": numbers.plural,
        "signed": lambda share: numbers.signed(share, language),
        "date": partial(_date, language),
        "duration": lambda seconds: numbers.duration(seconds, language),
        "named": partial(_named, language),
        "counts": partial(_parts, language, lambda count: numbers.number(count, language)),
        "shares": partial(_shares, language),
        "link": _link,
    }
    return made


def _date(language: str, at, pattern: str) -> str:
    at = at if isinstance(at, datetime) else datetime.combine(at, time())
    return format_datetime(at, pattern, locale=language)


def _line(language: str, series, name: str) -> Markup:
    value, moved = numbers.text(series.iloc[-1], name, language), numbers.changes(series, name, language)
    return Markup(f"{escape(numbers.label(name, language))}: <b>{escape(value)}</b>  {escape(moved)}")


def _named(language: str, value: str, dimension: Dimension) -> str:
    return short(dimension.named(value, language), NAME)


def _parts(language: str, write: Callable[[float], str], parts, dimension: Dimension) -> str:
    """Values of a dimension (index) that have a count or a share, each with it."""
    return " · ".join(f"{_named(language, value, dimension)} {write(part)}" for value, part in parts.items() if part)


def _shares(language: str, parts, dimension: Dimension) -> str:
    """Shares as whole percents; what would be written as 0 % is left out."""
    shares = parts / parts.sum()
    return _parts(language, lambda share: numbers.percent(share, language, 0), shares[shares > LEAST], dimension)


def _link(url: str, words: str) -> Markup:
    return Markup(f'<a href="{escape(url)}">{escape(words)}</a>' if url else "")
