"""The events of the sample data: both source tables, and the statements that fill them day by day."""

import math
from datetime import datetime
from itertools import accumulate

from pulsebook.local.sample_people import FEED, MESSENGER, PROFILE, SILENT, People
from pulsebook.local.story import CLOSED_CITIES, MESSENGER_STAY, SLOT, VISITS, Day, Story

TABLES = ("feed_actions", "message_actions")
RECEIVER_COLUMNS = ("receiver_id", "reciever_id")
GREETERS = 3  # of a day's newcomers so many come at 00:00:00 sharp, and as many leave at 23:59:59
SPIKE = {"feed_spike": 2.5, "messenger_spike": 4.4}  # times the visits: some of the usual ones reach into the next slot
SEEN = "gender, age_seen, country, city, os_seen, source, exp_group"


class Events:
    """The statements that turn a story into rows."""

    def __init__(self, story: Story, people: People, database: str, receiver_column: str):
        self.story, self.people, self.database, self.receiver_column = story, people, database, receiver_column

    def tables(self, engine: str = "") -> list[str]:
        """Make the tables anew, those of the events with the `engine` given, or as they are kept."""
        drops = [
            f"DROP TABLE IF EXISTS {name}" for name in (*(f"{self.database}.{t}" for t in TABLES), self.people.table)
        ]
        # A day is one part that is never merged again, and whoever asks for a slot reads an hour or two of it. Ordered
        # by time alone, the same rows take nearly three times the space.
        kept = (
            engine
            or f"""ENGINE = MergeTree
                PARTITION BY toYYYYMMDD(time, '{self.story.zone.key}') ORDER BY (toStartOfHour(time), user_id)"""
        )
        return [
            *drops,
            f"""
            CREATE TABLE {self.database}.feed_actions
                (user_id UInt32, post_id UInt32, action String, time DateTime, {PROFILE}) {kept}
            """,
            f"""
            CREATE TABLE {self.database}.message_actions
                (user_id UInt32, {self.receiver_column} UInt32, time DateTime, {PROFILE}) {kept}
            """,
            self.people.create(),
        ]

    def feed(self, day: Day, until: datetime) -> str:
        """A day's rows of the feed: a view every few seconds of a visit, and likes right after some of the views."""
        per_day = self.story.posts_per_day
        newest = (day.number + 14) * per_day  # the post at midnight; the older, up to a week, the less it is seen
        block = min(max(self.story.dau * 20, 65_536), 1_048_576)  # half a day, so that two cores write
        first = FEED + 3 * (self.people.known[day.number] - self.story.newcomers[day.number])
        likes = f"views * {_literal(day.ctr)}[slot + 1] * (0.5 + {self.people.draw('taste', 'visit')} % 1001 / 1000)"
        return f"""
        INSERT INTO {self.database}.feed_actions
            (user_id, post_id, action, time, gender, age, country, city, os, source, exp_group)
        SELECT
            user_id,
            {newest} + intDiv(started * {per_day}, 86400)
                - intDiv(luck % 4096 * (intDiv(luck, 4096) % 4096) * {7 * per_day}, 16777216),
            if(step < views, 'view', 'like'),
            toDateTime(toUInt32({day.midnight} + at)),
            {SEEN}
        FROM (
            SELECT *, {self._at(day, "feed_spike", "if(view = 0, 0, view * pace + luck % pace) + 2 * (step >= views)")} AS at
            FROM (
                SELECT *, intHash64(visit + view) AS luck
                FROM (
                    SELECT
                        *,
                        arrayJoin(range(views + likes)) AS step,
                        toInt32(if(step < views, step, intDiv(toUInt32(step - views) * views, greatest(likes, 1)))) AS view
                    FROM (
                        SELECT *, toUInt32(least(views, floor({likes} + {self.people.uniform("like", "visit")}))) AS likes
                        FROM (
                            SELECT *, {self._count(day.views, 90)} AS views
                            FROM ({self._visits(day, "feeds", first, day.feed_weights, "feed_spike", day.visits)})
                        )
                    )
                )
            )
        )
        WHERE {self._real(day, until, "feed_outage")}
        SETTINGS min_insert_block_size_rows = {block}, min_insert_block_size_bytes = 0
        """

    def messages(self, day: Day, until: datetime) -> str:
        """A day's messages: each visit is a conversation with one receiver, who may well never answer or come."""
        per_day = self.people.messenger_per_day
        month_ago = day.number - 40
        feed_known = self.people.known[month_ago] if month_ago >= 0 else 0
        pick = f"intDiv({self.people.draw('receiver', 'listener', day.number)}, 20)"
        return f"""
        INSERT INTO {self.database}.message_actions
            (user_id, {self.receiver_column}, time, gender, age, country, city, os, source, exp_group)
        SELECT user_id, receiver, toDateTime(toUInt32({day.midnight} + at)), {SEEN}
        FROM (
            SELECT
                *,
                {self._at(day, "messenger_spike", "step * pace * 3 + if(step = 0, 0, intHash64(visit + step) % pace)")} AS at,
                multiIf(
                    listener % 20 < 12, {MESSENGER} + 3 * ({per_day * (month_ago + MESSENGER_STAY)} + {pick} % {40 * per_day}),
                    listener % 20 < 17, {FEED} + 3 * ({feed_known} + {pick} % {self.people.known[day.number] - feed_known}),
                    {SILENT} + 3 * ({pick} % {self.story.dau // 20})) AS receiver
            FROM (
                SELECT
                    *,
                    arrayJoin(range({self._count(day.messages, 60)})) AS step,
                    {self.people.draw("listener", "visit")} % {day.receivers} AS listener
                FROM ({self._visits(day, "talks", self._first_writer(day), day.message_weights, "messenger_spike")})
            )
        )
        WHERE {self._real(day, until)} AND receiver != user_id
        """

    def _first_writer(self, day: Day) -> int:
        return MESSENGER + 3 * self.people.messenger_per_day * (day.number + MESSENGER_STAY)

    def _visits(self, day: Day, who: str, first: int, weights: list[float], spike: str, times: int = 1) -> str:
        """One row per visit of the users who come on the day: `visit` (its hash), `slot`, `started`, `pace`, `extra`.

        `first` is the id of the day's first newcomer. An `extra` visit is one that a spike adds.
        """
        span = day.within(self.story.every_incident[spike])
        slot, factor = (span[0] // SLOT, SPIKE[spike]) if span else (-1, 1)
        weights = [weight * (factor if number == slot else 1) for number, weight in enumerate(weights)]
        shares = [round(share / sum(weights) * 2**32) for share in accumulate(weights)]
        closed = self.story.every_incident["city_outage"].start.date() == day.date
        return f"""
            SELECT
                *,
                {day.midnight} + started >= changes_at AS changed,
                if(changed, next_age, age) AS age_seen,
                if(changed, next_os, os) AS os_seen,
                toInt32(arrayFirstIndex(share -> share > visit % 4294967296, {shares})) - 1 AS slot,
                slot = {slot} AND {self.people.draw("extra", "visit")} % 1000 >= {round(1000 / factor)} AS extra,
                toInt32(multiIf(
                    user_id >= {first} AND user_id < {first + 3 * GREETERS}, 0,
                    user_id >= {first} AND user_id < {first + 6 * GREETERS}, {day.seconds - 1},
                    slot * {SLOT} + {self.people.draw("start", "visit")} % {SLOT})) AS started,
                toInt32(8 + {self.people.draw("pace", "visit")} % 20) AS pace
            FROM (
                SELECT
                    *,
                    arrayJoin(range(toUInt32({times} * arrayFirstIndex(
                        share -> share > {self.people.draw("visits", "user_id", day.number)} % 100, {list(VISITS)})))) AS nth,
                    {self.people.draw("visit", "user_id", day.number, "nth", f"'{who}'")} AS visit
                FROM {self.people.table}
                WHERE {who} AND (born = {day.number} OR born < {day.number} AND leaves >= {day.number}
                    AND {self.people.uniform("comes", "user_id", day.number)} < chance * if(feeds, {day.mood:.4f}, {day.bustle:.4f}))
                    {"AND city NOT IN " + str(CLOSED_CITIES) if closed else ""}
            )
        """

    def _at(self, day: Day, spike: str, passed: str) -> str:
        """Seconds since midnight, `passed` after the start; what would reach into the next day is mirrored back."""
        at = f"{day.seconds - 1} - abs(toInt64({day.seconds - 1} - (started + {passed})))"
        if span := day.within(self.story.every_incident[spike]):
            at = f"if(extra, {span[0]} + (started + {passed}) % {SLOT}, {at})"  # a spike stays within its slot
        return at

    def _real(self, day: Day, until: datetime, outage: str = "") -> str:
        span = day.within(self.story.every_incident.get(outage))
        lost = f" AND NOT (at >= {span[0]} AND at < {span[1]})" if span else ""
        return f"at <= {int(until.timestamp()) - day.midnight}{lost}"

    def _count(self, mean: float, most: int) -> str:
        """A number of at least 1, geometric around `mean`."""
        slope = 1 / math.log1p(1 / (mean - 1)) if mean > 1 else 0
        return f"toUInt32(1 + least({most - 1}, floor(-log({self.people.uniform('count', 'visit')}) * {slope:.4f})))"


def _literal(numbers: list[float]) -> str:
    return "[" + ", ".join(f"{number:.4f}" for number in numbers) + "]"
