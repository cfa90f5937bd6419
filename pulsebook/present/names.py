"""What numbers and their parts are called.

>>> called("views", "ru"), called("gender_unknown", "ru"), called("rows read", "en")
('Просмотры', 'Пол: неизвестно', 'rows read')
>>> part_called("gender=male", "ru")
'Пол: мужчины'
"""

from pulsebook.base.words import say
from pulsebook.catalogue import EXPLAINED, METRICS, UNKNOWN


def called(name: str, language: str) -> str:
    """A number for people: a metric as the catalogue calls it; in Russian also what steps count of a dimension, and whatever
    `pulsebook.base.russian` has words for; else its own name."""
    metric, _, rest = name.partition(" ")
    if metric in METRICS and (not rest or language == "ru"):
        return METRICS[metric].label(language) + (f", {say(rest)}" if rest else "")
    if language == "ru":
        for dimension in EXPLAINED:
            if name == f"{dimension.name}_unknown":
                return part_called(f"{dimension.name}={UNKNOWN}", language)
            if name == f"values of {dimension.name}":
                return f"{dimension.label(language)}: {say('values')}"
    return say(name)


def part_called(part: str, language: str) -> str:
    """A slice of a number, such as `os=iOS`, for people."""
    name, _, value = part.partition("=")
    found = [dimension for dimension in EXPLAINED if dimension.name == name]
    return f"{found[0].label(language)}: {found[0].named(value, language)}" if found else part
