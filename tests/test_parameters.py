"""Parameters cells as people write them, and what is taken for a parameter."""

import ast
import json
from datetime import date
from enum import IntEnum, StrEnum
from types import MappingProxyType

import papermill
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulsebook import runner
from pulsebook.archive.record import Record
from pulsebook.parameters import ParameterError, accepted, from_templates, plain
from pulsebook.parameters.cell import read_cell
from tests.test_archive import a_notebook

WRITTEN = '''\
%load_ext autoreload
import os
from datetime import date
from typing import Literal, Optional
colour = "#ff0000"  # of the line; a=b == c
limit = None  # at most; None: all
share: float | None = None
top: Optional[int] = None  # rows
days: list[int] = [
    1,  # one = first
    7,
]
names = {
    "a=b": "#",  # "quoted"
}
day = date.today()
who = os.environ.get("USER", "")
title = f"{who} = {day}"
sql = """
SELECT 1 -- a = b # c
"""
first, second = 1, "x"
left = right = True
window: "int" = 24 * 7
rate = 1 / 3
back = -5
seed = None  # type: Optional[int] of the generator
kind: Literal["feed", "chat"] = "feed"
needed: str
if os.environ.get("QUICK"):
    sample = 0.1
else:
    sample = None
flag = not left
'''


@pytest.fixture
def written(tmp_path):
    return a_notebook(tmp_path / "step.ipynb", parameters=WRITTEN)


def test_a_cell_as_people_write_it_is_read(written):
    found = read_cell(WRITTEN)
    assert {name: (p.type.text, p.default) for name, p in found.items()} == {
        "colour": ("str", "'#ff0000'"), "limit": ("", "None"), "share": ("float | None", "None"),
        "top": ("Optional[int]", "None"), "days": ("list[int]", "[1, 7]"), "names": ("dict", "{'a=b': '#'}"),
        "day": ("", "date.today()"), "who": ("", "os.environ.get('USER', '')"), "title": ("str", "f'{who} = {day}'"),
        "sql": ("str", repr("\nSELECT 1 -- a = b # c\n")), "first": ("int", "1"), "second": ("str", "'x'"),
        "left": ("bool", "True"), "right": ("bool", "True"), "window": ("int", "24 * 7"), "rate": ("float", "1 / 3"),
        "back": ("int", "-5"), "seed": ("Optional[int]", "None"), "kind": ("Literal['feed', 'chat']", "'feed'"),
        "needed": ("str", None), "sample": ("", "None"), "flag": ("bool", "not left"),
    }  # fmt: skip
    meanings = {name: p.help for name, p in found.items() if p.help}
    assert meanings == {
        "colour": "of the line; a=b == c", "limit": "at most; None: all", "top": "rows", "seed": "of the generator"
    }  # fmt: skip
    known = papermill.inspect_notebook(str(written))
    assert list(known) == list(found) and known["days"]["inferred_type_name"] == "list[int]"


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    SMALL = 3


TAKEN = [
    ("colour", "#000000", "#000000"), ("colour", "2026", "2026"), ("colour", Colour.RED, "red"), ("limit", 3, 3),
    ("limit", "three", "three"), ("limit", None, None), ("share", 0.5, 0.5), ("share", 1, 1), ("share", None, None),
    ("top", 3, 3), ("top", Size.SMALL, 3), ("top", None, None), ("days", [3], [3]), ("days", (3, 4), [3, 4]), ("days", [], []),
    ("names", {}, {}), ("names", MappingProxyType({"x": (1, None)}), {"x": [1, None]}), ("day", "2026-11-22", "2026-11-22"),
    ("who", "x", "x"), ("title", "t", "t"), ("second", "", ""), ("left", False, False), ("window", 2, 2), ("rate", 1, 1),
    ("rate", 0.1, 0.1), ("back", 1, 1), ("seed", 1, 1), ("seed", None, None), ("kind", "chat", "chat"), ("needed", "y", "y"),
    ("sample", 0.5, 0.5), ("sample", None, None), ("flag", True, True),
]  # fmt: skip
REFUSED = [
    ("colour", 2026, r"parameter colour of step.ipynb must be str, got int: 2026"), ("colour", None, "must be str, got NoneType"),
    ("colour", b"x", "must be str, got bytes"), ("colour", "\ud800", "half of a surrogate pair"),
    ("share", "0.5", r"must be float \| None, got str: '0.5'"), ("share", True, "got bool"), ("share", [1.0], "got list"),
    ("top", 3.0, r"must be Optional\[int\], got float"), ("top", True, "got bool"), ("top", "3", "got str"),
    ("days", 3, r"must be list\[int\], got int"), ("days", ["3"], "got list"), ("days", [True], "got list"),
    ("days", [3, None], "got list"), ("days", "[3]", "got str"), ("days", {"a": 1}, "got dict"), ("names", [], "must be dict"),
    ("names", {1: 2}, "keys must be text, found int"), ("day", date(2026, 11, 22), "must be text, a number, .* got date: "),
    ("limit", [object()], "it holds a value of type object"), ("left", 1, "must be bool, got int"), ("left", "True", "got str"),
    ("window", 2.5, "must be int, got float"), ("kind", "mail", r"must be Literal\['feed', 'chat'\], got str: 'mail'"),
    ("needed", 5, "must be str"), ("run_date", "x", "step.ipynb has no parameter run_date; it has colour, limit, share"),
    ("os", "x", "has no parameter os"), ("flag", 0, "must be bool"), ("rate", "1", "must be float"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "injected"), TAKEN)
def test_what_fits_the_declaration_is_taken(name, value, injected, written):
    (taken,) = accepted(written, {name: value}).values()
    assert taken == injected and json.loads(json.dumps(taken)) == taken and type(taken) is type(injected)


@pytest.mark.parametrize(("name", "value", "says"), REFUSED)
def test_what_does_not_fit_is_refused_in_words(name, value, says, written):
    with pytest.raises(ParameterError, match=says):
        accepted(written, {name: value})


@pytest.mark.parametrize("start", ["%%time", "%%capture --no-stdout", "\n\n%%time", "  x = 0"])
def test_a_cell_with_a_magic_over_it_is_read(start):
    indent = "  " if start.startswith("  ") else ""
    found = read_cell(f"{start}\n{indent}limit: int = 3  # rows\n{indent}files = !ls\n{indent}%env A=1\n")
    assert found["limit"].type.text == "int" and found["limit"].help == "rows" and {"limit", "files"} <= set(found)


@pytest.mark.parametrize(
    "source", ["x = = 5", "x = '", "x = [", "if x:", "x = 1\n  y = 2", "x = \x00", "x = '\ud800'", "x" + ")" * 300]
)
def test_what_is_no_python_is_reported_as_that(source):
    with pytest.raises(SyntaxError):
        read_cell(source)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text("xyz=:#%!?'\"()[]{},.\n\t \\0_1-+|", max_size=30))
def test_any_text_is_read_or_is_no_python(source):
    try:
        assert all(name.isidentifier() for name in read_cell(source))
    except SyntaxError:
        return


class Unshowable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("value", [10**5000, -(10**5000), Unshowable(), [Unshowable()], {"a": 10**5000}], ids=type)
def test_what_cannot_be_written_down_is_refused_with_a_record(value, written, tmp_path):
    with pytest.raises(runner.ParameterError, match="must be"):
        runner.run(written, {"limit": value}, tmp_path / "run")
    assert Record.load(tmp_path / "run" / "step-try1.json").status == "failed"


def test_values_in_each_other_without_end_are_refused(written):
    endless = []
    endless.append(endless)
    with pytest.raises(ParameterError, match="levels deep"):
        accepted(written, {"limit": endless})


SCALARS = {
    "str": st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["2026", "None", "[1]", "True", "1e5", "#x=1"]),
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "bool": st.booleans(),
    "None": st.none(),
}  # fmt: skip


@st.composite
def typed(draw, depth: int = 2):
    """An annotation, and a value that it allows."""
    form = draw(st.sampled_from([*SCALARS, "optional", "union", "list", "dict"] if depth else [*SCALARS]))
    if form in SCALARS:
        return form, draw(SCALARS[form])
    one, value = draw(typed(depth - 1))
    if form == "optional":
        written = draw(st.sampled_from(["Optional[{}]", "{} | None", "typing.Union[None, {}]", "'Optional[{}]'"]))
        return written.format(one.replace("'", "")), draw(st.sampled_from([value, None]))
    if form == "union":
        other, another = draw(typed(depth - 1))
        return f"Union[{one}, {other}]", draw(st.sampled_from([value, another]))
    if form == "list":
        written = draw(st.sampled_from(["list[{}]", "List[{}]", "Sequence[{}]", "tuple[{}, ...]"]))
        return written.format(one), [value] * draw(st.integers(0, 2))
    return f"dict[str, {one}]", {"a": value} if draw(st.booleans()) else {}


@settings(deadline=None, derandomize=True, max_examples=300)
@given(typed())
@example(("Optional[str]", "None"))
@example(("int", 10**30))
def test_what_an_annotation_allows_is_taken_and_its_text_is_read_back(pair):
    annotation, value = pair
    kind = read_cell(f"x: {annotation} = 1  # a = b")["x"].type
    assert kind.fits(plain(value)), "as it is"
    if isinstance(value, str):
        assert kind.of_template(value) == value, "a text stays text, whatever it looks like"
    elif not kind.fits(repr(value)):
        for text in (repr(value), f" {value!r} ", json.dumps(value)):
            assert kind.of_template(text) == value and type(kind.of_template(text)) is type(value)
    else:
        assert kind.of_template(repr(value)) == repr(value)


DEFAULTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(['"""', "#", "a=b", "\n# x = 1\n", "'"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=200)
@given(DEFAULTS, st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=20))
def test_any_literal_is_a_default_whatever_the_comment_says(value, comment):
    found = read_cell(f"before = 1\nx = {value!r}  # {comment}\nafter = 2")
    assert list(found) == ["before", "x", "after"] and ast.literal_eval(found["x"].default) == value
    if not comment.strip(" #").startswith("type:"):
        assert found["x"].type.fits(plain(value)), "a notebook can be given its own default"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("colour", "2026", "2026"), ("colour", "20261122", "20261122"), ("colour", "None", "None"), ("top", "3", 3),
     ("top", " 3\n", 3), ("top", "None", None), ("top", "null", None), ("top", "3.0", "3.0"), ("top", "", ""),
     ("top", "007", "007"), ("share", "0.5", 0.5), ("share", "2", 2), ("left", "True", True), ("left", "false", False),
     ("left", "1", "1"), ("left", "yes", "yes"), ("days", "[3, 4]", [3, 4]), ("days", "(3, 4)", "(3, 4)"), ("days", ["3", 4], [3, 4]), ("days", ["x"], ["x"]), ("days", ["3", "x"], ["3", "x"]),
     ("names", '{"a": true}', {"a": True}), ("limit", "3", "3"), ("day", "2026", "2026"), ("nobody", "3", "3"),
     ("kind", "chat", "chat"), ("colour", 2026, 2026)],
)  # fmt: skip
def test_a_text_from_a_template_becomes_what_is_declared_if_that_is_beyond_doubt(name, text, value, written):
    assert from_templates(written, {name: text}) == {name: value}
    assert from_templates(written.with_name("nowhere.ipynb"), {name: text}) == {name: text}


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"top": "3"}, "must be Optional"), ({"nobody": 1}, "no parameter nobody"), (["a"], "must be a dict .* got list"),
     ({"limit": date(2026, 11, 22)}, "got date"), ({5: 1}, "no parameter 5"), ({"colour": "\ud800"}, "surrogate")],
)  # fmt: skip
def test_a_refusal_leaves_a_record_and_starts_no_kernel(parameters, says, written, tmp_path, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("it was executed"))
    with pytest.raises(runner.ParameterError, match=says):
        runner.run(written, parameters, tmp_path / "run")
    (path,) = (tmp_path / "run").iterdir()
    record = Record.load(path)
    assert record.status == "failed" and record.error.startswith("ParameterError: ") and record.ended


def test_a_notebook_that_is_missing_or_damaged_is_reported_with_a_record(tmp_path):
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    a_notebook(tmp_path / "odd.ipynb", parameters="x = = 5")
    for name, says in (
        ("gone", "there is no notebook"),
        ("torn", "is no notebook that can be read"),
        ("odd", "is no Python: line 1"),
    ):
        with pytest.raises(runner.ParameterError, match=says):
            runner.run(tmp_path / f"{name}.ipynb", {"x": 1}, tmp_path / "run")
        assert says in Record.load(tmp_path / "run" / f"{name}-try1.json").error


@pytest.mark.parametrize(
    "text", ["", "[]", "5", '{"cells": [', '{"nbformat": 9, "nbformat_minor": 0, "cells": []}', "[" * 100_000]
)
def test_a_notebook_that_cannot_be_read_is_reported_also_without_parameters(text, tmp_path):
    for name, says in (("gone", "there is no notebook"), ("odd", "is no notebook that can be read")):
        (tmp_path / "odd.ipynb").write_text(text)
        with pytest.raises(runner.ParameterError, match=says):
            runner.run(tmp_path / f"{name}.ipynb", {}, tmp_path / "run")
        assert says in Record.load(tmp_path / "run" / f"{name}-try1.json").error


def test_a_refused_password_is_not_shown(tmp_path):
    notebook = a_notebook(tmp_path / "step.ipynb", parameters="db_password: int = 0")
    with pytest.raises(runner.ParameterError, match="must be int, got str$"):
        runner.run(notebook, {"db_password": "sample-pass-4"}, tmp_path / "run")


@pytest.mark.slow
def test_notebooks_run_on_such_cells_with_and_without_values_also_below_braces(tmp_path):
    folder = tmp_path / "{run_date}" / "a {} b"
    folder.mkdir(parents=True)
    cell = WRITTEN + "needed = ''\nsample = 1.0\n"
    notebook = a_notebook(folder / "{step}.ipynb", "print([colour, limit, share, days, day, who])", parameters=cell)
    given = {"colour": "#000000", "limit": 3, "share": 0.5, "days": [3], "day": "2026-11-22", "who": "x"}
    for parameters, says in ((given, str(list(given.values()))), ({}, "'#ff0000', None, None, [1, 7]")):
        record = runner.run(notebook, parameters, folder / "{outputs}")
        assert record.status == "succeeded" and says in record.executed.read_text().replace('\\"', '"')
        assert record.executed.parent == folder / "{outputs}" and record.html.exists()
