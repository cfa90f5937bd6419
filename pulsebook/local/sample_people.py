"""The people of the sample data: everyone who ever acts, each with a profile and a habit, as a table in memory.

Nothing is drawn by rand(): every choice is a hash of who, when, what for and the seed, so a choice can be made anywhere, in
any order, and comes out the same.
"""

from itertools import accumulate

from pulsebook.local.story import CAMPAIGN_CHANCE, HABITS, MESSENGER_STAY, TALKATIVE, Story

FEED, MESSENGER, SILENT = 1000, 1001, 1002  # the id of user n of a community is this + 3n
SHARES = 8  # in which people are made: each is a block of the table in memory, and as many cores can read at once
PROFILE = "gender Int8, age Int16, country String, city String, os String, source String, exp_group Int8"

# Country, city, share of the users in per mille.
PLACES = [
    *(("Russia", city, share) for city, share in {
        "Moscow": 130, "Saint Petersburg": 70, "Novosibirsk": 27, "Yekaterinburg": 26, "Kazan": 24, "Chelyabinsk": 24,
        "Nizhny Novgorod": 24, "Samara": 24, "Omsk": 24, "Rostov-on-Don": 24, "Ufa": 24, "Krasnoyarsk": 23, "Perm": 23,
        "Voronezh": 23, "Volgograd": 22, "Krasnodar": 22, "Saratov": 20, "Tyumen": 20, "Tolyatti": 19, "Izhevsk": 19,
        "Barnaul": 18, "Irkutsk": 18, "Ulyanovsk": 18, "Khabarovsk": 18, "Vladivostok": 17, "Yaroslavl": 17,
        "Makhachkala": 16, "Tomsk": 16, "Orenburg": 15, "Kemerovo": 15, "Ryazan": 14, "Astrakhan": 13, "Penza": 13,
        "Lipetsk": 12, "Kirov": 11, "Tula": 11, "Kaliningrad": 10, "Murmansk": 6,
    }.items()),
    ("Ukraine", "Kyiv", 30), ("Ukraine", "Kharkiv", 14), ("Ukraine", "Odesa", 11),
    ("Belarus", "Minsk", 14), ("Belarus", "Gomel", 6), ("Kazakhstan", "Almaty", 14), ("Kazakhstan", "Astana", 10),
    ("Azerbaijan", "Baku", 12), ("Finland", "Helsinki", 6), ("Turkey", "Istanbul", 5), ("Latvia", "Riga", 3),
    ("Cyprus", "Limassol", 2), ("Estonia", "Tallinn", 2), ("Switzerland", "Geneva", 1),
]  # fmt: skip


class People:
    """The statements that make the people of a story."""

    def __init__(self, story: Story, seed: int, database: str):
        self.story, self.seed = story, seed
        self.table = f"{database}.sample_users"
        self.known = list(accumulate(story.newcomers))  # users of the feed up to and including day 0, 1, 2, …
        self.messenger_per_day = story.messenger_newcomers

    def create(self) -> str:
        return f"""
            CREATE TABLE {self.table}
                (user_id UInt32, feeds UInt8, talks UInt8, born Int32, leaves Int32, chance Float64,
                 {PROFILE}, changes_at UInt32, next_age Int16, next_os String) ENGINE = Memory
            """

    def fill(self, share: int) -> str:
        """One share of everyone who ever acts: first and last possible day, chance to come between, and the profile.

        One in 17 has a profile that changes, most of them in the course of the first day, the others in the weeks
        that follow.
        """
        story, draw = self.story, self.draw
        messenger_users = self.messenger_per_day * (story.numbers + MESSENGER_STAY)
        campaign_end = FEED + 3 * self.known[story.campaign_day]
        invited = f"feeds AND user_id >= {campaign_end - 3 * story.campaign} AND user_id < {campaign_end}"
        habits = list(accumulate(round(share * 100) for share, _, _ in HABITS))
        shares = list(accumulate(share for _, _, share in PLACES))
        begin = int(story.midnight(story.begin).timestamp())
        return f"""
        INSERT INTO {self.table}
        SELECT
            user_id, feeds, NOT feeds OR {draw("talks")} % {TALKATIVE} = 0, born,
            born + multiIf(
                invited, 30,
                feeds, toInt32(floor(-log({self.uniform("stay")}) * {[stay for _, _, stay in HABITS]}[habit])),
                {draw("stay")} % {MESSENGER_STAY + 1}),
            multiIf(
                invited, {CAMPAIGN_CHANCE},
                feeds, {[chance for _, chance, _ in HABITS]}[habit],
                0.15 + {draw("chance")} % 400 / 1000),
            {draw("gender")} % 100 < 55,
            age,
            {[country for country, _, _ in PLACES]}[place],
            {[city for _, city, _ in PLACES]}[place],
            os,
            if(invited OR {draw("source")} % 100 < 42, 'ads', 'organic'),
            {draw("exp_group")} % 5,
            multiIf(
                {draw("changes")} % 25 = 0, {begin} + born * 86400 + 36000 + {draw("moment")} % 36000,
                {draw("changes")} % 50 = 1, {begin} + born * 86400 + {draw("moment")} % (45 * 86400),
                4294967295),
            age + 1,
            if(os = 'Android', 'iOS', 'Android')
        FROM (
            SELECT
                *,
                {invited} AS invited,
                arrayFirstIndex(share -> share > {draw("habit")} % 100, {habits}) AS habit,
                arrayFirstIndex(share -> share > {draw("place")} % 1000, {shares}) AS place,
                14 + toInt32(least(70, floor(-6.5 * log({self.uniform("age")} * {self.uniform("age too")})))) AS age,
                multiIf({draw("no os")} % 300 = 0, '', {draw("os")} % 100 < 65, 'Android', 'iOS') AS os
            FROM (
                SELECT
                    toUInt32({FEED} + 3 * number) AS user_id, 1 AS feeds,
                    toInt32(length(arrayFilter(known -> known <= number, {self.known}))) AS born
                FROM numbers({self.known[-1]}) WHERE number % {SHARES} = {share}
                UNION ALL
                SELECT
                    toUInt32({MESSENGER} + 3 * number) AS user_id, 0 AS feeds,
                    toInt32(toInt64(intDiv(number, {self.messenger_per_day})) - {MESSENGER_STAY}) AS born
                FROM numbers({messenger_users}) WHERE number % {SHARES} = {share}
            )
        )
        """

    def draw(self, purpose: str, *keys: object) -> str:
        """SQL of a random UInt64 that depends on the purpose, the keys (the user, if none is given) and the seed."""
        return f"cityHash64({', '.join(map(str, keys or ('user_id',)))}, '{purpose}', {self.seed})"

    def uniform(self, purpose: str, *keys: object) -> str:
        """SQL of a random number above 0, up to 1."""
        return f"((1 + {self.draw(purpose, *keys)} % 1000000) / 1000000)"
