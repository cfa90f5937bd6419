"""Facts: what is stated is what is read, and what two runs of a notebook state is compared by name."""

import json
import math
from dataclasses import asdict
from decimal import Decimal

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from IPython.lib.pretty import pretty

from pulsebook import runner
from pulsebook.archive import diff, diff_page, diff_text, stated
from pulsebook.archive.record import Record, folder_of
from pulsebook.base import facts
from pulsebook.base.facts import Fact, Statement
from pulsebook.base.redact import redact_facts, redact_notebook, redact_values
from pulsebook.catalogue import METRICS
from pulsebook.execution.trim import fit, output_of
from pulsebook.present.messages import preview
from pulsebook.present.summary import summary
from tests.test_archive import a_notebook
from tests.test_archive_commands import a_run
from tests.test_review import frame, stream, summary_of

MANY = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck))
numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**64, 10**400, -(10**400), float("nan"), float("inf")])
)
texts = st.text(st.characters(exclude_categories=()), max_size=300)


def shown(*statements: Statement, code="1"):
    """The notebook that an execution leaves whose summary shows these: through IPython, our limits, redaction and a file."""
    outputs = []
    for statement in statements:
        data, _ = DisplayFormatter().format(statement)
        output = output_of("display_data", {"data": json.loads(json.dumps(data))})
        fit(output, 500_000, 1_000_000)
        outputs.append(output)
    made = summary_of(*outputs)
    made.cells[1].source = code
    return nbformat.reads(redact_notebook(json.dumps(made)), 4)


def stating(facts: dict, period="2026-11-22", said="") -> Statement:
    """What `summary` shows of these."""
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", shown.append)
        summary(period, facts, said=said)
    return shown[0]


def compared(tmp_path, before, after) -> diff.Comparison:
    records = []
    for day, notebook in (("2026-11-21", before), ("2026-11-22", after)):
        record = Record.open(folder_of(tmp_path, "etl", day, "run"), "step", 1, notebook="n", parameters={})
        record.executed.write_text(nbformat.writes(notebook))
        records.append(record)
    return diff.compare(*records)


def told(found: diff.Comparison) -> list[tuple]:
    return [(c.label, c.before, c.after, c.moved) for c in found.numbers if not c.same]


# -- what is stated is read


@MANY
@given(st.lists(st.tuples(texts, texts, numbers, texts), max_size=8))
@example([("a" * 300, "b\ud800", 1, "%"), ("a" * 301, "b\udfff", -0.0, ""), (" x", "\n", 2, ""), ("x", "", 3, "")])
def test_what_is_stated_is_what_is_read(given_facts):
    unique = {(metric, part): (value, unit) for metric, part, value, unit in given_facts}
    made = [Fact.of("2026-11-22", metric, part, *more) for (metric, part), more in unique.items()]
    found = stated.facts_of(shown(Statement("text", facts=made)))
    assert found == made and len({(fact.metric, fact.slice) for fact in found}) == len(unique)
    for fact, (value, _) in zip(found, unique.values(), strict=True):
        known = isinstance(value, int) and abs(value) < 10**300 or isinstance(value, float) and math.isfinite(value)
        assert fact.value == (value if known and abs(value) <= 2**64 else float(value) if known else None)


SECRETS = ["hunter22", "password=hunter22", "p@ss/wörd\"x\\y", "a p@ss/wörd\"x\\y b", "Authorization: Bearer abc.DEF-123_456",
           "12345678901", "http://me:0ther!@host/", "token", "api_key", "iOS", "os=iOS", ""]  # fmt: skip


@MANY
@given(
    st.lists(
        st.tuples(st.sampled_from(SECRETS), st.sampled_from(SECRETS), st.sampled_from([12345678901, 7, 0.5, None]))
    )
)
def test_facts_are_as_free_of_secrets_as_anything_else(given_facts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulsebook.base.redact.known._registered", {'p@ss/wörd"x\\y', "12345678901"})
        made = [asdict(Fact.of("2026-11-22", *one)) for one in given_facts]
        assert redact_facts(made) == redact_values(made)
        notebook = shown(Statement("text", facts=[Fact(**one) for one in made], headline="password=hunter22"))
    said = json.dumps(notebook, ensure_ascii=False)
    assert "p@ss/wörd" not in said and "=hunter22" not in said and "12345678901" not in said and "0ther" not in said


@pytest.mark.parametrize(
    ("given_value", "value"),
    [(np.uint64(2**64 - 1), 2**64 - 1), (np.float32(0.5), 0.5), (np.True_, 1), (False, 0), (Decimal("1.25"), 1.25),
     (None, None), (pd.NA, None), (pd.NaT, None), (np.nan, None), (-np.inf, None), (10**400, None)],
)  # fmt: skip
def test_anything_that_pandas_calls_a_number_is_one(given_value, value):
    assert Fact.of("22", "rows", "", given_value).value == value


@pytest.mark.parametrize("value", ["7", pd.Timestamp("2026-11-22"), [1], np.array([1, 2])])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="a fact is a number; rows is"):
        summary("2026-11-22", {"rows": value})


@MANY
@given(st.recursive(st.none() | st.integers() | st.floats() | texts,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["facts", "metric", "slice", "value", "unit", "period", "message", "headline"]), inner)))  # fmt: skip
def test_whatever_an_output_holds_in_the_place_of_facts_is_passed_over(data):
    output = nbformat.from_dict({"output_type": "display_data", "data": {facts.KIND: data}, "metadata": {}})
    notebook = summary_of(output)
    assert all(isinstance(fact, Fact) for fact in stated.facts_of(notebook))
    stated.headline(notebook), stated.incidents(notebook), stated.messages(notebook), stated.left_out(notebook)


def test_a_summary_shows_its_numbers_in_the_words_of_the_catalogue(capsys):
    summary("2026-11-22", {"views": 1234, "ctr": 0.2134, "rows read": 1500, "a week": 2.5, "likes": np.nan})
    summary("2026-11-22", pd.Series({"views": 7}), {"more": 1}, said="all is well")
    line = "2026-11-22: Views 1,234, CTR 21.3\xa0%, rows read 1,500, a week 2.5, Likes –"
    assert capsys.readouterr().out.splitlines() == [line, "2026-11-22: all is well", "Views 7"]
    (fact,) = facts.read(stating({"ctr": 0.5}).stated)
    assert fact == Fact("2026-11-22", "ctr", "", 0.5, METRICS["ctr"].unit)


def test_a_frame_is_stated_by_the_values_of_its_index(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    table = pd.DataFrame({"views": [3, 4], "ctr": [0.5, None]}, index=pd.Index(["iOS", "Android"], name="os"))
    summary("2026-11-22", {"views": 7}, table)
    found = {(f.metric, f.slice): f.value for f in facts.read(shown[0].stated)}
    assert found == {("views", ""): 7, ("views", "os=iOS"): 3, ("ctr", "os=iOS"): 0.5, ("views", "os=Android"): 4, ("ctr", "os=Android"): None}  # fmt: skip
    with pytest.raises(ValueError, match="named as its dimension"):
        summary("2026-11-22", {}, table.rename_axis(None))
    with pytest.raises(ValueError, match="views is stated as 7 and as 8"):
        summary("2026-11-22", {"views": 7}, {"views": 7.0}, {"views": 8})


def test_too_many_numbers_are_left_out_and_said(tmp_path):
    many = shown(stating({f"count {n}": n for n in range(facts.MOST + 7)}))
    assert len(stated.facts_of(many)) == facts.MOST and stated.left_out(many) == 7
    assert "7 more numbers are not stated as facts" in many.cells[-1].outputs[0].data["text/plain"]
    assert any(
        "7 numbers are not compared" in said for said in compared(tmp_path, shown(stating({"x": 1})), many).left_out
    )
    long = shown(stating({f"{'ж' * 190} {n}": n for n in range(facts.MOST)}))
    assert 0 < len(stated.facts_of(long)) == facts.MOST - stated.left_out(long)


@pytest.mark.slow
def test_the_record_of_an_executed_notebook_holds_its_facts(outputs, tmp_path):
    code = 'from pulsebook.present.summary import summary\nsummary(run_date, {"views": 1234, "incidents": 2, "x": float("nan")})'
    notebook = a_notebook(tmp_path / "step.ipynb", "## Summary", code, parameters='run_date: str = ""  # the day')
    runner.run(notebook, {"run_date": "2026-11-22"}, folder_of(outputs, "etl", "2026-11-22", "run"))
    record = Record.load(outputs / "etl" / "2026-11-22" / "run" / "step-try1.json")
    assert record.headline == "2026-11-22: Views 1,234, incidents 2, x –" and record.incidents == 2
    assert facts.read({"facts": record.facts}) == [
        Fact("2026-11-22", "views", "", 1234, "views"), Fact("2026-11-22", "incidents", "", 2), Fact("2026-11-22", "x", "", None)
    ]  # fmt: skip
    assert "Views 1,234" in record.html.read_text()


def test_a_record_of_before_has_no_facts(outputs):
    record = a_run(outputs, "etl", "2026-11-01", 9)
    known = json.loads(record.path.read_text())
    del known["facts"]
    record.path.write_text(json.dumps(known))
    assert Record.load(record.path).facts == []


# -- what is read is compared


def test_a_reworded_summary_changes_no_comparison(tmp_path):
    before = shown(stating({"views": 1234, "rows": 5}, said="1,234 views in 5 rows of a table with 3 columns"))
    after = shown(stating({"rows": 5, "views": 1234}, said="5 rows: 999 other words"))
    found = compared(tmp_path, before, after)
    assert found.by_facts and all(change.same for change in found.numbers) and len(found.numbers) == 2
    assert "facts: 0 differ, 2 the same" in diff_text.render(found)


def test_facts_that_appear_vanish_and_move_are_told_by_importance(tmp_path):
    parts = {f"os={name}": views for name, views in (("iOS", 300), ("Android", 690), ("other", 10))}

    def of(facts_of: list[Fact]):
        return shown(Statement("", facts=facts_of))

    def views(part, value):
        return Fact("22", "views", part, value, "views")

    before = [views("", 1000), *(views(name, value) for name, value in parts.items()), Fact("22", "ctr", "", 0.2, "%"), Fact("22", "posts", "", 40)]  # fmt: skip
    after = [views("", 900), views("os=iOS", 210), views("os=Android", 688), views("os=<b>", 2), Fact("22", "ctr", "", 0.21, "%"), Fact("22", "likes", "", 5)]  # fmt: skip
    found = compared(tmp_path, of(before), of(after))
    assert told(found) == [
        ("likes", None, "5", "appeared"),
        ("posts", "40", None, "vanished"),
        ("views", "1,000", "900", "-100 (-10 %)"),
        ("views · os=iOS", "300", "210", "-90 (-30 %)"),
        ("ctr", "20 %", "21 %", "+1 pp (+5 %)"),
        ("views · os=other", "10", None, "vanished"),
        ("views · os=Android", "690", "688", "-2 (-0.29 %)"),
        ("views · os=<b>", None, "2", "appeared"),
    ]
    page, text = diff_page.render(found), diff_text.render(found)
    assert "os=&lt;b&gt;" in page and "os=<b>" not in page and page.index("likes") < page.index("os=iOS")
    assert "facts: 4 differ, 0 the same, 2 appeared, 2 vanished" in text
    assert "  views · os=other    10     –     vanished" in text


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.1 + 0.2, 0.3, None), (1, 1.0, None), (None, None, None), (None, 5, ("–", "5", "")), (5, None, ("5", "–", "")),
     (0, 3, ("0", "3", "+3")), (1.0000001, 1.0000002, ("1.0000001", "1.0000002", "+1e-07 (+1e-05 %)")),
     (-4, 4, ("-4", "4", "+8 (+200 %)")), (2**64, 2**64 - 1, ("18,446,744,073,709,551,616", "18,446,744,073,709,551,615", "-1 (-5.42e-18 %)")),
     (1234567.5, 1234568.5, ("1234567.5", "1234568.5", "+1 (+8.1e-05 %)")),
     (1e308, -1e308, ("1e+308", "-1e+308", "-inf (-inf %)"))],
)  # fmt: skip
def test_a_fact_moves_by_so_much(before, after, expected, tmp_path):
    pair = [shown(Statement("", facts=[Fact("22", "x", "", value)])) for value in (before, after)]
    assert [change[1:] for change in told(compared(tmp_path, *pair))] == ([expected] if expected else [])


def test_a_run_that_did_not_come_to_its_summary_has_lost_its_facts(tmp_path):
    failed = shown(stating({"views": 5}))
    failed.cells = failed.cells[:2]
    found = compared(tmp_path, shown(stating({"views": 5})), failed)
    assert found.by_facts and told(found) == [("views", "5", None, "vanished")]


def test_a_run_of_before_is_compared_by_the_numbers_that_both_show(tmp_path):
    old = summary_of(stream("2026-11-21: Views 1,200, rows 5, gone 7"))
    new = shown(stating({"views": 1500, "rows": 5, "more": 8}))
    for pair, which in (((old, new), "earlier"), ((new, old), "later")):
        found = compared(tmp_path / which, *pair)
        assert not found.by_facts and [c.label for c in found.numbers] == ["2026-11-21: Views"[12:], "rows"]
        assert f"The {which} run states no facts: the numbers that both summaries show are compared." in found.left_out
        assert "numbers of the summaries: 1 differ, 1 the same" in diff_text.render(found)
    table = pd.DataFrame({"views": [5, 6]}, index=["ads", "organic"])
    found = compared(tmp_path / "both", summary_of(frame(table)), summary_of(frame(table.drop("ads"))))
    assert not found.by_facts and not found.left_out and "1 appeared, 2 vanished" in diff_text.render(found)
    assert stated.headline(old) == "2026-11-21: Views 1,200, rows 5, gone 7" and stated.facts_of(old) == []


# -- messages

MESSAGE = """<b>App · {day}</b>

DAU: <b>{dau}</b>  ▲ 2.1 % · –

<b>Where</b>
os: iOS 60 % · Android 40 %
a &lt; b

<a href="{day}">executed notebook</a>"""


def sending(*messages: str):
    shown_now = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", shown_now.append)
        preview(*messages)
    made = shown(*shown_now)
    made.cells[2].source = "## Deliver"
    return made


def of_before(*messages: str):
    html = [f"<p style='white-space: pre-wrap'>{message}</p>" for message in messages]
    made = summary_of(
        *(nbformat.v4.new_output("display_data", {"text/html": text, "text/plain": "<HTML>"}) for text in html)
    )
    made.cells[2].source = "## Deliver"
    return made


@pytest.mark.parametrize("earlier", [sending, of_before])
def test_the_lines_of_a_message_that_vanish_appear_and_differ_are_told(earlier, tmp_path):
    before = earlier(MESSAGE.format(day="21 November", dau="612"))
    where = MESSAGE.index("<b>Where"), MESSAGE.index("<a href")
    after = MESSAGE.format(day="22 November", dau="1,650").replace(MESSAGE[slice(*where)], "") + "\nA new line & more"
    found = compared(tmp_path, before, sending(after))
    (message,) = found.messages
    assert message.count == "1 appeared, 3 vanished, 2 differ, 1 the same"
    text, page = diff_text.render(found), diff_page.render(found)
    assert "message 1: 1 appeared, 3 vanished, 2 differ, 1 the same" in text
    for line in (
        "< Where",
        "< os: iOS 60 % · Android 40 %",
        "< a < b",
        "> A new line & more",
        "< DAU: 612  ▲ 2.1 % · –",
    ):
        assert f"  {line}\n" in f"{text}\n"
    assert "executed notebook" not in text and "<del>Where</del>" in page and "<ins>A new line &amp; more</ins>" in page


def test_messages_of_two_runs_are_paired_by_what_they_say(tmp_path):
    one, other = "Over: Views\nlasted 45 min", "No data in feed_actions\nsince 11:00"
    found = compared(tmp_path, sending(one, other), sending(other.replace("11:00", "11:15")))
    assert [message.count for message in found.messages] == ["2 vanished", "1 differs, 1 the same"]
    assert compared(tmp_path / "no", sending(), sending()).messages == []


def test_a_line_is_the_same_line_whether_its_numbers_grew_fell_or_stayed(tmp_path):
    found = compared(tmp_path, sending("CTR 1 = 0.0 % = 0.0 %\nB"), sending("CTR 22 ▲ 99 % ▼ 45 %\nB"))
    assert [message.count for message in found.messages] == ["1 differs, 1 the same"]


def test_a_statement_reads_as_its_text():
    assert pretty(Statement("7 rows", facts=[])) == repr(Statement("7 rows")) == "7 rows"
