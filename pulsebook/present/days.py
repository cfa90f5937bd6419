"""What is known of a day before it comes."""

from datetime import date

from pulsebook.base.calendars import public_holidays
from pulsebook.base.settings import settings


def holiday(day: date, language: str) -> str:
    """What the public holiday of a day is called in the team's country (PULSEBOOK_COUNTRY); empty: it is none."""
    return public_holidays(settings().country, language).get(day) or ""
