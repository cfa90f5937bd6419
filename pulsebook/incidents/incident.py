"""An alert, what is known of it, and a notification of it."""

from dataclasses import asdict, dataclass, field

from pulsebook.catalogue import POLICY, Policy

QUARTER, HOUR = 900, 3600  # seconds


@dataclass(frozen=True)
class Incident:
    """An alert and what is known of it. Times are slot starts in seconds since 1970; deviations are signed shares."""

    id: str
    kind: str  # anomaly, or missing
    opened: int
    last: int  # the last slot in which it was seen
    metrics: dict[str, float]  # metric -> deviation farthest from normal; of `missing`: source -> 0
    worst: dict[str, int] = field(default_factory=dict)  # metric -> slot of that deviation
    normal: int = 0  # normal slots in a row
    told: int | None = None  # slot of the last message; None: there was none yet
    told_metrics: dict[str, float] = field(default_factory=dict)  # what was said last, also by an edit
    first_told: int | None = None  # slot of the first message, or of the edit that says it is back; None: not noted
    resolved: int | None = None
    said_over: bool = False  # whether its first message says that it is over

    def is_critical(self, policy: Policy = POLICY) -> bool:
        """Whether it is notified at any time: a source sends no data, or a metric is that far from normal."""
        return self.kind == "missing" or max(map(abs, self.metrics.values())) >= policy.critical

    @property
    def seconds(self) -> int:
        """How long it has lasted: from the start of its first slot to the end of its last."""
        return self.last + QUARTER - self.opened

    def may_come_back(self, slot: int, policy: Policy = POLICY) -> bool:
        """Whether what is off again in a slot is this incident, which has ended, and no new one."""
        return self.resolved is not None and self.said_over and slot - self.last <= policy.back_hours * HOUR

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Event:
    """A notification. `what`: opened, still, worse, spread, resolved, or missed (over before it was notified); more (metrics
    of the same source) and again (what was told to be over), which are edits."""

    what: str
    incident: Incident
    is_edit: bool = False  # of the incident's first message; else a message of its own
    before: dict[str, float] = field(default_factory=dict)  # metric -> deviation that was said before
