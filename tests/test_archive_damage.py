"""Damaged files of the archive: each costs itself, is named, and what can be made anew from the records is."""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from pulsebook.archive import index, index_entries, index_files, lookup, retention
from pulsebook.archive.ending import finish
from pulsebook.archive.record import Record, RecordError
from pulsebook.archive.verify import verify
from pulsebook.base import files
from pulsebook.base.settings import settings
from pulsebook.cli import main
from tests.test_archive import FORK
from tests.test_archive_commands import GONE, NOW, a_run, everything

SLOT = "2026-11-22T10:45:00+03:00"
NOTEBOOK = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
WRONG = {  # values that no record may have
    "notebook": (None, 5, []), "parameters": (None, [], "x"), "airflow": (None, []), "status": (None, 1, "", {}),
    "started": (None, 7, "", "yesterday", "2026-11-22", "2026-11-22T10:00:00", "0001-01-01T00:00:00+14:00"),
    "ended": (None, 0, "x", []), "duration": ("3", [], 10**400, True), "error": (1, {}), "headline": (False, []),
    "incidents": ("2", 1.5, 10**30, []), "host": (None, 3), "pid": (None, "7", -1, 2**31, 10**30, 1.5), "process": (5,),
    "git_commit": (None, 7), "git_dirty": ("x", 2), "versions": (None, []), "ending": (1, {"host": 1}, []),
    "sha256": (None, [], {"../x": "y"}, {"": "y"}, {"a/b": "c"}, {"x": 5}, {"..": "x"}),
}  # fmt: skip
WRONG_RUN = {
    "dag": (None, 1), "task": (7,), "day": ("x", None, "2026-13-01"), "period": (5, None), "status": (None, []),
    "started": (None, "x", 5), "try": ("1", None), "duration": ("x", []), "incidents": ("x",), "error": (5,),
    "parameters": (None, {}), "headline": ([],), "compared": ("x",),
}  # fmt: skip
PLACES = ("empty", "a folder", "a full folder", "a link to nowhere", "a link to itself", "gone")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An archive of a few runs at rest, an expired one, one that is dead and one that lives; and its files."""
    outputs = tmp_path_factory.mktemp("template") / "outputs"
    with pytest.MonkeyPatch.context() as patch:
        at(outputs, patch)
        a_run(outputs, "etl", "2026-11-01", 9)
        a_run(outputs, "etl", "2026-11-02", 8, "failed", 2)
        a_run(outputs, "alerts", SLOT, 2)
        a_run(outputs, "alerts", "2026-11-01", 5, run="a run")
        a_run(outputs, "etl", "undated", 3, incidents=0)
        a_run(outputs, "etl", "2025-09-01", 430)
        a_run(outputs, "etl", "2026-11-03", 0, "running", pid=GONE)
        a_run(outputs, "etl", "2026-11-04", 0, "running")
    settings.cache_clear()
    return outputs


def at(outputs: Path, patch) -> Path:
    patch.setenv("PULSEBOOK_OUTPUTS", str(outputs))
    settings.cache_clear()
    return outputs


def copy_of(template: Path, outputs: Path, patch) -> Path:
    """A copy of the archive in which the live try has just shown life."""
    at(shutil.copytree(template, outputs), patch)
    os.utime(outputs / "etl" / "2026-11-04" / "run" / "step-try1.json")
    return outputs


def bytes_of(outputs: Path) -> dict[str, bytes]:
    return {str(p.relative_to(outputs)): p.read_bytes() for p in outputs.rglob("*") if p.is_file()}


def at_rest(name: str) -> bool:
    """Whether a file belongs to a run that has ended, or to the index."""
    return not name.startswith(("etl/2026-11-03", "etl/2026-11-04"))


def seen(file: Path) -> dict:
    """What the index should show of a record, computed from its JSON alone."""
    facts = json.loads(file.read_text("utf-8"))
    dag, period, _, name = file.with_suffix("").parts[-4:]
    dated = period[:4].isdigit()
    return {
        "dag": dag, "task": name.removesuffix("-try1"), "try": 1, "day": period[:10] if dated else facts["started"][:10],
        "period": period, "status": facts["status"], "started": facts["started"][:19], "duration": facts["duration"],
        "headline": facts["headline"], "incidents": facts["incidents"], "error": facts["error"],
        "compared": f"{name}.diff.html" in facts["sha256"],
        "parameters": " ".join(f"{k}={v}" for k, v in facts["parameters"].items()),
    }  # fmt: skip


def put(file: Path, how: str) -> None:
    """Something else in place of a file."""
    file.unlink()
    if how == "empty":
        file.write_bytes(b"")
    elif "folder" in how:
        file.mkdir()
        if "full" in how:
            (file / "mine").write_text("mine")
    elif "link" in how:
        file.symlink_to(file.name if "itself" in how else "nowhere")


def swapped(text: str, name: str, pick) -> str:
    """A file of the archive in which one value has another type; the text of a notebook or page with bytes of another code."""
    if name.endswith("overview.js"):
        head, body, *tail = text.split("\n")
        wrong = pick(['{"days":[],"running":[]}', '{"days":{"2026-11-01":{"etl":[1,"x",0,0]}},"running":[]}', "[]", "5",
                      '{"days":{"2026-11-01":{"etl":[1]}},"running":[]}', '{"days":{},"running":["../../a/b-try1"]}',
                      '{"days":{},"running":5}', body.replace('"running"', '"runnin"'), "[" * 100_000])  # fmt: skip
        return "\n".join([head, wrong, *tail])
    if name.startswith(".index/days"):
        head, body, *tail = text.split("\n")
        runs = json.loads(body)
        run = pick(sorted(runs))
        field = pick([*sorted(WRONG_RUN), "", "name"])
        if field == "name":
            runs["../a/b/c-try1"] = runs.pop(run)
        elif field:
            runs[run][field] = pick(WRONG_RUN[field])
        else:
            runs[run] = pick([None, [], 5, "x", {}])
        return "\n".join([head, json.dumps(runs), *tail])
    if name.endswith(".json"):
        facts = json.loads(text)
        field = pick(sorted(WRONG))
        facts[field] = pick(WRONG[field])
        return json.dumps(facts)
    return text + "\udcff"


@st.composite
def damages(draw, names):
    """Which files are damaged, and how: a function of the file each."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    kinds = ("cut", "noise", "swap", *PLACES)
    return {name: (draw(st.sampled_from(kinds)), draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(0, 10**9)))
            for name in chosen}  # fmt: skip


def damage(file: Path, name: str, kind: str, share: float, seed: int) -> None:
    if kind in PLACES:
        put(file, kind)
        return
    data = file.read_bytes()
    if kind == "cut":
        file.write_bytes(data[: int(share * len(data))])
    elif kind == "noise":
        noise = bytes((seed * (n + 7) // 3) % 256 for n in range(20)) + b"\xff"
        place = int(share * len(data))
        file.write_bytes(data[:place] + noise + data[place + len(noise) :])
    else:
        counter = iter(range(seed % 1000, 10**6, 7))
        text = swapped(data.decode(), name, lambda values: values[next(counter) % len(values)])
        file.write_bytes(text.encode(errors="surrogateescape"))


def a_new_run(outputs: Path) -> None:
    record = Record.open(
        outputs / "etl" / "2026-11-05" / f"run-{time.time_ns()}", "step", 1, notebook="n", parameters={}
    )
    index.update(outputs, record)
    files.replace(record.executed, NOTEBOOK)
    finish(record, "succeeded")
    index.update(outputs, record)
    assert lookup.entries(outputs)[index_entries.name_of(outputs, record.path)]["status"] == "succeeded"
    assert index_files.read(outputs / ".index" / "overview.js", {})["days"]["2026-11-05"]["etl"][0] >= 1


@trying(deadline=None, derandomize=True, max_examples=25)
@given(data=st.data(), first=st.sampled_from(["a new run", "rebuild", "verify", "prune"]))
def test_any_damaged_files_cost_themselves_are_named_and_the_index_is_made_anew(data, first, template):
    pristine = bytes_of(template)
    hurt = data.draw(damages(sorted(name for name in pristine if at_rest(name))))
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        outputs = copy_of(template, Path(place) / "outputs", patch)
        for name, (kind, share, seed) in hurt.items():
            damage(outputs / name, name, kind, share, seed)
        actions = {
            "a new run": lambda: a_new_run(outputs), "rebuild": lambda: index.rebuild(outputs),
            "verify": lambda: verify(outputs), "prune": lambda: retention.prune(outputs, NOW, delete=True),
        }  # fmt: skip
        found = actions.pop(first)()
        if first == "verify":
            named = {finding.file for finding in found.findings}
            assert must_be_named(hurt) <= named
            assert {name for name in named if name.endswith((".json", ".js"))} <= {*hurt}, (
                "nothing else is called damaged"
            )
            assert not [f for f in verify(outputs).findings if f.file.startswith(".index")], "they are made anew"
        for action in actions.values():
            action()
        retention.prune(outputs, NOW, delete=True)
        expired = "etl/2025-09-01/run/step-try1"
        assert f"{expired}.json" in hurt or not (outputs / f"{expired}.json").exists()
        for _ in range(2):
            entries = lookup.entries(outputs)
            sound = {name.removesuffix(".json") for name in pristine if name.endswith(".json") and name not in hurt}
            for name in sound - {expired}:
                assert entries[name] == seen(outputs / f"{name}.json"), name
            assert not entries.keys() & {name.removesuffix(".json") for name in hurt}, "what is damaged is no run"
            overview = index_files.read(outputs / ".index" / "overview.js", {})
            assert overview["running"] == ["etl/2026-11-04/run/step-try1"] and entries.keys() >= {*overview["running"]}
            assert overview["days"] == counted(entries)
            assert index.rebuild(outputs) == len(entries), "and once more, from the records alone"
        assert entries["etl/2026-11-03/run/step-try1"]["status"] == "killed"
        assert "<script" in (outputs / "index.html").read_text()
        after = bytes_of(outputs)
        for name in pristine.keys() - {*hurt}:
            if at_rest(name) and not name.startswith((".index", "index.html", expired.rpartition("/")[0])):
                assert after[name] == pristine[name], name
    settings.cache_clear()


def counted(entries: dict) -> dict:
    days = {}
    for name, run in entries.items():
        later = [f"{name[:-1]}{number}" for number in range(int(name[-1]) + 1, 10)]  # tries of the same task and run
        healed = any(entries[other]["status"] == "succeeded" for other in later if other in entries)
        counts = days.setdefault(run["day"], {}).setdefault(run["dag"], [0, 0, 0, 0])
        counts[0] += 1
        counts[1] += run["status"] in ("failed", "killed") and not healed
        counts[2] += run["status"] == "running"
        counts[3] += run["incidents"] or 0
    return days


def must_be_named(hurt: dict) -> set[str]:
    """The damaged files that can be told from well ones: by their checksum, or by what they hold."""
    told = set()
    for name, (kind, share, _) in hurt.items():
        record = f"{name.partition('.html')[0].partition('.ipynb')[0]}.json"
        if name.startswith(".index/days"):
            if kind != "gone" or ".index/overview.js" not in hurt:
                told.add(name)
        elif name.endswith((".js", ".json")):
            if kind != "gone":
                told.add(name)
        elif name == "index.html":
            if "link" in kind or "folder" in kind or kind == "empty" or (kind == "cut" and share < 0.99):
                told.add(name)
        elif record not in hurt:
            told.add(name)
    return told


@pytest.mark.parametrize("command", ["index", "verify", "prune"])
@pytest.mark.parametrize("how", ["cut in half", *PLACES])
@pytest.mark.parametrize(
    "name", [".index/days/2026-11-01.js", ".index/overview.js", "index.html", ".index/days", ".index"]
)
def test_a_command_repairs_a_damaged_index_and_says_which_file_it_was(
    name, how, command, template, tmp_path, monkeypatch, caplog
):
    outputs = copy_of(template, tmp_path / "outputs", monkeypatch)
    whole = lookup.entries(outputs)
    if (outputs / name).is_dir():
        shutil.rmtree(outputs / name)
        (outputs / name).write_text("no folder")
    if how == "cut in half":
        (outputs / name).write_bytes((outputs / name).read_bytes()[: (outputs / name).stat().st_size // 2])
    else:
        put(outputs / name, how)
    main(["archive", command])
    repaired = whole | {"etl/2026-11-03/run/step-try1": seen(outputs / "etl/2026-11-03/run/step-try1.json")}
    assert lookup.entries(outputs) == repaired
    assert index_files.read(outputs / ".index" / "overview.js", {})["days"] == counted(repaired)
    assert "<script" in (outputs / "index.html").read_text()
    if how == "a full folder" and name != ".index/days":
        assert [p for p in outputs.rglob("mine") if p.read_text() == "mine"], "set aside, not removed"
    is_damage = how != "gone" and (name.endswith((".js", ".html")) or "link" in how or "folder" not in how)
    if is_damage:
        assert str(outputs / name) in caplog.text
    settings.cache_clear()


ODD = [
    "cut",
    "\udcff",
    "[]",
    "null",
    "5",
    '"text"',
    "[" * 200_000,
    "{}",
    '{"status": "succeeded"}',
    "\ufeff{}",
    "",
    "\0\0\0\0",
]


COMMANDS = ["index", "verify", "prune", "diff etl/2026-11-05/run/step-try1"]
CASES = [(odd, command) for odd in (*ODD, *PLACES) for command in COMMANDS]
CASES += [(f"{name}={number}", "index") for name in WRONG for number in range(len(WRONG[name]))]
CASES += [(f"{name}=0", command) for name in ("started", "pid", "sha256") for command in COMMANDS[1:]]


@pytest.mark.parametrize(("odd", "command"), CASES)
def test_an_odd_record_stops_no_command_and_is_named(odd, command, template, tmp_path, monkeypatch, caplog, capsys):
    outputs = copy_of(template, tmp_path / "outputs", monkeypatch)
    later = a_run(outputs, "etl", "2026-11-05", 1)
    for one in ("2026-11-01", "2026-11-05"):
        (outputs / f"etl/{one}/run/step-try1.ipynb").write_text(NOTEBOOK)
    before = a_run(outputs, "etl", "2026-11-04", 1, run="odd")  # the previous one of what is compared
    file, text = before.path, before.path.read_text()
    if odd in PLACES:
        put(file, odd)
    elif "=" in odd:
        name, _, number = odd.partition("=")
        file.write_text(json.dumps(json.loads(text) | {name: WRONG[name][int(number)]}))
    else:
        file.write_bytes(text[:-9].encode() if odd == "cut" else odd.encode(errors="surrogateescape"))
    main(["archive", *command.split()])
    said = caplog.text + capsys.readouterr().out
    entries = lookup.entries(outputs)
    assert index_entries.name_of(outputs, later.path) in entries and "etl/2026-11-01/run/step-try1" in entries
    if command == "index":
        assert index_entries.name_of(outputs, file) not in entries
    if odd != "gone" and command != "prune":
        assert "etl/2026-11-04/odd/step-try1.json" in said
    if command.startswith("diff"):
        assert "from  etl/2026-11-01/run/step-try1" in said, "the one before it"
    settings.cache_clear()


@pytest.mark.parametrize("name", ["step-try1 (copy).json", "step-try1 - Copy.json", "step-try.json", "step-try1.json.json",
                                  "step-tryx.json", "-try1.json", "step-try1.bak.json", "step-try²3.json", ".step-try9.json",
                                  "step-try" + "9" * 200 + ".json"])  # fmt: skip
def test_a_copy_beside_a_record_is_no_run_and_stays(name, outputs, capsys):
    record = a_run(outputs, "alerts", SLOT, 20)
    copy = record.path.with_name(name)
    copy.write_text(record.path.read_text())
    for notebook in (record.executed, copy.with_suffix(".ipynb")):
        notebook.write_text(NOTEBOOK)
    assert index.rebuild(outputs) == len(lookup.entries(outputs)) and len(lookup.entries(outputs)) in (1, 2)
    main(["archive", "verify"])
    if "-try" in name[1:] and name[0] != "." and len(lookup.entries(outputs)) == 1:
        assert f"no record        alerts/{SLOT}/run/{name}" in capsys.readouterr().out
    assert main(["archive", "diff", str(record.path), str(copy)]) == 0
    with pytest.raises(SystemExit):  # refused in words
        main(["archive", "diff", str(copy)])
    if len(lookup.entries(outputs)) == 1:
        assert main(["archive", "prune", "--delete"]) == 0
        assert not record.path.exists() and copy.exists() and copy.with_suffix(".ipynb").exists()


def test_what_a_later_version_writes_is_read(outputs):
    record = a_run(outputs, "etl", "2026-11-01", 9)
    facts = json.loads(record.path.read_text()) | {"status": "paused", "mood": [1, {"x": None}], "retries": 10**400}
    record.path.write_text(json.dumps(facts))
    assert index.rebuild(outputs) == 1 and lookup.entries(outputs)["etl/2026-11-01/run/step-try1"]["status"] == "paused"
    day = outputs / ".index" / "days" / "2026-11-01.js"
    day.write_text(day.read_text().replace('"dag"', '"colour":"red","dag"'))
    assert lookup.entries(outputs)["etl/2026-11-01/run/step-try1"]["colour"] == "red"
    assert [f.file for f in verify(outputs).findings] == ["etl/2026-11-01/run/step-try1.json"], (
        "it differs, and no more"
    )


def test_a_record_that_the_version_before_wrote_is_read(outputs):
    record = a_run(outputs, "etl", "2026-11-01", 9)
    facts = json.loads(record.path.read_text())
    for later in ("process", "ending"):
        del facts[later]
    record.path.write_text(json.dumps(facts, indent=2))
    assert verify(outputs).findings == [] and Record.load(record.path).process is None


def test_half_of_a_character_is_written_and_read(outputs):
    record = Record.open(outputs / "etl" / "2026-11-01" / "run", "step", 1, notebook="n", parameters={"x": "a\ud83d"})
    files.replace(record.executed, NOTEBOOK)
    finish(record, "failed", "ValueError: \udc00")
    index.update(outputs, record)
    assert (
        Record.load(record.path).error
        == "ValueError: \ufffd"
        == lookup.entries(outputs)["etl/2026-11-01/run/step-try1"]["error"]
    )
    spelt = record.path.read_text().replace("\ufffd", "\\udc00", 1)
    record.path.write_text(spelt)
    assert Record.load(record.path).parameters == {"x": "a\ufffd"}


@pytest.mark.parametrize("stated", [True, -1, 10**400, 2**60])
def test_a_notebook_may_state_any_number_of_incidents(stated, outputs):
    record = Record.open(outputs / "etl" / "2026-11-01" / "run", "step", 1, notebook="n", parameters={})
    output = nbformat.v4.new_output(
        "display_data", {"application/vnd.pulsebook+json": {"incidents": stated}, "text/plain": ""}
    )
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    files.replace(record.executed, nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    finish(record, "succeeded")
    index.update(outputs, record)
    assert Record.load(record.path).status == "succeeded" and verify(outputs).findings == []


def test_a_notebook_without_a_page_is_named(outputs):
    record = a_run(outputs, "etl", "2026-11-01", 9)
    record.html.unlink()
    record.close("succeeded", ended=record.ended_at)
    index.update(outputs, record)
    (finding,) = verify(outputs).findings
    assert (finding.file, finding.what) == (
        "etl/2026-11-01/run/step-try1.html",
        "missing",
    ) and "no page" in finding.detail


def _as_nobody(outputs: Path, found):
    os.setuid(65534)
    with pytest.MonkeyPatch.context() as patch:
        at(outputs, patch)
        findings = {(f.file, f.what) for f in verify(outputs).findings}
        a_new_run(outputs)
        found.send((findings, index.rebuild(outputs), lookup.entries(outputs), len(retention.prune(outputs, NOW))))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not read")
def test_files_that_may_not_be_read_cost_themselves(template):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        outputs = shutil.copytree(template, Path(place) / "outputs")
        record, page = "etl/2026-11-01/run/step-try1.json", "etl/2026-11-02/run/step-try1.html"
        locked = [".index/days/2026-11-02.js", ".index/overview.js", record, page]
        for file in [outputs, *outputs.rglob("*")]:
            os.chown(file, 65534, 65534)
        for name in locked:
            os.chown(outputs / name, 0, 0)
            os.chmod(outputs / name, 0)
        ours, theirs = FORK.Pipe()
        child = FORK.Process(target=_as_nobody, args=(outputs, theirs))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        findings, number, entries, _ = ours.recv()
        assert {(record, "altered"), (page, "altered"), (locked[0], "altered")} <= findings
        assert number == len(entries) - 1 and record.removesuffix(".json") in entries, "nothing new is known of it"
        assert entries["etl/2026-11-02/run/step-try1"]["incidents"] == 2


def test_a_link_that_leads_nowhere_ends_no_change_in_a_loop(tmp_path):
    (tmp_path / "log").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        files.change(tmp_path / "log", lambda text: "x")


def test_a_folder_in_place_of_a_page_keeps_prune_from_nothing(outputs):
    first, second = (a_run(outputs, "alerts", SLOT, 20, run=name) for name in ("a", "b"))
    put(first.html, "a full folder")
    assert len(retention.prune(outputs, NOW, delete=True)) == 2
    assert not first.path.exists() and not second.path.exists() and (first.html / "mine").exists()
    assert everything(outputs) >= {f"alerts/{SLOT}/a/step-try1.html/mine"} and f"alerts/{SLOT}/b" not in everything(
        outputs
    )


def test_what_cannot_be_removed_keeps_prune_from_nothing_else_and_is_reported(outputs, monkeypatch):
    first, second = (a_run(outputs, "alerts", SLOT, 20, run=name) for name in ("a", "b"))
    unlink = os.unlink

    def refused(path, *arguments, **options):
        if str(path) == str(first.executed):
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, *arguments, **options)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError, match="step-try1.ipynb"):
        retention.prune(outputs, NOW, delete=True)
    assert first.path.exists() and not second.path.exists()
    monkeypatch.undo()
    at(outputs, monkeypatch)
    retention.prune(outputs, NOW, delete=True)
    retention.prune(outputs, NOW, delete=True)
    assert not first.path.exists()


def test_a_damaged_notebook_costs_no_later_run_its_comparison(outputs):
    runs = []
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        if len(runs) == 2:
            runs[1].executed.write_text(NOTEBOOK[:30])
        record = Record.open(outputs / "etl" / day / "run", "step", 1, notebook="n", parameters={})
        files.replace(record.executed, NOTEBOOK)
        finish(record, "succeeded")
        index.update(outputs, record)
        runs.append(record)
    assert "2026-11-01" in runs[2].compared.read_text()
    with pytest.raises(RecordError, match="no run record"):
        Record.load(runs[1].executed)
