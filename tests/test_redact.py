"""No secret stays readable: however it is spelt, whatever it is called, wherever in a notebook it stands."""

import ast
import base64
import html
import itertools
import json
import re
import shlex
import time
import urllib.parse

import nbformat
import pytest
from hypothesis import assume, example, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from pulsebook.archive.redact import HIDDEN, known, literals, redact, redact_notebook, redact_values
from pulsebook.secret_names import is_secret, secrets_of
from pulsebook.settings import settings
from pulsebook.url_passwords import spans

LEAK = "s3cr-et/9"  # in every example below this is what must not be left


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch, outputs):
    """Each test knows only what it registers itself."""
    monkeypatch.setattr(known, "_registered", set())


def count(_, number=itertools.count()):
    """A name for an example that holds nothing of it: pytest puts the name into the environment."""
    return str(next(number))


HIDING = [
    # code
    f"password = '{LEAK}'",
    f'API_KEY = "{LEAK}"  # of the bot',
    f"DB_PASSWORD: str = '{LEAK}'",
    f"password: Optional[str] = '{LEAK}'",
    f"connect(host='h', password='{LEAK}', port=1)",
    f"dict(pwd='{LEAK}')",
    f"{{'host': 'h', 'password': '{LEAK}'}}",
    f'{{"password": "{LEAK}", "x": 1}}',
    f'{{\\"password\\": \\"{LEAK}\\"}}',
    f'{{\\\\\\"password\\\\\\": \\\\\\"{LEAK}\\\\\\"}}',
    f"{{&#x27;password&#x27;: &#x27;{LEAK}&#x27;}}",
    f"{{&quot;password&quot;: &quot;{LEAK}&quot;}}",
    f"os.environ['PGPASSWORD'] = '{LEAK}'",
    f"os.environ.setdefault('PGPASSWORD', '{LEAK}')",
    f"os.getenv('DB_PASSWORD', '{LEAK}')",
    f"headers.append(('X-ClickHouse-Key', '{LEAK}'))",
    f"password = (\n    '{LEAK}'\n)",
    f"password = b'{LEAK}'",
    f"password = rf'{LEAK}'",
    f"password = '''{LEAK}'''",
    f"password = SecretStr('{LEAK}')",
    f"passwords = ['first-1', '{LEAK}']",
    f"if password == '{LEAK}':",
    f"requests.get(url, auth=('me', '{LEAK}'))",
    f"HTTPBasicAuth('me', '{LEAK}')",
    f"server.login('me@x.org', '{LEAK}')",
    f"пароль = '{LEAK}'",
    f"const password = `x`; let apiKey = '{LEAK}';",
    f"CREATE USER x IDENTIFIED WITH sha256_password BY '{LEAK}'",
    f"ALTER USER x WITH PASSWORD '{LEAK}'",
    # output, logs, configuration
    f"password={LEAK}",
    f"password={LEAK}, host=h",
    f"host=h password={LEAK} port=1",
    f"Server=h;Uid=me;Pwd={LEAK};Port=1",
    f"jdbc:postgresql://h/db?user=me&password={LEAK}&ssl=1",
    f"https://h/?a=b&api_key={LEAK}",
    f"https://h/?a=b&amp;access_token={LEAK}",
    f"password: {LEAK}",
    f"password : {LEAK}",
    f"  smtp_pass: {LEAK}\n  smtp_host: h",
    f'- password: "{LEAK}"',
    f"password = {LEAK}",
    f"DB_PASSWORD={LEAK}\nHOME=/root",
    f"export PGPASSWORD='{LEAK}'",
    f"PGPASSWORD={LEAK} psql -h h",
    f"clickhouse-client --password {LEAK} -q x",
    f"clickhouse-client --password={LEAK} -q x",
    f"clickhouse-client --password '{LEAK}' -q x",
    f"curl -u me:{LEAK} https://h/",
    f"X-ClickHouse-Key: {LEAK}",
    f"curl -H 'X-ClickHouse-Key: {LEAK}' h",
    f"X-Api-Key: {LEAK}\r\nHost: h",
    f"Authorization: Basic {LEAK.replace('-', '')}",
    f"Authorization: Bearer {LEAK}",
    f"Authorization: Token {LEAK}",
    f"'Authorization': 'Token {LEAK}'",
    f"Proxy-Authorization: Basic {LEAK}",
    f"Cookie: session={LEAK}; other=1",
    f"<password>{LEAK}</password>",
    f"host         h\npassword     {LEAK}\nport         1\ndtype: object",
    f"\x1b[38;5;28;01mpassword\x1b[39m\x1b[33m=\x1b[39m\x1b[33m'{LEAK}'\x1b[39m",
    # URLs
    f"http://me:{LEAK.replace('/', '')}@h:1/",
    f"http://me:{LEAK}@h:1/",
    f"redis://:{LEAK}@h/0",
    f"postgres://me:it's{LEAK}@h/db",
    f'postgres://me:a"b{LEAK}@h/db',
    f"postgres://me:p@ss{LEAK}@h:5432/db",
    f"postgres://me:p@{LEAK.replace('/', '')}@h/db",
    f"smtp://me@x.org:{LEAK.replace('/', '')}@smtp.x.org",
    f"http:\\/\\/me:{LEAK.replace('/', '')}@h",
    f"next=http%3A%2F%2Fme%3A{LEAK.replace('/', '')}%40h",
    f"['http://me:{LEAK}@h:1/', 'x@y.z']",
]


@pytest.mark.parametrize("text", HIDING, ids=count)
def test_what_is_written_like_a_secret_is_hidden(text):
    for left in (LEAK, "3cr-et", "et/9", "3cret"):
        assert left not in redact(text), text
    assert HIDDEN in redact(text)


SURVIVING = [
    "password = os.environ['X']",
    'password = os.environ["DB_PASSWORD"]',
    "password = os.environ.get('DB_PASSWORD')",
    "password = os.getenv('DB_PASSWORD', '')",
    "token = get_token()",
    "token = get_token(user2)",
    "password = getpass('Password: ')",
    "password = getpass.getpass(prompt='Password: ')",
    "password = input('Password: ')\nuser = 'me'",
    "print('password:', password, 'user')",
    'print("token: " + token, "x")',
    "print(f'password={password}')",
    "print(f\"password='{password}'\")",
    "url = f'http://{user}:{password}@{host}:{port}/'",
    "url = f\"http://{user}:{quote(password, safe='')}@{host}\"",
    "connect(password=password, token=self.token)",
    "connect(password=settings.password)",
    "tokens = 5",
    "max_tokens: 100",
    "token_count=123456",
    "def login(user, password):",
    "def login(user: str, password: str = ''):",
    "password: str",
    "password: SecretStr | None = None",
    "class Login:\n    token: str\n    password: Optional[str] = None",
    "password: see the wiki",
    "Password: required",
    "The password is in the vault. Token: none.",
    "the password: it must hold eight letters",
    "{'password': ''}",
    "{'password': None, 'token': True}",
    "{'password': '***'}",
    "{'password': '{{ conn.x.password }}'}",
    "df = df.drop(columns=['password', 'country'])",
    "df[['token', 'country']]",
    "{'token': 'hello', 'pos': 'NOUN'}",
    "{'password': 'object', 'n': 'int64'}",
    "primary_key = 'user_id_2'",
    "ORDER BY sort_key = 'abc123'",
    "PWD=/srv/data/2026",
    "http://127.0.0.1:8123/?x=a@b.c",
    "http://h:8888/lab?mail=me@x.org",
    "http://h:{port}/x@y",
    "pip install git+ssh://git@github.com:org/repo.git@v1.0",
    "https://medium.com/@me/a:b",
    "mail me@x.org, see http://h/a:b and c@d",
    "password_file = '/run/secrets/db-1'",
    "secret_name = 'db-password-1'",
    "compass = 'north-1'",
    "first key: value1x",
    "keyboard = 'qwerty-1'",
    "for token in tokens: print(token)",
    "lambda token: token2x",
    "pass\nexcept KeyError:",
    "1 passed, 2 failed: test_password in 0.12s",
    "password == other",
    "assert token != token2",
    "if not password: raise ValueError('no password')",
    "bearer of news",
    "auth = (user, password)",
    "IDENTIFIED BY {password}",
    "`token`: the run's token, `secret`: none",
]


@pytest.mark.parametrize("code", [True, False])
@pytest.mark.parametrize("text", SURVIVING, ids=count)
def test_code_that_computes_a_secret_and_prose_about_one_survive(text, code):
    assert redact(text, code=code) == text


SIGNS = "'\"\\/@%&+=!$#?<>{}()[]:;,.~^*|`- éЯ€😀"
SECRETS = st.text(st.sampled_from("abcdefghijkXYZ0123456789" + SIGNS), min_size=8, max_size=24).filter(
    lambda secret: len(re.sub(r"%..|\\u....|\\x..|\\.|\W", "", secret)) >= 6 and secret == secret.strip()
)
AROUND = st.text(st.sampled_from("abcXYZ019 \n\t.,:;()<>=\"'\\&%#/é"), max_size=12)


def each(form: str):
    """A spelling that escapes every character, by its number."""
    return lambda secret: "".join(form.format(ord(c)) for c in secret)


def mixed_case(quoted: str) -> str:
    return re.sub("%..", lambda found: found[0].lower() if found.start() % 2 else found[0].title(), quoted)


def coloured(secret: str) -> str:
    return "\x1b[1m" + "\x1b[38;5;28m".join([secret[:3], secret[3:5], secret[5:]]) + "\x1b[0m"


SPELLINGS = {
    "plain": str,
    "url": lambda s: urllib.parse.quote(s, safe=""),
    "url, of mixed case": lambda s: mixed_case(urllib.parse.quote(s, safe="")),
    "url, some signs": lambda s: urllib.parse.quote(s, safe="!$&'()*+,;=:@/"),
    "form": urllib.parse.quote_plus,
    "url, twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "url, every byte": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "json": lambda s: json.dumps(s)[1:-1],
    "json, as it is": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "json of json": lambda s: json.dumps(json.dumps(s)[1:-1])[1:-1],
    "json, slashes": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "json, for html": lambda s: re.sub("[<>&']", lambda c: f"\\u{ord(c[0]):04x}", json.dumps(s)[1:-1]),
    "repr": lambda s: repr(s)[1:-1],
    "repr of repr": lambda s: repr(repr(s)[1:-1])[1:-1],
    "ascii": lambda s: ascii(s)[1:-1],
    "bytes": lambda s: repr(s.encode())[2:-1],
    "unicode_escape": lambda s: s.encode("unicode_escape").decode(),
    "every \\u": lambda s: (
        json.dumps("".join(s)) and "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else json.dumps(c)[1:-1] for c in s)
    ),
    "html": html.escape,
    "html, &apos;": lambda s: html.escape(s).replace("&#x27;", "&apos;"),
    "html, &#39;": lambda s: html.escape(s).replace("&#x27;", "&#39;"),
    "html, twice": lambda s: html.escape(html.escape(s)),
    "html, every character": each("&#{};"),
    "json of html": lambda s: json.dumps(html.escape(s))[1:-1],
    "shell": lambda s: shlex.quote(s).strip("'"),
    "shell, '\\''": lambda s: s.replace("'", "'\\''"),
    "sql": lambda s: s.replace("'", "''"),
    "sql, backslashes": lambda s: s.replace("\\", "\\\\").replace("'", "\\'"),
    "csv": lambda s: s.replace('"', '""'),
    "ini": lambda s: s.replace("%", "%%"),
    "compose": lambda s: s.replace("$", "$$"),
    "coloured": coloured,
    "coloured json": lambda s: json.dumps(coloured(s))[1:-1],
    "hexadecimal": lambda s: s.encode().hex(),
}


def readings(text: str) -> set[str]:
    """What somebody can read in a text; written without the module under test."""
    seen, fresh = set(), {text}
    while fresh and len(seen) < 500:
        seen |= fresh
        fresh = {
            reading
            for known_text in fresh
            for reading in (
                html.unescape(known_text),
                urllib.parse.unquote(known_text),
                known_text.replace("+", " "),
                re.sub("\x1b" + r"\[[0-9;]*m", "", known_text),
                re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), known_text),
                re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), known_text),
                known_text.replace("\\\\", "\\"),
                re.sub(r"\\(['\"/])", r"\1", known_text),
                known_text.replace("''", "'").replace('""', '"').replace("'\\''", "'"),
                known_text.replace("$$", "$").replace("%%", "%"),
            )
        } - seen
    return seen


def fixed(function):
    return trying(deadline=None, derandomize=True, max_examples=25)(function)


@pytest.mark.parametrize("spelling", SPELLINGS, ids=count)
@fixed
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_known_secret_is_hidden_in_every_spelling(spelling, secret, before, after):
    assume(secret not in before + after)
    known._registered.clear()
    known.register(secret)
    spelt = SPELLINGS[spelling](secret)
    hidden = redact(f"{before} {spelt} {after}")
    assert HIDDEN in hidden
    assert spelt not in hidden
    assert not any(secret in reading for reading in readings(hidden))
    assert secret not in hidden and secret[:-1] not in hidden


WRAPS = {"lines": "\n", "CRLF": "\r\n", "JSON": "\\n", "a list of lines": '\\n",\n   "', "indented": "\n    "}


@pytest.mark.parametrize("wrap", WRAPS)
@fixed
@given(secret=SECRETS, before=st.binary(max_size=80), after=st.binary(max_size=80), width=st.integers(4, 76))
def test_a_known_secret_is_hidden_in_base64_also_in_lines(wrap, secret, before, after, width):
    known._registered.clear()
    known.register(secret)
    assume(secret.encode() not in before + after)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(before + secret.encode() + after).decode()
        wrapped = WRAPS[wrap].join(whole[at : at + width] for at in range(0, len(whole), width))
        left = re.sub(r"\\n|[^\w+/=-]", "", redact(f"x: {wrapped} .").replace(HIDDEN, "....")).strip("x")
        for run in re.findall(r"[\w+/-]{4,}", left.replace("....", "=")):
            for shift in range(4):
                piece = run[shift:].replace("-", "+").replace("_", "/")
                assert secret.encode()[1:-1] not in base64.b64decode(piece[: len(piece) // 4 * 4])


@trying(deadline=None, derandomize=True, max_examples=100)
@given(secret=SECRETS, text=st.text(st.sampled_from("abcXYZ0129" + SIGNS + "\n"), max_size=80))
def test_a_text_without_the_secret_comes_back_identical(secret, text):
    known._registered.clear()
    assume(redact(text) == text)
    bare = re.sub(r"['\"\\]", "", secret)
    assume(len(bare) >= 8 and not any(bare[:4] in re.sub(r"['\"\\]", "", reading) for reading in readings(text)))
    known.register(secret)
    assert redact(text) == text
