"""When people are notified: what makes a metric watched, the policy of all alerts, and what is worth a correction.

Tune with `notebooks/alerts/backtest.ipynb`, which replays a period.
"""

from dataclasses import dataclass
from datetime import date

from pulsebook.base.quiet_hours import QuietHours
from pulsebook.catalogue.checks import CatalogueError


@dataclass(frozen=True)
class Alert:
    """Makes a metric watched every 15 minutes: `alert=Alert()`."""

    sensitivity: float = 1.0  # 1.2 alarms sooner, 0.8 later
    min_deviation: float = 0.15  # the least change against what was expected, as a share
    groups: tuple[str, ...] = ()  # counts that fail together, judged also as one; empty: on its own

    def __post_init__(self):
        for name in ("sensitivity", "min_deviation"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 100:
                raise CatalogueError(f"an alert's {name} must be a positive number, got {value!r}")
        if not isinstance(self.groups, tuple) or not all(isinstance(group, str) and group for group in self.groups):
            raise CatalogueError(f"an alert's groups must be a tuple such as ('feed', 'app'), got {self.groups!r}")


@dataclass(frozen=True)
class Correction:
    """How far a number that was told must have moved since to be corrected where it was told; what has moved less is counted in
    one line a month."""

    share: float = 0.01  # of the value that was told
    least: float = 0.0  # in the metric's own unit

    def __post_init__(self):
        for name in ("share", "least"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise CatalogueError(f"a correction's {name} must be a number from 0 on, got {value!r}")

    def is_worth(self, told: float | None, now: float | None) -> bool:
        """Whether the way from one value to another is worth a correction; None: not known.

        >>> Correction(0.01, least=10).is_worth(1000, 1010), Correction(0.01, least=10).is_worth(100, 109)
        (True, False)
        """
        if told is None or now is None:
            return told != now
        return told != now and abs(now - told) >= max(self.share * abs(told), self.least)


@dataclass(frozen=True)
class Policy:
    """What decides when people are notified. Deviations are shares, times hours, slots quarters of an hour."""

    still_hours: tuple[float, ...] = (4.0, 12.0, 36.0)  # so long after an incident's first message a word says: still
    repeat_hours: float | None = None  # where it is set, a word every so often in their place
    edit_hours: float = 1.0  # so long the first message is edited where it gets worse, or more metrics are off
    normal_slots: int = 3  # so many normal slots in a row end an incident
    long_hours: float = 2.0  # one that has lasted longer …
    long_normal_slots: int = 8  # … ends after so many
    back_hours: float = 4.0  # what was over by an edit, and is back so soon, is the same incident
    worse: float = 1.5  # clearly worse: the deviation has grown by this factor …
    worse_by: float = 0.15  # … and at least so much
    critical: float = 0.5  # |deviation| from which an incident is critical
    quiet_hours: QuietHours = (
        QuietHours()
    )  # then only critical incidents are notified; PULSEBOOK_QUIET_HOURS comes first

    def __post_init__(self):
        positive = (
            "edit_hours",
            "normal_slots",
            "long_hours",
            "long_normal_slots",
            "back_hours",
            "worse",
            "worse_by",
            "critical",
        )
        for name in (*positive, *(["repeat_hours"] if self.repeat_hours is not None else [])):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value > 0:
                raise CatalogueError(f"the policy's {name} must be a positive number, got {value!r}")
        hours = self.still_hours
        if not isinstance(hours, tuple) or not all(isinstance(h, int | float) and h > 0 for h in hours):
            raise CatalogueError(f"the policy's still_hours must be such as (4.0, 12.0, 36.0), got {hours!r}")
        if not isinstance(self.quiet_hours, QuietHours):
            raise CatalogueError(
                f"the policy's quiet_hours must be QuietHours('23:00-08:00'), got {self.quiet_hours!r}"
            )


POLICY = Policy()
# ISO day -> why it is unusual (holiday, campaign): only critical incidents are notified then
KNOWN_DAYS: dict[str, str] = {}


def _check_days(days: dict[str, str]) -> None:
    for day in days:
        try:
            usable = date.fromisoformat(day).isoformat() == day
        except (TypeError, ValueError):
            usable = False
        if not usable:
            raise CatalogueError(f"KNOWN_DAYS must name ISO days such as 2026-12-31, found {day!r}")


_check_days(KNOWN_DAYS)
