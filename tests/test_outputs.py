"""What is kept of a cell's outputs: all of it, or head and tail of it, never more than the limits, and never a miscount."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_output

from pulsebook.execution.outputs import LEAST, Limits, NotebookOutputs
from pulsebook.execution.trim import amount, fit, shortened, sizes, writable

QUICK = settings(deadline=None, derandomize=True, max_examples=150)
LIMIT = 40_000
NOTE = re.compile(r"\n… (\S+ [KM]B) left out …\n")
texts = st.builds(lambda word, times: word * times, st.text("aé\n🙂 ", min_size=1, max_size=20), st.integers(1, 3000))
streams = st.tuples(st.sampled_from(["stdout", "stderr"]), texts)


def kept_of(limits=None):
    notebook, outputs = NotebookOutputs(limits or Limits(LIMIT, 100 * LIMIT)), []
    return notebook, outputs, notebook.of(outputs)


def test_amounts_are_written_as_people_write_them():
    assert [amount(n) for n in (1, 40_400, 1_240_000, 115_000_000)] == ["1 KB", "40 KB", "1.2 MB", "115 MB"]


@QUICK
@given(st.lists(streams, max_size=12), st.integers(0, 3))
def test_of_streams_the_beginning_and_the_end_stay_and_the_rest_is_counted(written, every):
    notebook, outputs, cell = kept_of()
    for number, (name, text) in enumerate(written):
        cell.add(new_output("stream", name=name, text=text))
        if every and number % every == 0:
            cell.flush()  # at any time: it changes nothing of what is kept
    cell.flush()
    whole, shown = "".join(text for _, text in written), "".join(output.text for output in outputs)
    assert sum(len(output.text) for output in outputs) <= LIMIT + 100
    if not NOTE.search(shown):
        assert shown == whole
        runs = [name for i, (name, _) in enumerate(written) if i == 0 or written[i - 1][0] != name]
        assert [output.name for output in outputs] == runs, "one output for each change of the stream"
        return
    head, tail = shown[: NOTE.search(shown).start()], shown[NOTE.search(shown).end() :]
    assert len(whole) > LIMIT // 2 and whole.startswith(head) and whole.endswith(tail)
    assert amount(len(whole) - len(head) - len(tail)) == NOTE.search(shown)[1]
    assert len(head) > LIMIT // 2 - 2500 - 150 * len(written)
    assert len(tail) > min(LIMIT // 2 * 7 // 8 - 2500 - 150 * len(written), 1)


bundles = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "application/json"]), texts, min_size=1
)
steps = st.one_of(
    st.tuples(st.just("stream"), texts),
    st.tuples(st.just("show"), bundles, st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("update"), bundles, st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("clear"), st.booleans()),
    st.tuples(st.just("error"), texts),
    st.tuples(st.just("next cell")),
)


@QUICK
@given(st.lists(steps, max_size=40))
def test_limits_hold_whatever_comes_and_what_is_counted_is_what_is_there(taken):
    limits = Limits(LIMIT, 6 * LIMIT)
    notebook, outputs, cell = kept_of(limits)
    cells = [(outputs, cell)]
    for kind, *given_ in taken:
        if kind == "stream":
            cell.add(new_output("stream", name="stdout", text=given_[0]))
        elif kind == "show":
            cell.add(new_output("display_data", given_[0]), given_[1])
        elif kind == "update":
            notebook.update(given_[1], new_output("display_data", given_[0]))
        elif kind == "clear":
            cell.clear(given_[0])
        elif kind == "error":
            cell.add(new_output("error", ename="E", evalue=given_[0], traceback=[given_[0]] * 3))
        else:
            outputs = []
            cell = notebook.of(outputs)
            cells.append((outputs, cell))
    for each, of in cells:
        of.flush()
        text = sum(sizes(output)[0] for output in each)
        assert text <= LIMIT + 2000, "a note may come on top"
    pictures = sum(sizes(output)[1] for each, _ in cells for output in each)
    assert pictures <= limits.notebook
    assert notebook.used == sum(of._head_size + of._tail_size for _, of in cells) + pictures
    for _, of in cells:
        of.clear()
    assert notebook.used == 0 and not notebook._shown


@QUICK
@given(st.lists(texts, min_size=1, max_size=60))
def test_a_notebook_over_its_limit_lets_every_cell_say_the_least(texts_of_cells):
    notebook, said = NotebookOutputs(Limits(LIMIT, LIMIT)), []
    for text in texts_of_cells:
        outputs = []
        cell = notebook.of(outputs)
        cell.add(new_output("stream", name="stdout", text=text))
        cell.flush()
        said.append(sum(len(output.text) for output in outputs))
    assert all(shown >= min(len(text), LEAST // 4) for shown, text in zip(said, texts_of_cells, strict=True))
    assert sum(said) <= LIMIT + len(said) * (LEAST + 100)


@QUICK
@given(st.text(max_size=300), st.integers(0, 400))
def test_a_text_that_is_short_enough_is_left_alone(text, size):
    cut = shortened(text, size)
    assert cut == text if len(text) <= size else cut == text or "left out …" in cut


@QUICK
@given(
    st.recursive(
        st.text(st.characters()) | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(st.characters()), x)
    )
)
def test_whatever_a_kernel_sends_can_be_written(value):
    clean = writable(value)
    assert json.dumps(clean, ensure_ascii=False).encode()
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert clean == value


def test_a_picture_that_does_not_fit_is_left_out_and_its_words_stay():
    output = new_output(
        "display_data", {"image/png": "A" * 5_000_000, "text/plain": "<Figure>", "text/html": "<b>1</b>"}
    )
    fit(output, 1000, 4_000_000)
    assert output.data == {"text/plain": "<Figure>\n… 5.0 MB of image/png left out …", "text/html": "<b>1</b>"}
