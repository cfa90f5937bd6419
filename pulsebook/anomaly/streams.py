"""What the detector watches: streams, declared by the columns of the history and not by their place.

    >>> count = Stream("views", "views", groups=("feed", "app"))
    >>> ratio = Stream("ctr", "likes", given="views")  # likes, given the views
    >>> helper = Stream("views_per_user", "views", given="feed_users", helper=True)  # tells whose fault it is

A verdict depends on the stream itself, on those in its groups and on the helpers of its column, and on nothing else:
not on the order of the streams, not on the others.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Stream:
    """A count and what it grows with.

    Raises:
        ValueError: a field is not as described; says which and what to do.
    """

    name: str  # of its verdicts
    count: str  # column of the history
    given: str = ""  # column that the count grows with: the value is count / given; empty = time alone
    groups: tuple[str, ...] = ()  # sets of streams that fail together; the first is its source
    helper: bool = False  # no verdict of its own: tells a fault of one metric from a change of the audience

    def __post_init__(self):
        for field in ("name", "count", "given"):
            text = getattr(self, field)
            if not isinstance(text, str) or not (text or field == "given"):
                raise self._refused(f"{field} must be a text{' or empty' * (field == 'given')}, got {text!r}")
        if self.count == self.given:
            raise self._refused(f"count and given must be two columns, both are {self.count}: leave given empty")
        if not isinstance(self.groups, tuple) or not all(isinstance(group, str) and group for group in self.groups):
            raise self._refused(f"groups must be a tuple of names such as ('feed', 'app'), got {self.groups!r}")
        if twice := _twice(self.groups):
            raise self._refused(f"groups must name each group once, found {', '.join(twice)} twice or more")
        if not isinstance(self.helper, bool):
            raise self._refused(f"helper must be True or False, got {self.helper!r}")
        if self.helper and not self.given:
            raise self._refused("a helper compares two columns: name the second as given")
        if self.helper and self.groups:
            raise self._refused(f"a helper has no verdict and no groups, got {self.groups!r}: leave groups empty")

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"stream {self.name!r}: {why}")


class Helper(NamedTuple):
    """Places in arrays: of the helper, and of the metrics of its two columns."""

    stream: int
    count: int
    given: int

    @property
    def metrics(self) -> tuple[int, int]:
        return self.count, self.given


class Streams:
    """Streams that are judged together. Their places in arrays: those with a verdict, as they were given; the helpers.

    Raises:
        ValueError: they do not go together; says which and what to do.
    """

    def __init__(self, streams: Iterable[Stream]):
        if not isinstance(streams, Iterable):
            raise ValueError(f"streams must be a list of Stream, got {type(streams).__name__}: put it into a list")
        given = tuple(streams)
        if strange := [type(stream).__name__ for stream in given if not isinstance(stream, Stream)]:
            raise ValueError(f"streams must be a list of Stream, found {strange[0]} in it: make it a Stream")
        watched = tuple(stream for stream in given if not stream.helper)
        helpers = tuple(sorted((stream for stream in given if stream.helper), key=lambda stream: stream.name))
        if not watched:
            raise ValueError(
                f"streams must have one with a verdict, found {len(helpers)} helper{'s' * (len(helpers) != 1)} alone: add a metric"
            )
        if twice := _twice(stream.name for stream in given):
            raise ValueError(
                f"streams must have names of their own, found {', '.join(twice)} twice or more: rename one"
            )
        for alike in (watched, helpers):
            if twice := _twice(f"{s.count} given {s.given or 'time alone'}" for s in alike):
                raise ValueError(f"streams must be different, found {', '.join(twice)} twice or more: drop one")
        self.all = watched + helpers
        self.metrics = tuple(stream.name for stream in watched)
        self.columns = tuple(dict.fromkeys(name for s in self.all for name in (s.count, s.given) if name))
        self._of_column = {stream.count: at for at, stream in enumerate(watched) if not stream.given}
        self.helpers = tuple(
            Helper(at, self._watched(stream, stream.count), self._watched(stream, stream.given))
            for at, stream in enumerate(helpers, len(watched))
        )

    def _watched(self, helper: Stream, column: str) -> int:
        if column not in self._of_column:
            raise ValueError(
                f"helper {helper.name!r} needs a stream with a verdict on {column} alone: add Stream({column!r}, {column!r})"
            )
        return self._of_column[column]

    def groups(self, columns: Iterable[str]) -> dict[str, list[int]]:
        """The places of each group's streams, in the order of the history's `columns`.

        Sums over a group go in this order: their last digit must not depend on the order of the streams.
        """
        order = {column: at for at, column in enumerate(columns)}
        places = sorted(
            range(len(self.metrics)),
            key=lambda at: (order[self.all[at].count], order.get(self.all[at].given, -1)),
        )
        names = sorted({group for stream in self.all for group in stream.groups})
        return {name: [at for at in places if name in self.all[at].groups] for name in names}


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, number in Counter(names).items() if number > 1]
