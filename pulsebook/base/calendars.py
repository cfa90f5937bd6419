"""Public holidays of a country, as the package `holidays` knows them."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache


@lru_cache(maxsize=8)
def public_holidays(country: str, language: str) -> Mapping[date, str]:
    """The names of a country's public holidays, in the language where the package has it.

    Args:
        country: ISO 3166: `RU`, or a part of one, `DE-BY`; empty: none.

    Raises:
        ValueError: the package does not know it.
    """
    if not country:
        return {}
    from holidays import country_holidays  # a third of a second, for those alone who name a country

    name, _, part = country.partition("-")
    spoken = "en_US" if language == "en" else language
    try:
        return country_holidays(name, subdiv=part or None, language=spoken)
    except NotImplementedError as error:
        raise ValueError(str(error)) from None
