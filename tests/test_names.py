"""Names in the archive: distinct for distinct ids, within the archive, and read back to what they were made from."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulsebook.archive.record import folder_of
from pulsebook.base import names

OUTPUTS = Path("/archive")
NASTY = [
    "a/b", "a_b", ".etl", "etl", "_", "", ".", "..", "../..", "a=2Fb", "=", "==", "=~", "x-map3", "x", "x-map3-try1", "x-try1",
    "x-map03", "x=2Dmap3", "\x00", "\n", "{run}", "{{ ds }}", "é", "e\u0301", "\ud800", "step-try1 (copy)", "~", "-map1", "-try1",
]  # fmt: skip
IDS = st.sampled_from(NASTY) | st.text(max_size=12) | st.text("ab-=._/ maptry0123", max_size=14)
ATTEMPTS = st.tuples(IDS, IDS, IDS, IDS, st.none() | st.integers(0, 2**31), st.integers(0, 99999))


def path_of(dag_id, period, run_id, task_id, map_index, number) -> Path:
    return folder_of(OUTPUTS, dag_id, period, run_id) / names.try_name(task_id, map_index, number)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(ATTEMPTS, ATTEMPTS)
@example(("a/b", "d", "r", "t", None, 1), ("a_b", "d", "r", "t", None, 1))
@example((".etl", "d", "r", "t", None, 1), ("etl", "d", "r", "t", None, 1))
@example(("d", "d", "r", "x-map3", None, 1), ("d", "d", "r", "x", 3, 1))
@example(("d", "d", "r", "x-map3-try1", None, 2), ("d", "d", "r", "x", 3, 1))
def test_distinct_tries_have_distinct_paths_within_the_archive_that_are_read_back(one, other):
    for facts in (one, other):
        path = path_of(*facts)
        assert path.parent.parent.parent.parent == OUTPUTS and ".." not in path.parts
        assert all(not part.startswith(".") and names.is_part(part) for part in path.parts[2:])
        assert len(f".{path.name}.diff.html.12345678".encode()) <= 255
        assert tuple(map(names.identity, path.parts[2:5])) == facts[:3]
        assert names.parse_try(path.name) == facts[3:]
    assert (path_of(*one) == path_of(*other)) == (one == other)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.text(st.characters(codec="utf-8"), min_size=150, max_size=400), st.text(max_size=3))
def test_what_is_too_long_is_cut_and_still_distinct(text, more):
    one, other = names.part(text), names.part(text + more)
    assert len(one.encode()) <= 255 and names.is_part(one) and (one == other) == (not more)
    assert len(names.try_name(text, 2**31, 99999).encode()) <= 255 - len(".diff.html.12345678.")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text("abcXYZ019_:+~-é.", min_size=1, max_size=30))
def test_plain_ids_are_named_as_ever(text):
    if not text.startswith("."):
        assert names.part(text) == text == names.parts_before(text)[0] == names.identity(text)
        if not re.search(r"-map(0|[1-9][0-9]*)$", text):
            assert names.try_name(text, None, 3) == f"{text}-try3"


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(max_size=20) | st.sampled_from(["step-try1 (copy)", "step-try²", "step-try01", "-try1", "a=FF-try1"]))
def test_any_file_name_is_read_without_an_error(text):
    found = names.parse_try(text)
    assert found is None or re.fullmatch(r".+-try(0|[1-9][0-9]*)", text, re.S)
    names.identity(text)


def test_odd_file_names_are_no_tries():
    for name in ("step-try1 (copy)", "step-try²", "step-try٣", "step-try01", "-try1", "step-try", "step-try-1", "step"):
        assert names.parse_try(name) is None, name


@given(IDS, st.none() | st.integers(0, 2**31), st.integers(0, 99999))
def test_the_name_of_a_try_gives_back_its_step(task_id, map_index, number):
    assert names.step_of(names.try_name(task_id, map_index, number)) == names.step_name(task_id, map_index)


def test_the_records_of_a_run_are_found_by_their_names(tmp_path):
    record = tmp_path / f"{names.try_name('a-try1', 3, 2)}.json"
    for file in (record, record.with_suffix(".html"), tmp_path / "notes.json"):
        file.touch()
    assert list(tmp_path.glob(names.RECORDS)) == [record]


@pytest.mark.parametrize(
    ("path", "folders", "parts"),
    [
        ("etl/2026-11-22/run/load-try1", 3, ["etl", "2026-11-22", "run", "load-try1"]),
        ("2026-11-22/run/load-map0-try12", 2, ["2026-11-22", "run", "load-map0-try12"]),
        ("a b/p/r/s-try1", 3, ["a b", "p", "r", "s-try1"]), ("p/r\n/s-try1", 2, ["p", "r\n", "s-try1"]),
        ("etl/2026-11-22/run/load-try1", 2, None), ("run/load-try1", 2, None), ("", 2, None), ("//load-try1", 2, None),
        ("../run/load-try1", 2, None), ("p/.r/load-try1", 2, None), ("p/r/.load-try1", 2, None),
        ("p/r/load-try01", 2, None), ("p/r/load-try1 copy", 2, None), ("p/r/load-try1.json", 2, None), ("p/\0/s-try1", 2, None),
    ],
)  # fmt: skip
def test_the_path_of_a_try_is_split_where_it_is_one(path, folders, parts):
    assert names.split_try(path, folders) == parts


@pytest.mark.parametrize(
    ("name", "resembles"),
    [("s-try1.json", True), ("s-try1 copy.html", True), ("s-tryout.ipynb", True), ("a\nb-try1.json", True),
     (".s-try1.json", False), ("step.json", False), ("-try1.json", False)],
)  # fmt: skip
def test_copies_resemble_a_try(name, resembles):
    assert names.resembles_try(name) == resembles
