"""No secret stays readable: however it is spelt, whatever it is called, wherever in a notebook it stands."""

import ast
import base64
import html
import itertools
import json
import logging
import re
import shlex
import time
import traceback
import urllib.parse

import nbformat
import pytest
from hypothesis import assume, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from pulsebook import runner
from pulsebook.base.redact import HIDDEN, WithoutSecrets, known, literals, redact, redact_notebook, redact_values
from pulsebook.base.secret_names import is_secret, secrets_of
from pulsebook.base.settings import settings
from pulsebook.base.url_passwords import spans
from tests.test_archive import a_notebook

LEAK = "s3cr-et/9"  # in every example below this is what must not be left


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch, outputs):
    """Each test knows only what it registers itself."""
    monkeypatch.setattr(known, "_registered", set())


NUMBERS = itertools.count()


def count(_) -> str:
    """A name for an example that holds nothing of it: pytest puts the name into the environment."""
    return str(next(NUMBERS))


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
    # beside its name: prose, markup, tables
    f"your password is {LEAK}",
    f"Password for 'me': {LEAK}",
    f"using password '{LEAK}'",
    f"password -> {LEAK}",
    f"password:\n  {LEAK}",
    f"**password:** {LEAK}",
    f"`password`: `{LEAK}`",
    f"* Password — {LEAK}",
    f"│ password │ {LEAK} │",
    f"<tr>\n  <th>password</th>\n  <td>{LEAK}</td>\n</tr>",
    f"<dt>password</dt><dd>{LEAK}</dd>",
    f'<input name="password" type="password" value="{LEAK}">',
    f'<add key="Password" value="{LEAK}"/>',
    f"<r><Password type='x'>{LEAK}</Password></r>",
    f"  user   password\n0   me  {LEAK}\n1   it  {LEAK}",
    f"user,password\nme,{LEAK}\n",
    f"user\tpassword\tn\nme\t{LEAK}\t1\n",
    f"| user | password |\n|------|----------|\n| me | {LEAK} |",
    f"┃ user ┃ password  ┃\n│ me   │ {LEAK} │",
    f"<table><tr><th></th><th>user</th><th>password</th></tr><tr><th>0</th><td>me</td><td>{LEAK}</td></tr></table>",
    # tools and table functions
    f"Driver={{ODBC}};Server=h;UID=me;PWD={LEAK};",
    f"%env DB_PASSWORD {LEAK}",
    f"!mysql -u root -p{LEAK} db",
    f"!sshpass -p '{LEAK}' ssh h",
    f"!redis-cli -h h -a {LEAK} ping",
    f"sqlplus me/{LEAK.replace('/', '')}@h",
    f"jdbc:oracle:thin:me/{LEAK}@h:1521/x",
    f"machine h login me password {LEAK}",
    f"login(user, '{LEAK}')",
    f"user, password = 'me', '{LEAK}'",
    f"password: str = Field(default='{LEAK}')",
    f"passwords = {{'me': '{LEAK}'}}",
    f"SET PASSWORD FOR me = PASSWORD('{LEAK}')",
    f"SELECT * FROM mysql('h:3306', 'd', 't', 'me', '{LEAK}')",
    f"SELECT * FROM remote('h', d.t, 'me', '{LEAK}')",
    f"SELECT * FROM s3('https://b/x', 'AKIAIOSFODNN7EXAMPLE', '{LEAK}{LEAK}', 'CSV')",
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
    f"me:{LEAK.replace('/', '')}@tcp(127.0.0.1:3306)/db",
    f"reader:{LEAK.replace('/', '')}@ch.example:9440",
    f"//me:{LEAK.replace('/', '')}@h/x",
    # the name is a value, or in words of its own
    f'{{"name": "DB_PASSWORD", "value": "{LEAK}"}}',
    f"- name: DB_PASSWORD\n  value: {LEAK}",
    f"['mysql', '--password', '{LEAK}', 'db']",
    f"API key: {LEAK}",
    f"secret key = {LEAK}",
    f"The password for me is {LEAK}.",
    f"pswd={LEAK}",
    # cut off, tags between, commands, SQL
    f"password = '{LEAK}",
    f"{{'user': 'me', 'password': '{LEAK}",
    f"<b>Password:</b> {LEAK}_Q<br>",
    f"<td><b>password</b></td><td>{LEAK}_Q</td>".replace("_Q", "q"),
    f'<entry key="password">{LEAK}</entry>',
    f"<name>x.ConnectionPassword</name><value>{LEAK}</value>",
    f'<input value="{LEAK}" name="password">',
    f"sqlcmd -S h -U me -P {LEAK}",
    f"az login -u me -p {LEAK}",
    f"aws configure set aws_secret_access_key {LEAK}",
    f'CREATE USER x IDENTIFIED BY "{LEAK}"',
    f'smtp.login("me@x.org", "{LEAK}")',
    f"session.auth = 'me', '{LEAK}'",
    f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{LEAK}\n-----END PGP PRIVATE KEY BLOCK-----",
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
    "secret_santa = 'Bob Smith7'",
    "password_resets = 120000",
    "rename(columns={'password_resets': 'Password resets, 7d'})",
    "mask_token = '[MASK]'",
    "PASS  tests/test_a1.py",
    "Log-ins by password: 1204 (55 %)",
    "Password: 1204 users",
    "login + password 55%",
    "login_method=password users=120412",
    "method\npassword     5123.25\noauth2       123.1\ndtype: float64",
    "        method      n\n0     password  120412\n1        token   55123",
    "   password_resets  logins\n0            12000    5000",
    "<tr><th>password</th><td>120412</td></tr>",
    "<th>token</th>\n<td>hello1</td>",
    "| token | count |\n|---|---|\n| hello1 | 12 |",
    "PWD=/home/me1",
    "key: value1x, API key usage: 120412 calls",
    "invalid token at line 12 column 5",
    "unknown token 'SELECT2' near 1:5",
    "12:30:45@server1:8123 and git@github.com:o/r.git and scp a.txt me@h:2222",
    "see user:group@host:22/x",
    "{'name': 'token', 'value': 'views2026'}",
    "[['password', 'country'], ['token', 'os_version_2']]",
    "df[['token', 'country1']]",
    "<th>password</th><th>country-2026</th>",
    "<li>password: <b>required</b></li>",
    "41:42:43, 0x41 0x42, 51, 118, 112",
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
    "hexadecimal, colons": lambda s: s.encode().hex(":"),
    "hexadecimal, 0x": lambda s: ", ".join(f"0x{byte:02x}" for byte in s.encode()),
    "decimal": lambda s: str([*s.encode()]),
    "url of old": lambda s: re.sub(r"[^a-z]", lambda c: f"%u{ord(c[0]):04X}" if ord(c[0]) < 65536 else c[0], s),
    "html without semicolons": each("&#{}"),
    "base64 of base64": lambda s: base64.b64encode(base64.b64encode(f"me:{s}".encode())).decode(),
    "base64 of a URL": lambda s: base64.b64encode(f"me:{urllib.parse.quote(s, safe='')}@".encode()).decode(),
    "base64 of JSON": lambda s: base64.b64encode(json.dumps({"a": s}).encode()).decode(),
    "base64 of UTF-16": lambda s: base64.b64encode(s.encode("utf-16-le")).decode(),
    "base64 in a URL": lambda s: urllib.parse.quote(base64.b64encode(b"me:" + s.encode()).decode(), safe=""),
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


WRAPS = {
    "lines": "\n",
    "CRLF": "\r\n",
    "JSON": "\\n",
    "a list of lines": '\\n",\n   "',
    "indented": "\n    ",
    "comments": "\n# ",
    "HTML": "<br>",
    "sums": "' +\n'",
}


@pytest.mark.parametrize("wrap", WRAPS)
@fixed
@given(secret=SECRETS, before=st.binary(max_size=80), after=st.binary(max_size=80), width=st.integers(4, 76))
def test_a_known_secret_is_hidden_in_base64_also_in_lines(wrap, secret, before, after, width):
    known._registered.clear()
    known.register(secret)
    assume(secret.encode() not in before + after)
    assume(wrap not in ("comments", "HTML", "sums") or width >= 24)
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


def notebook_with(place: str, text: str) -> dict:
    """A notebook that holds a text in a given place."""
    new = nbformat.v4
    stream = new.new_output("stream", name="stdout", text="rows\n")
    shown = new.new_output("display_data", {"text/plain": "x", "application/json": {"a": [1]}}, metadata={})
    failed = new.new_output("error", ename="ValueError", evalue="x", traceback=["one", "two"])
    cell = new.new_code_cell("x = 1", outputs=[stream, shown, failed], metadata={"papermill": {"status": "completed"}})
    markdown = new.new_markdown_cell("# Title", attachments={"a.png": {"image/png": "aaaa"}})
    made = new.new_notebook(cells=[markdown, cell])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made.metadata.papermill = {"parameters": {"day": "2026-11-22"}, "exception": None}
    match place:
        case "code":
            cell.source = f"x = {text!r}\nprint(x)"
        case "markdown":
            markdown.source = f"# Title\n\nis {text} here"
        case "stream":
            stream.text = f"first\n{text}\nlast\n"
        case "two streams":
            cell.outputs[0] = new.new_output("stream", name="stdout", text=f"a {text[:4]}")
            cell.outputs.insert(1, new.new_output("stream", name="stdout", text=f"{text[4:]} b"))
        case "text/plain" | "text/html" | "image/svg+xml":
            shown.data[place] = f"<b>\n{html.escape(text) if place != 'text/plain' else text}</b>"
        case "json value":
            shown.data["application/json"] = {"rows": [{"name": text}]}
        case "json key":
            shown.data["application/vnd.x+json"] = {"rows": [{text: 1}]}
        case "json in text":
            shown.data["text/plain"] = json.dumps({"a": text, "b": [text]}, indent=1)
        case "media type":
            shown.data[text] = "x"
        case "picture":
            shown.data["image/png"] = base64.b64encode(b"\x89PNG" + text.encode() + b"..").decode()
        case "picture in lines":
            shown.data["image/jpeg"] = base64.encodebytes(b"\x89PNG" * 30 + text.encode() + b".." * 30).decode()
        case "attachment":
            markdown.attachments["a.png"]["image/png"] = base64.encodebytes(b"x" * 99 + text.encode()).decode()
        case "attachment's name":
            markdown.attachments[text] = {"image/png": "aaaa"}
        case "traceback":
            failed.traceback = ["first", f"\x1b[31m{text}\x1b[0m", "last"]
        case "evalue" | "ename":
            failed[place] = text
        case "metadata of an output":
            shown.metadata = {"name": text, "id": [text], "status": {"name": text}, text: {"kernelspec": text}}
        case "metadata of a cell":
            cell.metadata["name"] = text
            cell.metadata["note"] = {"status": [text]}
        case "tag":
            cell.metadata["tags"] = ["parameters", text]
        case "metadata":
            made.metadata["note"] = {"id": text, "language_info": text}
        case "kernelspec":
            made.metadata.kernelspec.display_name = text
        case "parameter":
            made.metadata.papermill["parameters"] = {"place": text, "more": [{"x": text}]}
        case "status":
            cell.metadata.papermill["status"] = text
    return made


PLACES = [
    "code", "markdown", "stream", "two streams", "text/plain", "text/html", "image/svg+xml", "json value", "json key",
    "json in text", "media type", "picture", "picture in lines", "attachment", "attachment's name", "traceback", "evalue",
    "ename", "metadata of an output", "metadata of a cell", "tag", "metadata", "kernelspec", "parameter", "status",
]  # fmt: skip


def all_texts(value) -> list[str]:
    """Every text of a notebook as somebody sees it: lines joined, base64 decoded too."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *all_texts(item))]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ["".join(value), *(text for item in value for text in all_texts(item))]
    if isinstance(value, list):
        streams = "".join("".join(item["text"]) for item in value if isinstance(item, dict) and "text" in item)
        return [streams, *(text for item in value for text in all_texts(item))]
    if not isinstance(value, str):
        return [str(value)]
    try:
        return [value, base64.b64decode(value).decode("utf-8", "replace")]
    except ValueError:
        return [value]


@pytest.mark.parametrize("place", PLACES)
@trying(deadline=None, derandomize=True, max_examples=8)
@given(secret=SECRETS)
def test_no_place_of_a_notebook_keeps_a_secret_and_it_stays_a_valid_notebook(place, secret):
    known._registered.clear()
    document = nbformat.writes(notebook_with(place, secret))
    known.register(secret)
    clean = redact_notebook(document)
    read = nbformat.reads(clean, 4)
    nbformat.validate(read)
    assert HIDDEN in clean
    for text in all_texts(json.loads(clean)):
        assert not any(secret in reading for reading in readings(text))
    for cell in read.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
    assert read.metadata.kernelspec.name == "python3" and read.cells[1].outputs[0].name == "stdout"
    assert redact_notebook(clean) == clean


@pytest.mark.parametrize("place", PLACES)
def test_a_notebook_without_secrets_comes_back_identical(place):
    known.register("s3cret-of-somebody")
    document = nbformat.writes(notebook_with(place, "just words"))
    assert redact_notebook(document) == document


def test_what_code_calls_a_secret_is_hidden_in_every_output():
    source = "API_KEY = 'k3y-of-somebody'\nother, my_pwd = 1, 'w0rd-of-mine'\nprint(API_KEY)"
    output = nbformat.v4.new_output("stream", name="stdout", text="k3y-of-somebody w0rd-of-mine")
    cell = nbformat.v4.new_code_cell(source, outputs=[output])
    clean = redact_notebook(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    assert "k3y" not in clean and "w0rd" not in clean
    ast.parse(nbformat.reads(clean, 4).cells[0].source)


@pytest.mark.parametrize(
    "code",
    [
        "config.set('db', 'password', '{}')", "keyring.set_password('s', 'me', '{}')", "client.password('{}')",
        "password = getpass() or '{}'", "assert '{}' == password", "(user, password) = ('me', '{}')",
        "setattr(x, 'password', '{}')",
    ],
)  # fmt: skip
def test_literals_of_calls_and_comparisons_are_known(code):
    assert LEAK in literals.literals(code.format(LEAK))


WITHIN_CODE = [
    "url = 'postgres://me:{}@h:5432/db'", "dsn = \"host=h password='{}' user=me\"", "cfg = json.loads('{{\"password\": \"{}\"}}')",
    'text = """\nuser: me\npassword: {}\n"""', "# the password is {}", "%%bash\nexport DB_PASSWORD={}", "s.auth = ('me', '{}')",
    'query = "CREATE USER x IDENTIFIED BY \'{}\'"', "password = 'ab' '{}'", "password = os.environ.get('X', '{}')",
    "password = str('{}')", "pw = lambda: '{}'", "def get_password():\n    return '{}'", "passwords = {{'me': '{}'}}",
    "p.add_argument('--password', default='{}')", "run(['mysql', '--password', '{}'])", "[{{'name': 'DB_PASSWORD', 'value': '{}'}}]",
    "(user, password), port = ('me', '{}'), 1", "for password in ('{}', 'b'): f(password)", "server.login('me', '{}')",
    "password = f'{}{{n}}'",
]  # fmt: skip


@pytest.mark.parametrize("code", WITHIN_CODE, ids=count)
def test_what_code_holds_of_a_secret_is_hidden_in_outputs_too(code):
    secret = "Zk4-wQ9tLm"
    output = nbformat.v4.new_output("stream", name="stdout", text=f"is {secret} here")
    cell = nbformat.v4.new_code_cell(code.format(secret), outputs=[output])
    assert secret not in redact_notebook(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))


@pytest.mark.parametrize(
    "code",
    ["credentials = {'host': 'localhost1', 'region': 'eu-west-1'}", "url = 'http://user:password@host:8123'",
     "def password_score(x):\n    return 'strong12'", "title = 'Password resets, week 2026-W47'", "d = {'name': 'token', 'value': 'views2026'}"],
)  # fmt: skip
def test_ordinary_words_of_code_stay_in_outputs(code):
    literals.register_literals(code)
    assert not known._registered


def test_parameters_hide_what_lies_below_a_secret_name_beside_one_and_within_texts():
    secret = "Zk4-wQ9tLm"
    given_ = {
        "passwords": {"me": secret, "all": [secret]}, "env": [{"name": "DB_PASSWORD", "value": secret}], "pair": [["password", secret]],
        "args": ["--password", secret], "options": f"--password {secret} -x", "note": f"the password is {secret}",
    }  # fmt: skip
    for name, value in given_.items():
        assert secret not in json.dumps(redact_values({name: value})), name
        known._registered.clear()
        literals.register_secrets_of({name: value})
        assert known._registered == {secret}, name
    plain = {
        "credentials": {"host": "h1", "region": "eu-west-1"},
        "name": "token",
        "value": "views",
        "x": ["token", "Android14"],
    }
    known._registered.clear()
    literals.register_secrets_of(plain)
    assert redact_values(plain) == plain and not known._registered


def test_literals_are_those_that_names_call_secret():
    source = """
%load_ext x
password = "one-1"; user = "me"
a.token, b = "two-2", "not"
f(api_key="three-3", host="h", pwd=None)
headers = {"X-ClickHouse-Key": "four-4", "Host": "h"}
os.environ.setdefault("DB_PASSWORD", "five-5")
def f(x, secret="six-6", *, passphrase="seven-7"): ...
password = os.getenv("X") or "eight-8"
token = get_token("no")
password = SecretStr("nine-9")
auth_token: str = "Bearer ten-10"
password = os.environ["no"]
"""
    found = {"one-1", "two-2", "three-3", "four-4", "five-5", "six-6", "seven-7", "eight-8", "nine-9", "ten-10"}
    assert literals.literals(source) == found
    assert literals.literals("SELECT 1 FROM") == set()


def test_values_are_hidden_under_names_that_call_them_secret():
    given_ = {
        "db_password": "abc",
        "n": 5,
        "token": None,
        "day": "2026-11-22",
        "pwd": 1234,
        "tokens": 7,
        "x": [{"api_key": "q"}],
    }
    hidden = {
        "db_password": HIDDEN,
        "n": 5,
        "token": None,
        "day": "2026-11-22",
        "pwd": HIDDEN,
        "tokens": 7,
        "x": [{"api_key": HIDDEN}],
    }
    assert redact_values(given_) == hidden


SECRET_VARIABLES = {
    "db_password": "abc-12", "MYSQL_PWD": "abc-12", "SMTP_PASS": "abc-12", "PGPASSWORD": "abc-12", "SSH_PASSPHRASE": "abc-12",
    "aws_secret_access_key": "/AbcDefGhiJkl+1234567890abcdefghijklmnop", "APP_SECRET": "~abc-12", "GITHUB_TOKEN": "abc-12",
    "AIRFLOW__CORE__FERNET_KEY": "abc-12=", "MY_CREDENTIALS": "abc-12",
}  # fmt: skip
WITHIN_VARIABLES = {
    "DATABASE_URL": "postgres://me:abc-12@h/db", "BROKER": "redis://:abc%2D12@h:1/0", "DSN": "host=h password='abc-12' port=1",
    "ODBC": "Server=h;Pwd=abc-12;", "AIRFLOW_CONN_X": '{"conn_type": "http", "password": "abc-12"}',
    "AIRFLOW_CONN_Y": '{"conn_type": "http", "extra": {"api_key": "abc-12"}}', "HOOK": "https://h/?api_key=abc-12&x=1",
    "AIRFLOW_CONN_Z": '{"extra": "{\\"secret\\": \\"abc-12\\"}"}', "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "a+b://me:abc-12@h/x",
    "CELERY": "redis://:abc-12@h:1;redis://:other-1@h:2",
    "AZURE": "AccountName=a;AccountKey=abc-12;EndpointSuffix=x", "KAFKA_JAAS": 'username="me" password="abc-12";',
    "MYSQL_DSN": "me:abc-12@tcp(127.0.0.1:3306)/db",
}  # fmt: skip
PLAIN_VARIABLES = {
    "PWD": "/srv/abc-12", "PASSWORD_FILE": "/run/secrets/abc-12", "TOKEN_PATH": "/abc-12", "SECRETS_DIR": "/abc-12",
    "SSH_KEY_PATH": "~/abc-12", "DB_PASSWORD": "/etc/passwd", "TOKENIZERS_PARALLELISM": "false-1", "GIT_ASKPASS": "abc-12",
    "API_TOKEN": "", "HOME_URL": "http://h:8123/a@b", "PRIMARY_KEY": "abc-12", "DB_PASSWORD_": "no", "X_PASSWORD": "true",
}  # fmt: skip


def test_variables_are_secret_by_name_and_by_what_their_values_hold():
    for name, value in SECRET_VARIABLES.items():
        assert secrets_of({name: value}) == {value}, name
    for name, value in WITHIN_VARIABLES.items():
        assert "abc-12" in secrets_of({name: value}), name
        assert value not in secrets_of({name: value}), name
    for name, value in PLAIN_VARIABLES.items():
        assert not secrets_of({name: value}), name


@pytest.mark.parametrize("spelt", ["p!w$9aZ", "p%21w%249aZ", "p%2fw%2F9aZ", "p%40w:9aZ"])
def test_a_password_is_known_as_its_url_spells_it(monkeypatch, spelt):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", f"http://me:{spelt}@h:8123")
    settings.cache_clear()
    assert {spelt, urllib.parse.unquote(spelt)} == set(settings().secrets)
    for text in (spelt, urllib.parse.unquote(spelt), urllib.parse.quote(urllib.parse.unquote(spelt), safe="").lower()):
        assert redact(f"is {text} here") == f"is {HIDDEN} here" or "z" in text


@fixed
@given(password=st.text(st.sampled_from("abcXYZ0189@/'\":!$%&+=?#"), min_size=6, max_size=20))
def test_the_password_of_a_url_is_found_where_a_host_and_port_follow(password):
    assume(
        not re.match(r"\d{1,5}[/?#\"':]", password) and not re.search(r"://|@\w+:\d|[\"'][,;:)]|[\"']$", password + "@")
    )
    url = f"postgres://me:{password}@host:5432/db"
    assert [url[start:end] for start, end in spans(url)] == [password]


HOSTILE = [
    "\\" * 300_000, "%25" * 100_000, "&amp;" * 60_000, "&" + "amp;" * 60_000, "&#" + "0" * 300_000, "\x1b[" + "0;" * 150_000,
    "\x1b[" * 150_000, "://" * 100_000, "://a:" * 60_000, "://a:b@" * 40_000, "://a:" + "b@" * 150_000, "://a:" + "'@" * 150_000,
    "password" * 40_000, "password=" * 40_000, "password='" * 30_000, "password: " * 30_000, "password = \\\"" * 20_000,
    "key" * 100_000, "key:" * 80_000, "token: a." * 40_000, "auth=(" * 50_000, "auth=('a','" * 30_000, "identified by '" * 20_000,
    "bearer " * 40_000, "curl " * 60_000, "-----BEGIN PRIVATE KEY-----" * 10_000, "password" + " " * 300_000, "password:" + "\n" * 300_000,
    "eyJaaaaaaaaa." * 25_000, "gh" * 150_000, "password: a[" * 25_000, "password='" + "\\'" * 150_000, "<password>" * 30_000,
    "<table><th>password</th>" * 12_000, "password\n" * 33_000, "password | " * 27_000, "  password  x\n" * 20_000,
    "password,b\n" * 27_000, "password is is is " * 15_000, "login(a, " * 30_000, "<th>password" * 25_000, "mysql -" * 40_000,
    "password " + "\n\t" * 150_000, "http://h/?password=" * 16_000, "@" * 300_000, "a:b@h:22 " * 33_000, "password<b>" * 27_000, '"name": "password", ' * 17_000,
    "remote('a'," * 27_000, "password 'a': " * 20_000, "name='password' " + " " * 300_000,
    "a@b:c" * 60_000, "\\u0041" * 50_000, "\\u{" * 100_000, "'" * 300_000, "sk-" * 100_000, "%3a%2f%2f" * 30_000, "aB3+" * 75_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=count)
def test_redaction_takes_time_in_proportion_to_the_text(text):
    known.register("s3cr'et/of-somebody")
    started = time.process_time()
    redact(text[: len(text) // 4])
    assert time.process_time() - started < 3, "75 KB; at most some 0.2 s on an idle machine"


@pytest.mark.parametrize(
    "name", ["db_password", "SMTP_PASS", "apiKey", "X-ClickHouse-Key", "AccountKey", "парольБД", "client_secret"]
)
def test_names_that_say_secret(name):
    assert is_secret(name)


WRITTEN = (
    "connection = {'host': 'https://ch.example', 'user': 'reader', 'password': 'sample-pass-1'}\n"
    "DB_PASSWORD = 'sample-pass-2'\napi_key = \"sample-key-0003\"\nprint(connection)",
    "print(api_key, DB_PASSWORD[:20], db_password)",
    "display({'text/plain': 'x'}, metadata={'name': db_password}, raw=True)",
    "raise ValueError(db_password + ' was refused')",
)


def test_passwords_as_people_write_them_reach_no_file_of_the_archive_and_the_page_says_so(
    tmp_path, outputs, caplog, capfd
):
    notebook = a_notebook(tmp_path / "step.ipynb", "## Load", *WRITTEN, parameters='db_password = ""  # of the server')
    with pytest.raises(runner.NotebookFailed) as caught:
        runner.run(notebook, {"db_password": "sample-pass-4"}, outputs / "etl" / "2026-11-20" / "run-1")
    texts = {file.name: file.read_text() for file in outputs.rglob("*") if file.is_file()}
    said = capfd.readouterr()
    texts |= {"error": str(caught.value), "log": caplog.text, "output": said.out + said.err}
    for name, text in texts.items():
        assert not re.findall(r"sample-(?:pass|key)-\w+", text), name
    executed = nbformat.reads(texts["step-try1.ipynb"], 4)
    nbformat.validate(executed)
    for cell in executed.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
    assert "ValueError: [redacted] was refused" in texts["step-try1.json"]
    assert "A secret in the code was taken out" in texts["step-try1.html"]


def test_a_page_whose_code_lost_nothing_says_nothing_of_it(tmp_path, outputs):
    notebook = a_notebook(tmp_path / "step.ipynb", "## Load", "print(1)")
    record = runner.run(notebook, {"place": "x"}, outputs / "etl" / "2026-11-20" / "run-1")
    assert "was taken out" not in record.html.read_text()


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, runner.Killed])
@pytest.mark.parametrize("where", ["message", "cause", "context", "note", "group"])
def test_an_error_that_leaves_a_run_shows_no_secret_of_what_it_comes_from(kind, where, tmp_path, outputs, monkeypatch):
    known.register(LEAK)

    def fails(*_, **__):
        error = kind("the end" if where != "message" else f"is {LEAK}")
        if where == "note":
            error.add_note(f"with {LEAK}")
        if where == "group":
            error.__cause__ = ExceptionGroup("both", [ValueError(LEAK)])
        if where == "cause":
            raise error from ValueError(LEAK)
        if where == "context":
            try:
                raise ValueError(LEAK)
            except ValueError:
                raise error  # noqa: B904 (the context is what is tried)
        raise error

    monkeypatch.setattr(runner, "_execute", fails)
    monkeypatch.setattr(runner, "_prepare_the_end", lambda: None)
    with pytest.raises(BaseException) as caught:  # noqa: B017, PT011 (of several kinds)
        runner.run(a_notebook(tmp_path / "step.ipynb", "1"), {"place": "x"}, outputs / "etl" / "2026-11-20" / "run-1")
    assert isinstance(caught.value, kind if kind is not RuntimeError else runner.NotebookFailed)
    assert LEAK not in "".join(traceback.format_exception(caught.value))


def test_a_log_entry_with_an_error_shows_no_secret(caplog):
    known.register(LEAK)
    log = logging.getLogger("tests.without_secrets")
    log.addFilter(WithoutSecrets())
    try:
        raise ValueError(f"is {LEAK}")
    except ValueError:
        log.exception("for %s", LEAK)
    assert "for [redacted]" in caplog.text and "ValueError: is [redacted]" in caplog.text and LEAK not in caplog.text
    assert "test_a_log_entry" in caplog.text, "where it comes from is still said"
