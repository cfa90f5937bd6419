"""Quiet hours: the time of day in which only what is critical is notified.

>>> QuietHours("23:00-08:00").covers(datetime(2026, 11, 22, 3, 0))
True
"""

import re
from dataclasses import dataclass
from datetime import datetime

TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
RANGE = rf"(?P<begin>{TIME})-(?P<end>(?!(?P=begin)){TIME})"
NONE = "none"
FORM = rf"^({NONE}|({TIME})-(?!\2){TIME})?$"  # what a form takes, as JavaScript and Python read it


@dataclass(frozen=True)
class QuietHours:
    """Hours of the day, over midnight too: `23:00-08:00`; `none` or empty: there are none.

    Raises:
        ValueError: the text is something else.
    """

    text: str = ""

    def __post_init__(self):
        if not isinstance(self.text, str) or self.text not in ("", NONE) and not self._range:
            raise ValueError(
                "quiet hours must be two different times of day such as 23:00-08:00 (two digits each, a hyphen), "
                f"or {NONE}, got {self.text!r}"
            )

    def __bool__(self) -> bool:
        return self._range is not None

    def __str__(self) -> str:
        return self.text

    @property
    def _range(self) -> re.Match | None:
        return re.fullmatch(RANGE, self.text)

    def covers(self, moment: datetime) -> bool:
        """Whether a local time lies within; the end does not."""
        if not self:
            return False
        begin, end, now = self._range["begin"], self._range["end"], f"{moment:%H:%M}"
        return begin <= now < end if begin < end else now >= begin or now < end
