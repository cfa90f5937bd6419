"""A small world of raw rows with every hard case, and the final table computed from them in pandas: another code path
than the notebooks, no shared SQL."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

import pulsebook.warehouse  # noqa: F401 (from then on texts of frames are of one kind)

METRICS = ["views", "likes", "messages_received", "messages_sent", "users_received", "users_sent"]
PROFILE = ["gender", "age", "os", "country", "exp_group"]  # of which a world has the first three at least


def raw_rows(day: date, zone: ZoneInfo, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of feed_actions and message_actions (`receiver_id`) around a day; `time` in seconds since 1970."""
    chance = np.random.default_rng(seed)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    after = day + timedelta(days=1)
    end = int(datetime(after.year, after.month, after.day, tzinfo=zone).timestamp())

    def profile(users):
        return {
            "gender": users % 2,
            "age": 14 + users % 40,
            "os": np.where(users % 11 == 0, "", np.where(users % 3 == 0, "iOS", "Android")),
        }

    users = chance.integers(1, 60, 3000)
    feed = pd.DataFrame(
        {
            "user_id": users,
            "post_id": chance.integers(1, 50, 3000),
            "action": chance.choice(["view", "like"], 3000, p=[0.8, 0.2]),
            "time": chance.integers(midnight - 86400 * 3, end + 86400, 3000),
            **profile(users),
        }
    )
    senders = chance.integers(40, 90, 1500)
    messages = pd.DataFrame(
        {
            "user_id": senders,
            "receiver_id": chance.integers(40, 130, 1500),
            "time": chance.integers(midnight - 86400 * 3, end + 86400, 1500),
            **profile(senders),
        }
    )

    def view(user, at, action="view", gender=0, age=30, os="iOS"):
        return dict(user_id=user, post_id=1, action=action, time=at, gender=gender, age=age, os=os)

    def message(user, to, at, gender=0, age=30, os="iOS"):
        return dict(user_id=user, receiver_id=to, time=at, gender=gender, age=age, os=os)

    noon = midnight + 43200
    edges = [view(200, midnight), view(201, midnight - 1), view(202, end - 1), view(203, end)]
    changes = [view(210, noon, age=30, os="iOS"), view(210, noon + 60, "like", age=31, os="Android")]
    both = [view(211, noon, age=40, os="iOS"), view(212, noon + 9, age=50)]
    earlier = [view(220, midnight - 5 * 86400, age=55, os="Android"), view(221, midnight - 40 * 86400, age=60)]
    earlier += [view(223, midnight - 30 * 86400, gender=1, age=61), view(224, midnight - 30 * 86400 - 1, age=62)]
    sent = [message(211, 220, noon + 5, gender=1, age=41, os="Android"), message(212, 221, noon + 5, age=51)]
    sent += [message(213, 222, midnight), message(213, 222, end - 1), message(213, 213, noon)]
    sent += [
        message(214, 223, midnight - 1),
        message(214, 223, noon),
        message(214, 224, end),
        message(214, 224, noon + 1),
    ]
    sent += [message(220, 1, midnight - 6 * 86400, age=54)]
    feed = pd.concat([feed, pd.DataFrame(edges + changes + both + earlier)], ignore_index=True)
    messages = pd.concat([messages, pd.DataFrame(sent)], ignore_index=True)
    # one action per user and second: which of two is the latest is then beyond doubt
    feed = feed.drop_duplicates(["user_id", "time"], keep="last")
    messages = messages.drop_duplicates(["user_id", "time"], keep="last")
    taken = pd.MultiIndex.from_frame(feed[["user_id", "time"]])
    messages = messages[~pd.MultiIndex.from_frame(messages[["user_id", "time"]]).isin(taken)]
    return feed.reset_index(drop=True), messages.reset_index(drop=True)


DIMENSIONS = {
    "os": lambda p: p["os"].replace("", None),
    "gender": lambda p: p["gender"].map({1: "female", 0: "male"}),
    "age": lambda p: p["age"].map(lambda age: None if pd.isna(age) else str(int(age))),
}


def local(frame: pd.DataFrame, zone: ZoneInfo) -> pd.Series:
    """The local times of rows."""
    return pd.to_datetime(frame["time"], unit="s", utc=True).dt.tz_convert(zone)


def final_table(
    feed: pd.DataFrame, messages: pd.DataFrame, day: date, zone: ZoneInfo, dimensions=None, more=None
) -> pd.DataFrame:
    """What `metrics_by_dimension` must hold for the day, indexed by dimension and value, in pandas alone.

    `dimensions`: name -> function from profiles to values, None where unknown; DIMENSIONS where not given. `more`: name of
    another metric -> function from the day's rows of the feed to a number for each user.
    """
    dimensions = DIMENSIONS if dimensions is None else dimensions

    def local_day(frame):
        return local(frame, zone).dt.date

    feed_day, messages_day = feed[local_day(feed) == day], messages[local_day(messages) == day]
    users = pd.DataFrame(
        {
            "views": feed_day[feed_day["action"] == "view"].groupby("user_id").size(),
            "likes": feed_day[feed_day["action"] == "like"].groupby("user_id").size(),
            "messages_sent": messages_day.groupby("user_id").size(),
            "users_sent": messages_day.groupby("user_id")["receiver_id"].nunique(),
            "messages_received": messages_day.groupby("receiver_id").size(),
            "users_received": messages_day.groupby("receiver_id")["user_id"].nunique(),
        }
    )
    for name, count in (more or {}).items():
        users[name] = count(feed_day).reindex(users.index)
    users = users.fillna(0)

    def latest(*frames):
        columns = ["user_id", "time", *(c for c in PROFILE if c in feed)]
        return pd.concat([f[columns] for f in frames]).sort_values("time").groupby("user_id").last()

    def before(frame):
        days = local_day(frame)
        return frame[(days < day) & (days >= day - timedelta(days=30))]

    known = latest(feed_day, messages_day)
    older = latest(before(feed), before(messages))
    profiles = pd.concat([known, older[~older.index.isin(known.index)]]).reindex(users.index)
    for name, value in dimensions.items():
        users[name] = value(profiles).fillna("unknown")
    metrics = [*METRICS, *(more or {})]
    table = pd.concat({d: users.groupby(d)[metrics].sum() for d in dimensions}, names=["dimension", "dimension_value"])
    return table.astype(int).sort_index()
