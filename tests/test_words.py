"""What people read is in their language: every text has both, and a Russian one holds no English."""

import ast
import re

import nbformat
import pytest

from pulsebook.base.settings import ROOT
from pulsebook.catalogue import DIMENSIONS, EXPLAINED, METRICS, SOURCES
from pulsebook.catalogue.dimensions import SHARED

SAME = {"DAU", "WAU", "MAU", "CTR", "Pulsebook", "messages.jsonl"}  # written alike in both languages
TAGS = re.compile(r"\{%.*?%\}|\{#.*?#\}|</?[a-z]+>|\{\w*\}", re.S)
CODE = re.compile(r"\{\{(.*?)\}\}", re.S)
WORD = re.compile(r"[A-Za-z][A-Za-z.]*[A-Za-z]")


def english(text: str) -> set[str]:
    """Words of a Russian text, or of a template's own texts, that are not Russian."""
    shown = TAGS.sub(" ", CODE.sub(lambda code: " ".join(re.findall(r"'([^']*[а-яё][^']*)'", code[1])), text))
    return {*WORD.findall(shown)} - SAME


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
