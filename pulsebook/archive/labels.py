"""What facts are called on a page: in English as they are stated, in another language as people call them there."""

import logging

from pulsebook.base.settings import settings

log = logging.getLogger(__name__)


def called(metric: str, part: str = "", *period: str) -> str:
    """Metric, part (`os=iOS`) and period of a fact, as one label. A catalogue that an edit has broken costs no page: names
    then stay as they are."""
    language = settings().language
    if language != "en":
        try:
            from pulsebook.present import names

            metric, part = names.called(metric, language), part and names.part_called(part, language)
        except Exception:
            log.exception("the catalogue cannot be read: facts are called as they are stated")
    return " · ".join(filter(None, (metric, part, *period)))
