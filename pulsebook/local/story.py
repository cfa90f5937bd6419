"""The story behind the sample data: who comes, who stays, what happens on which day.

Pure arithmetic over days, no SQL and no I/O: `sample` turns a story into rows. Every figure scales with `dau`, the
active feed users of a day on the plateau; what is drawn at random here comes from the seed alone.
"""

import itertools
import math
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SLOT = 900  # seconds: the 15 minutes in which the app is watched
STORY_DAYS = 90  # the age of the app on the last full day, so that a short sample shows its end: the plateau
GROWN_BY = 60  # the day on which the plateau is reached
SLOWEST_START = 0.05  # share of the plateau on the first day

VIEWS_PER_USER, LIKES_PER_VIEW, MESSAGES_PER_DAU = 33, 0.2125, 0.7
VISITS = (42, 72, 89, 100)  # cumulative %, of users with 1, 2, 3, 4 visits on a day when they come
VISITS_PER_USER = 1.97
MESSENGER_USERS = 0.097  # senders that live in the messenger, per feed user
MESSENGER_STAY = 80  # days, the longest
MESSENGER_CHANCE = 0.35  # to write on a day, on average
TALKATIVE = 60  # one feed user in so many writes messages too
CAMPAIGN_SIZE, CAMPAIGN_CHANCE = 0.20, 0.03  # newcomers per feed user; the share that ever comes back on a day

# What becomes of a newcomer to the feed: share of the newcomers, chance to come on a day, mean days until they leave.
# Together: 31 % are back on the next day, 17 % a month later.
HABITS = ((0.62, 0.18, 12), (0.28, 0.45, 60), (0.10, 0.88, 300))

# Feed users in a slot by hour, as seen at 18.5 thousand users a day.
CLOCK = (
    (0, 410), (2, 240), (4, 170), (6, 250), (8, 430), (10, 550), (12, 600), (15, 620), (17, 680), (19, 750), (21, 720),
    (23, 520), (24, 410),
)  # fmt: skip
WEEK = (0.99, 0.98, 0.98, 0.985, 1.0, 1.03, 1.035)  # Monday to Sunday

CLOSED_CITIES = ("Moscow", "Saint Petersburg", "Novosibirsk", "Yekaterinburg")


@dataclass(frozen=True)
class Incident:
    """Something out of the ordinary that is built into the rows: from `start` up to, not including, `end`."""

    name: str
    what: str
    start: datetime
    end: datetime


# name, what, days before the last full day, local time of the start (None: whole days), length
INCIDENTS = (
    ("flash_mob", "twice as many visits to the feed for a week", 45, None, timedelta(days=7)),
    ("city_outage", f"no users from {', '.join(CLOSED_CITIES)}", 20, None, timedelta(days=1)),
    ("ads_campaign", "newcomers from ads, 20 % of the usual users; 3 % are back the next day", 15, None, timedelta(1)),
    ("messenger_spike", "4 times the messages for one slot", 5, time(13, 15), timedelta(minutes=15)),
    ("feed_spike", "2.3 times the feed users for one slot", 3, time(15, 30), timedelta(minutes=15)),
    ("feed_outage", "not one row in the feed for 45 minutes", 2, time(11, 0), timedelta(minutes=45)),
)


@dataclass(frozen=True)
class Day:
    """One local day; slots and seconds count the time that has really passed since its midnight (92 slots, 100)."""

    number: int  # days since the app began
    date: date
    midnight: int  # Unix time
    seconds: int  # 82,800 or 90,000 when the clock is changed
    feed_weights: list[float]  # of the slots, to each other
    message_weights: list[float]
    ctr: list[float]  # likes per view, per slot
    mood: float  # how much likelier than usual feed users come
    views: float  # of a visit, on average
    visits: int  # 2 in a flash mob: how many times the usual visits
    bustle: float  # how much likelier than usual messenger users write
    messages: float  # of a conversation, on average
    receivers: int  # how many users are written to, about

    def within(self, incident: Incident | None) -> tuple[int, int] | None:
        """Seconds since midnight from which and to which the incident lasts on this day; None: not on this day."""
        if incident is None:
            return None
        start, end = (int(instant.timestamp()) - self.midnight for instant in (incident.start, incident.end))
        return (max(start, 0), min(end, self.seconds)) if start < self.seconds and end > 0 else None


class Story:
    """`days` full local days before the day of `until`, that day, and `more` after it: `days` has them all, oldest
    first. The incidents stay where they are, so a story with more days only adds to the same story with fewer.

    `newcomers` counts the users whose first day in the feed is day 0, 1, 2, … of the app, up to the last of these days; the
    campaign's own (`campaign`) are the last of `campaign_day` and counted there too.
    """

    def __init__(self, days: int, dau: int, seed: int, until: datetime, zone: ZoneInfo, more: int = 0):
        self.dau, self.zone = dau, zone
        today = until.astimezone(zone).date()
        self.last_day, self.first_day = today - timedelta(days=1), today - timedelta(days=days)
        self.age = max(STORY_DAYS, days)
        self.begin = today - timedelta(days=self.age)
        self.numbers = self.age + 1 + more  # days of the app up to the last of these
        self.posts_per_day = max(20, round(200 * math.sqrt(dau / 18_500)))
        self.messenger_newcomers = max(2, round(MESSENGER_USERS * dau / (1 + MESSENGER_STAY / 2 * MESSENGER_CHANCE)))
        self.every_incident = {name: self._incident(name, *rest) for name, *rest in INCIDENTS}
        self.campaign_day = (self.every_incident["ads_campaign"].start.date() - self.begin).days
        self.campaign = round(CAMPAIGN_SIZE * dau)
        self.newcomers = self._newcomers()
        self.days = self._days(random.Random(f"{seed} story"))[-days - 1 - more :]

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """Those that lie in these days from beginning to end, oldest first."""
        return tuple(i for i in self.every_incident.values() if i.start.date() >= self.first_day)

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone)

    def level(self, number: int) -> float:
        """The feed users expected on a day of the app, before weekday and chance."""
        if number < GROWN_BY:
            return self.dau * (SLOWEST_START + (0.97 - SLOWEST_START) * number / GROWN_BY)
        return self.dau * (0.97 + 0.03 * min(1, (number - GROWN_BY) / (STORY_DAYS - GROWN_BY)))

    def _incident(self, name: str, what: str, days_ago: int, at: time | None, length: timedelta) -> Incident:
        day = self.last_day - timedelta(days=days_ago)
        start = datetime.combine(day, at or time(), self.zone)
        return Incident(name, what, start, start + length)  # the sum is local too: midnight to midnight across DST

    def _newcomers(self) -> list[int]:
        """As many each day as it takes to reach the level, given those of the days before who come again."""
        returning = [
            sum(s * chance * math.exp(-age / stay) for s, chance, stay in HABITS) for age in range(self.numbers)
        ]
        came: list[int] = []
        for number in range(self.numbers):
            again = sum(count * returning[number - day] for day, count in enumerate(came))
            came.append(max(6, round(self.level(number) - again)))
        came[self.campaign_day] += self.campaign
        return came

    def _days(self, chance: random.Random) -> list[Day]:
        feed, messages, likes = (_wobble(chance, spread) for spread in (0.04, 0.04, 0.06))
        return [self._day(number, chance, feed, messages, likes) for number in range(self.numbers)]

    def _day(self, number: int, chance: random.Random, feed, messages, likes) -> Day:
        day = self.begin + timedelta(days=number)
        midnight = int(self.midnight(day).timestamp())
        seconds = int(self.midnight(day + timedelta(days=1)).timestamp()) - midnight
        starts = range(midnight, midnight + seconds, SLOT)
        clock = [_clock(datetime.fromtimestamp(start + SLOT // 2, self.zone)) for start in starts]
        feed_weights = [usual * next(feed) for usual in clock]
        message_weights = [usual * next(messages) for usual in clock]
        ctr = [LIKES_PER_VIEW * next(likes) for _ in clock]
        week = WEEK[day.weekday()]
        bustle = (1.3 if number % 3 == 0 else 0.95) * chance.uniform(0.96, 1.04)
        writers = MESSENGER_USERS * self.dau * bustle + self.level(number) / TALKATIVE
        mob = self.every_incident["flash_mob"]
        return Day(
            number, day, midnight, seconds, feed_weights, message_weights, ctr,
            mood=week * chance.uniform(0.985, 1.015),
            views=VIEWS_PER_USER / VISITS_PER_USER * week * chance.uniform(0.95, 1.05),
            visits=2 if mob.start.date() <= day < mob.end.date() else 1,
            bustle=bustle,
            messages=MESSAGES_PER_DAU * self.dau / writers / VISITS_PER_USER * chance.uniform(0.985, 1.015),
            receivers=round(self.dau * chance.uniform(0.075, 0.1)),
        )  # fmt: skip


def _clock(moment: datetime) -> float:
    """How busy a moment of the day is; on Saturday and Sunday everything happens half an hour later."""
    hour = (moment.hour + moment.minute / 60 - (0.5 if moment.weekday() >= 5 else 0)) % 24
    for (begin, low), (end, high) in itertools.pairwise(CLOCK):
        if hour < end:
            return low + (high - low) * (hour - begin) / (end - begin)
    raise AssertionError(f"CLOCK must reach 24 h, got no entry after {hour}")


def _wobble(chance: random.Random, spread: float, memory: float = 0.85):
    """Factors around 1, slot after slot, each like the one before: what count noise alone does not explain."""
    state = chance.gauss(0, spread)
    while True:
        yield math.exp(state)
        state = memory * state + chance.gauss(0, spread * math.sqrt(1 - memory**2))
