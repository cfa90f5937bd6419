"""What people read is in their language: every text has both, and a Russian one holds no English."""

import ast
import json
import re

import nbformat
import pytest
from selenium.webdriver.support.select import Select

from pulsebook import runner
from pulsebook.archive import labels
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.periods import run_day
from pulsebook.base.russian import RUSSIAN
from pulsebook.base.settings import ROOT, settings
from pulsebook.base.words import number, say
from pulsebook.catalogue import DIMENSIONS, EXPLAINED, METRICS, SOURCES
from pulsebook.catalogue.dimensions import SHARED
from pulsebook.chat import page as chat_page
from pulsebook.warehouse.events import Events
from tests.browser import wait
from tests.test_archive import a_notebook
from tests.test_review import DRAWN, browser, needs_browser, picture  # noqa: F401 (a fixture)

WEB = ROOT / "pulsebook" / "archive" / "web"
SAME = {"DAU", "WAU", "MAU", "CTR", "Pulsebook", "messages.jsonl", "collect"}  # written alike in both languages
IDENTIFIER = re.compile(r"\w+_\w+")
TAGS = re.compile(r"\{%.*?%\}|\{#.*?#\}|</?[a-z]+>|\{\w*\}", re.S)
CODE = re.compile(r"\{\{(.*?)\}\}", re.S)
WORD = re.compile(r"[A-Za-z][A-Za-z.]*[A-Za-z]")


def english(text: str) -> set[str]:
    """Words of a Russian text, or of a template's own texts, that are not Russian."""
    shown = TAGS.sub(" ", CODE.sub(lambda code: " ".join(re.findall(r"'([^']*[а-яё][^']*)'", code[1])), text))
    return {*WORD.findall(IDENTIFIER.sub(" ", shown))} - SAME


def sources() -> dict[str, str]:
    """The code of the package and of each notebook, by name."""
    code = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "pulsebook").rglob("*.py")}
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        code[path.stem] = "\n".join(re.sub(r"(?m)^%.*$", "", cell) for cell in cells)
    return code


def pairs(code: str) -> list[dict]:
    """By language the expressions of each dict of texts; one that is added later (`MESSAGE["ru"] = …`) belongs to it."""
    tree = ast.parse(code)
    assigned = [(node.targets[0], node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    dicts = {to.id: value for to, value in assigned if isinstance(to, ast.Name) and isinstance(value, ast.Dict)}
    for to, value in assigned:
        if isinstance(to, ast.Subscript) and isinstance(to.value, ast.Name) and to.value.id in dicts:
            dicts[to.value.id].keys.append(to.slice)
            dicts[to.value.id].values.append(value)
    by_key = [
        {key.value: value for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)}
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
    ]
    return [found for found in by_key if {"en", "ru"} & found.keys()]


def texts(expression) -> list[str]:
    """The texts of an expression, without the names of its parts."""
    nodes = list(ast.walk(expression))
    keys = {id(key) for node in nodes if isinstance(node, ast.Dict) for key in node.keys}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in keys]
    return [node.value for node in constants if isinstance(node.value, str)]


def names(expression) -> list[str]:
    """The names of the parts of a dict."""
    if isinstance(expression, ast.Dict):
        return sorted(key.value for key in expression.keys)
    return sorted(keyword.arg for keyword in getattr(expression, "keywords", []))


SOURCES_OF_TEXT = {name: found for name, code in sources().items() if (found := pairs(code))}


def test_texts_are_found_where_people_read():
    assert {"app_report", "feed_report", "check", "pulsebook/present/charts.py", "pulsebook/chat/page.py",
            "pulsebook/airflow/callbacks.py", "pulsebook/present/numbers.py"} <= SOURCES_OF_TEXT.keys()  # fmt: skip


@pytest.mark.parametrize("name", SOURCES_OF_TEXT)
def test_each_text_has_both_languages_and_the_russian_one_is_russian(name):
    for found in SOURCES_OF_TEXT[name]:
        assert found.keys() >= {"en", "ru"}, f"a text of {name} has but {[*found]}"
        assert names(found["en"]) == names(found["ru"])
        assert not (left := {word for text in texts(found["ru"]) for word in english(text)}), (name, left)
        assert not [text for text in texts(found["en"]) if re.search("[а-яё]", text, re.I)]


def test_the_catalogue_names_things_in_both_languages():
    for entry in (*METRICS.values(), *DIMENSIONS, *EXPLAINED, *SOURCES.values()):
        assert entry.label("en") and entry.label("ru"), entry.name
        assert not english(entry.label("ru")), entry.label("ru")
        assert entry.label("ru")[0].isupper() and entry.label("en")[0].isupper(), "a label begins a line"
        for value, russian in getattr(entry, "values", {}).items():
            assert not english(russian) and english(value), (value, russian)
    assert not {word for text in SHARED.values() for word in english(text)}


def test_what_is_not_russian_is_noticed():
    assert english("{{ 'os' | label }}: <b>lost {{ n | number }}</b> ушли, CTR {}") == {"lost"}


# -- what pages and runs say


def said() -> set[str]:
    """The texts that are handed to `say`, in Python, in the index's page and script, and in the style sheet."""
    found = set()
    for name, code in sources().items():
        if name.startswith("pulsebook/"):
            for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
                if (getattr(call.func, "id", "") or getattr(call.func, "attr", "")) == "say" and call.args:
                    found |= literals(call.args[0])
    script, page, style = ((WEB / name).read_text() for name in ("index.js", "index.html", "page.css"))
    for call in re.findall(r"(?:say|many)\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)", script):
        found |= {*re.findall(r'"([^"]+)"', call)}
    return found | {*re.findall(r"\{\{(.+?)\}\}", page)} | {*re.findall(r'content: "(.+?)"', style)}


def literals(expression) -> set[str]:
    if isinstance(expression, ast.IfExp):
        return literals(expression.body) | literals(expression.orelse)
    return {expression.value} if isinstance(expression, ast.Constant) else set()


def test_each_text_of_a_page_has_its_russian_and_each_russian_one_is_of_a_text():
    assert len(texts := said()) > 150
    assert not texts - RUSSIAN.keys(), "texts that have no Russian in pulsebook/base/russian.py"
    files = [path for path in (ROOT / "pulsebook").rglob("*.*") if path.suffix in (".py", ".js", ".html", ".css")]
    files += (ROOT / "notebooks").rglob("*.ipynb")
    everything = "".join(path.read_text() for path in files if not path.name.startswith("russian"))
    assert not [text for text in RUSSIAN if text not in everything]


@pytest.mark.parametrize("text", RUSSIAN)
def test_the_russian_of_a_text_is_russian_and_takes_the_same_values(text):
    names = {"DAG", "SVG", "SIGSTOP", "base", "redacted", "pulsebook", "archive", "index", "verify"}  # and commands
    assert english(RUSSIAN[text]) <= names, "no English is left"
    assert RUSSIAN[text].count("{}") == text.count("{}")


def test_what_has_no_russian_stays_as_it_is_and_numbers_are_as_the_language_writes_them(configured, monkeypatch):
    assert say("in {} s", number("1,234.5")) == "in 1,234.5 s"
    assert labels.called("views", "os=iOS") == "views · os=iOS"
    configured(language="ru")
    assert (say("succeeded"), say("asleep")) == ("успешно", "asleep"), "a status of a later version"
    assert say("in {} s", number("1,234.5")) == "за 1\xa0234,5 с"
    assert labels.called("views", "gender=male", "2026-11-21") == "Просмотры · Пол: мужчины · 2026-11-21"
    assert labels.called("ctr expected") == "CTR, ожидалось" and labels.called("rows read") == "прочитано строк"
    assert labels.called("os_unknown") == "ОС: неизвестно" and labels.called("values of os") == "ОС: значений"
    monkeypatch.setattr("pulsebook.present.names.METRICS", None)  # as where an edit has broken it
    assert labels.called("views", "os=iOS") == "views · os=iOS"


def test_a_check_refuses_in_russian_and_each_refusal_of_a_notebook_has_its_russian(configured):
    (refusal, *others) = {text for code in sources().values() for text in re.findall(r'(?m)^refusal = "(.*)"$', code)}
    assert {refusal, *others} <= RUSSIAN.keys()
    configured(language="ru")
    feed = Events(SOURCES["feed"], "simulator.feed_actions", "", frozenset())
    day = run_day("2026-11-20")
    with pytest.raises(
        ValueError, match=rf"^в simulator.feed_actions нет строк за 2026-11-20\. {RUSSIAN[refusal][:20]}"
    ):
        feed.require_finished(day, {"rows": 0, "last_event": float("nan")}, 0, refusal)
    seen = {"rows": 5, "last_event": day.end.timestamp() - 7.5 * 3600}
    with pytest.raises(ValueError, match="событие за 7,5 ч до полуночи, ожидалось не больше 3,2"):
        feed.require_finished(day, seen, 3.2, refusal)


# -- in a browser

STEP = """\
from IPython.display import display
from pulsebook.present.messages import preview
from pulsebook.present.summary import summary
views = {"2026-11-20": 1200, "2026-11-21": 1500}.get(run_date, 7)
if run_date == "2026-11-22":
    raise ValueError("нет данных")
preview(f"<b>Лента</b>\\nПросмотры: {views}")"""
LIVE = "display({'application/vnd.plotly.v1+json': {}}, raw=True)"
TOLD = "summary(run_date, {'views': views, 'ctr': views / 1e5, 'rows read': 1}, {'incidents': 1})"
DAYS = ("2026-11-20", "2026-11-21", "2026-11-22")
# Read as they are: the section that the page looks for, steps, exceptions, places, commands
NAMES = {"Summary", "DAG", "step", "etl", "try", "scheduled", "run", "date", "ValueError", "plotly", "Europe", "Moscow",
         "Pulsebook", "pulsebook", "archive", "diff", "index", "CTR", "none", "iframe"}  # fmt: skip
SHOWN = """
const seen = [], code = "script, style, .input, .output_error, .diff";
for (const element of document.querySelectorAll("html, html *")) {
  if (element.matches(".input")) seen.push(getComputedStyle(element, "::before").content);
  if (element.closest(code)) continue;
  for (const name of ["title", "aria-label", "alt", "placeholder"]) seen.push(element.getAttribute(name) ?? "");
  for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) seen.push(node.data);
}
return seen.join(" ");
"""


@pytest.fixture(scope="module")
def russian(tmp_path_factory):
    """The archive of a Russian team: three days of a step, the last of which failed, and a chat. Its folder."""
    outputs = tmp_path_factory.mktemp("russian") / "outputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSEBOOK_OUTPUTS", str(outputs))
        patch.setenv("PULSEBOOK_LANGUAGE", "ru")
        settings.cache_clear()
        cells = ("## Загрузка", STEP, DRAWN.replace("PICTURE", repr(picture("red"))), LIVE, "## Summary", TOLD)
        made = a_notebook(outputs.parent / "step.ipynb", *cells, parameters='run_date: str = ""  # день')
        made.write_text(made.read_text().replace("# Step", "# Шаг").replace("Reads nothing.", "Ничего не читает."))
        for day in DAYS:
            try:
                runner.run(made, {"run_date": day}, folder_of(outputs, "etl", day, f"scheduled__{day}"))
            except runner.NotebookFailed:
                assert day == DAYS[-1]
        chat_page.add("team etl/1 text 1", chat="team", text="<b>Лента</b>\nПросмотры: 5", photos=[b"1"])
        chat_page.edit("team etl/1 text 1", chat="team", text="<b>Лента</b>\nПросмотры: 6", revision=2)
        chat_page.add("operations 2 text 1", chat="operations", text="Сбой", photos=[], note="may not have arrived")
    settings.cache_clear()
    return outputs


@pytest.fixture
def left(russian, browser):  # noqa: F811
    """Tells which English words the page at hand shows, without those that its records hold: host, versions, files."""
    known = [json.loads(path.read_text()) for path in russian.glob("etl/*/*/*.json")]
    held = [str([one["host"], one["git_commit"][:12], one["notebook"], one["versions"]]) for one in known]
    names = NAMES | {*re.findall(r"[A-Za-z]+", " ".join(held))}

    def words() -> set[str]:
        shown = browser.execute_script(SHOWN)
        assert browser.execute_script("return document.documentElement.lang") == "ru" and re.search("[а-я]{5}", shown)
        return {*re.findall(r"[A-Za-z]{2,}", shown)} - names

    return words


@needs_browser
@pytest.mark.slow
def test_pages_show_a_russian_team_no_english(russian, browser, left):  # noqa: F811
    files = [*russian.glob("etl/*/*/*.html"), russian / "chat" / "index.html"]
    assert len(files) == 6
    for file in files:
        browser.get(file.as_uri())
        assert not left(), file
    browser.get(next(file for file in files if file.name.endswith("-try1.diff.html")).as_uri())
    assert "Просмотры" in browser.find_element("tag name", "body").text


@needs_browser
@pytest.mark.slow
def test_the_index_shows_a_russian_team_no_english_and_finds_by_russian_words(russian, browser, left):  # noqa: F811
    last = Record.load(next(russian.glob("etl/2026-11-22/*/step-try1.json")))
    own = last.path.relative_to(russian).with_suffix("")
    for address in ("", "#status=skipped", "#day=2026-11-22", f"#day=2026-11-22&run={own}&go=next",
                    "#day=2026-11-21&run=etl/none/run/step-try1&go=next"):  # fmt: skip
        browser.get("about:blank")
        browser.get(f"{(russian / 'index.html').as_uri()}{address}")
        browser.find_element("css selector", "body[data-drawn]")
        assert not left(), address
    browser.get("about:blank")
    browser.get((russian / "index.html").as_uri())
    browser.find_element("css selector", "body[data-drawn]")
    assert "запусков: 3 · дней: 3, неуспешных: 1, инцидентов: 2; время: Europe/Moscow" in (
        browser.find_element("id", "state").text
    )
    for line in browser.find_elements("css selector", "#runs .run .time")[:2]:
        line.click()
        browser.find_elements("css selector", ".detail button")[0].click()
    assert not left() and not browser.get_log("browser")

    def shows(count: int) -> None:
        wait(browser, lambda b: len(b.find_elements("css selector", "#runs .run")) == count)

    for text, count in {"ошибка": 1, "успешно": 2, "просмотры": 2}.items():
        browser.find_element("id", "text").clear()
        browser.find_element("id", "text").send_keys(text)
        shows(count)
    browser.find_element("css selector", "button[type=reset]").click()
    shows(3)
    Select(browser.find_element("id", "status")).select_by_visible_text("ошибка")
    shows(1)
