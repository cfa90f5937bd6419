"""Pages and comparisons of notebooks that hold anything at all: they come to be, nothing in them is active, nothing is lost
without a word. What they must not hold is looked for with Python's own parser, which no code of the pages uses."""

import base64
import hashlib
import html
import json
import os
import re
import tempfile
import threading
import time
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pulsebook.archive import code_diff, diff, diff_page, diff_text, outputs, page, pictures, scraped
from pulsebook.archive.index_page import index_page
from pulsebook.archive.inert import clean
from pulsebook.archive.record import Record
from pulsebook.archive.scraped.tables import CELLS, COLUMNS, first_table
from pulsebook.chat import markup, tags
from pulsebook.chat import page as chat_page
from tests.test_review import browser, needs_browser  # noqa: F401 (a fixture)

MANY = settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck))
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
).decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><circle r="3"/></svg>'
HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'><meta/http-equiv=refresh/content='0;url=//x'>", '"><b',
    "</pre></div></main><footer>", "<!--", "<style>", "<textarea>", "<plaintext>", "<svg><style><img src=x onerror=a()>",
    "<a href='java\tscript:alert(1)'>", "<table><tr><td colspan=100%>5", "<iframe srcdoc='<script>'>", "<base href=//x>",
    "<svg onload=a()><a xlink:href=javascript:a()>", "<math><mtext></table><img src onerror=a()>", "]]>", "<title>", "<select>",
    "![](attachment:a b.png)", "![x](../../etc/passwd)", "[x](javascript:alert(1))", "> " * 80, "\\begin{a}" * 30, "\ud83d",
    "\x1b[38m\x1b[31mred", "\x00", "## Summary", "data:text/html,<script>", "<details open ontoggle=a()>", "&lt;script&gt;",
    "<form action=//x><input name=q>", "<object data=x>", "<noscript><p title='</noscript><img src=x onerror=a()>'>",
]  # fmt: skip
KINDS = [
    "text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/svg+xml", "image/jpeg", "image/gif",
    "application/json", "application/javascript", "application/vnd.plotly.v1+json", "application/pdf", "x<y>/'z",
    "application/vnd.jupyter.widget-view+json", "application/vnd.pulsebook+json", "text/vnd.mermaid", "video/mp4", "",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(), max_size=30), st.sampled_from([PNG, SVG, "12", "a, 7"])
)
marked = st.lists(texts, min_size=1, max_size=5).map("".join)
leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), marked)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(marked, inner, max_size=3), max_leaves=6
)
bundles = st.dictionaries(st.sampled_from(KINDS), st.one_of(marked, st.lists(marked, max_size=3), anything), max_size=4)


def odd(**fields):
    """A dictionary whose fields are as they should be; now and then one is something else, or absent."""
    other = {name: st.one_of(field, anything) for name, field in fields.items()}
    sound = st.fixed_dictionaries(fields)
    return st.one_of(sound, sound, sound, st.fixed_dictionaries({}, optional=other))


outputs_of_cells = st.one_of(
    odd(output_type=st.just("stream"), name=st.sampled_from(["stdout", "stderr", "<b>"]), text=marked),
    odd(output_type=st.sampled_from(["display_data", "execute_result"]), data=bundles, metadata=anything),
    odd(output_type=st.just("error"), ename=marked, evalue=marked, traceback=st.lists(marked, max_size=3)),
    anything,
)
cells = st.one_of(
    odd(cell_type=st.just("markdown"), id=marked, source=marked, metadata=odd(tags=st.lists(marked, max_size=2)),
        attachments=st.dictionaries(marked, bundles, max_size=2)),
    odd(cell_type=st.just("code"), id=marked, source=marked, outputs=st.lists(outputs_of_cells, min_size=1, max_size=4),
        metadata=odd(tags=st.lists(marked, max_size=2), papermill=odd(status=st.sampled_from(["failed", "pending"]))),
        execution_count=leaf),
    odd(cell_type=st.sampled_from(["raw", "heading"]), source=marked),
    anything,
)  # fmt: skip
notebooks = st.fixed_dictionaries(
    {"cells": st.lists(cells, min_size=2, max_size=6), "nbformat": st.just(4), "nbformat_minor": st.just(5)},
    optional={"metadata": odd(language_info=odd(name=marked), widgets=anything)},
)

VOID = {"br", "hr", "img", "wbr", "col", "meta"}
ACTIVE = {"script", "iframe", "object", "embed", "base", "form", "input", "link", "frame", "textarea", "select", "math"}
ACTIVE |= {"noscript", "template", "plaintext", "xmp", "audio", "video", "animate", "set", "foreignobject", "button"}


class Audit(HTMLParser):
    """Looks at a whole page: what is active in it, whether its parts stand where they should, what it says."""

    def __init__(self, markup: str):
        super().__init__()
        self.wrong, self.open, self.said, self.sources, self.metas, self.footer = [], [], [], [], [], None
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "meta":
            self.metas.append(dict(attributes))
        if tag in ACTIVE:
            self.wrong.append(tag)
        if tag == "footer":
            self.footer = list(self.open)
        for name, value in attributes:
            bare = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name.startswith("on") or name in ("srcdoc", "srcset", "formaction", "action", "background", "ping"):
                self.wrong.append(f"{tag} {name}={value}")
            if name in ("href", "xlink:href") and re.match(r"(javascript|vbscript|data:(?!text/csv)|file)", bare):
                self.wrong.append(f"{tag} {name}={value}")
            if name == "src":
                self.sources.append(value)
                if tag != "img" or not re.fullmatch(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/]*=*", value):
                    self.wrong.append(f"{tag} src={value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> where something else is open")

    def handle_data(self, data):
        self.said.append(data)

    def check(self, policy: str = page.POLICY):
        assert self.wrong == [] and self.open == []
        assert self.footer == ["html", "body"], (
            "what comes from data has neither closed nor swallowed anything of the page"
        )
        assert [meta.get("http-equiv") for meta in self.metas] == [None, None, "Content-Security-Policy"]
        assert self.metas[2]["content"] == policy
        return self

    @property
    def text(self) -> str:
        return " ".join(self.said)


def of_file(folder: Path, document, name: str = "step", **known) -> Record:
    """The record of a try whose executed notebook holds this."""
    record = Record(**{"notebook": "notebooks/none/step.ipynb", "parameters": {}, "status": "succeeded", **known})
    record.path = folder / "etl" / "2026-11-22" / "run" / f"{name}-try1.json"
    record.path.parent.mkdir(parents=True, exist_ok=True)
    content = document if isinstance(document, bytes | str) else json.dumps(document)
    record.executed.write_bytes(content if isinstance(content, bytes) else content.encode())
    return record


def shown(tmp_path, *given, **known) -> Audit:
    """The page of some cells, looked at."""
    made = page.render(
        of_file(tmp_path, {"cells": list(given), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, **known)
    )
    return Audit(made).check()


def code(*found, source="1", **more) -> dict:
    return {
        "cell_type": "code",
        "id": "c",
        "metadata": {},
        "execution_count": 1,
        "source": source,
        "outputs": list(found),
    } | more


def display(data, **metadata) -> dict:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def markdown(source: str, **more) -> dict:
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source} | more


# -- whatever a notebook holds

TRICKS = [
    "<p>7</p><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>5",
    "</div></main><footer>5",
    "<a href=javascript:a()>5",
]


def tricky(*cells_of_it) -> dict:
    return {"cells": [markdown("# T"), *cells_of_it], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@MANY
@example(tricky(*(code(display({"text/html": trick})) for trick in HOSTILE)), None, {})
@example(tricky(*(markdown(trick) for trick in HOSTILE)), None, {})
@example(tricky(code(display({"text/html": TRICKS[0]}))), None, {})
@example(tricky(code(display({"text/html": TRICKS[1]}))), None, {})
@example(tricky(code(display({"text/html": TRICKS[2]}))), None, {})
@example(tricky(markdown(TRICKS[3])), None, {})
@given(notebooks, st.one_of(st.none(), marked), st.dictionaries(marked, leaf, max_size=3))
def test_every_notebook_has_a_page_and_nothing_in_it_is_active(document, error, parameters):
    with tempfile.TemporaryDirectory() as folder:
        made = page.render(of_file(Path(folder), document, error=error, parameters=parameters))
    made.encode()  # a page can always be written
    Audit(made).check()


@settings(MANY, max_examples=25)
@given(notebooks, notebooks, st.dictionaries(marked, leaf, max_size=3), st.dictionaries(marked, leaf, max_size=3))
def test_any_two_notebooks_can_be_compared_and_nothing_in_it_is_active(earlier, later, before, after):
    with tempfile.TemporaryDirectory() as folder:
        pair = [
            of_file(Path(folder), earlier, "a", parameters=before),
            of_file(Path(folder), later, "b", parameters=after),
        ]
        found = diff.compare(*pair)
        made = diff_page.render(found, ("../a'b.html", "b.html"))
        said = diff_text.render(found)
    made.encode()
    said.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said), "a terminal is told nothing"
    Audit(made).check()


@MANY
@given(
    st.dictionaries(
        st.sampled_from([kind for kind in KINDS if "pulsebook" not in kind]), marked, min_size=1, max_size=3
    )
)
def test_of_every_output_something_is_seen_or_the_page_says_that_it_is_not(data):
    if not any(re.search(r"\w", value) for value in data.values()):
        return
    node = nbformat.from_dict(display(data))
    seen = Audit(f"<html><body>{outputs.markup(node, outputs.Surroundings())}</body></html>")
    assert seen.text.strip() or seen.sources


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"cells": 3}', b"\xff\xfe", b"[" * 5000, b'{"cells": [], "nbformat": 3}',
                json.dumps({"cells": [1, None, [], {}]}), b'{"worksheets": [{"cells": []}], "nbformat": 3, "metadata": {}}'],
)  # fmt: skip
def test_a_file_that_is_no_notebook_has_a_page_that_says_so(tmp_path, content):
    record = of_file(tmp_path, content, status="failed", error="the cell <b> failed")
    found = Audit(page.render(record)).check()
    assert "the cell <b> failed" in found.text
    cells_shown = b"worksheets" in record.executed.read_bytes()
    assert cells_shown or "not shown" in found.text


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (markdown("![chart](attachment:chart.png)"), "chart.png is not shown: it is not attached"),
        (markdown("![a](attachment:a.png)", attachments={"a.png": {}}), "its attachment is empty"),
        (markdown("![a](attachment:a.png)", attachments={"a.png": {"image/png": "iVBORw0KGgo="}}), "a.png is damaged"),
        (markdown("![a](https://example.com/a.png)"), "fetches nothing from elsewhere"),
        (markdown("> " * 3000 + "deep"), "deep"),
        (markdown("\\begin{a}" * 4000), "shown as they were written"),
        (code(display({"image/png": "no base64!"})), "its data is no base64"),
        (code(display({"image/png": {"a": 1}})), "of the type dict, not text"),
        (code(display({"image/png": base64.b64encode(b"plain text").decode()})), "its data is no png"),
        (code(display({"image/tiff": PNG})), "no page shows the kind image/tiff"),
        (code(display({"application/pdf": "JVBERi0="})), "no page shows the kind application/pdf"),
        (code(display({"application/vnd.plotly.v1+json": {}, "text/html": "<div id=p></div><script>d()</script>"})),
         "An interactive output (plotly, script) is not shown"),
        (code(display({"application/vnd.vegalite.v5+json": {}, "text/plain": "<VegaLite 5 object>"})), "<VegaLite 5 object>"),
        (code(display({"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "100%|###| 3/3"})),
         "100%|###| 3/3"),
        (code(display({"application/vnd.bokehjs_exec.v0+json": "", "application/javascript": "x()"})), "Bokeh, JavaScript"),
        (code(display({"text/html": "<p>map</p><iframe src='//x'></iframe>"})), "interactive output (iframe) is not shown"),
        (code(display(["a"])), "the data of this output is of the type list"),
        (code({"output_type": "pyout"}), "this output is of the kind pyout"),
        (code(outputs={"a": 1}), "the outputs of this cell are of the type dict"),
        ({"cell_type": "heading", "source": "old words"}, "old words"),
        ({"cell_type": "raw", "metadata": {}, "source": "raw <words>"}, "raw <words>"),
        ("not a cell", "no cell but not a cell"),
        (code({"output_type": "error", "ename": "SystemExit", "evalue": "0", "traceback": ["\x1b[31mSystemExit"]}),
         "ended itself here"),
        (code(source="key = '[redacted]'"), "has lost a text that looks like a secret"),
    ],
)  # fmt: skip
def test_what_a_page_cannot_show_it_says_in_its_place(tmp_path, cell, says):
    found = shown(tmp_path, markdown("# A title"), cell, code(source="the_last_cell"))
    assert says.replace(" ", "") in found.text.replace(" ", "").replace("\n", "")
    assert "the_last_cell" in found.text, "and shows the rest"


@pytest.mark.parametrize("id", ["", "a b", "<x>", "é", "x" * 100, None, 7, "same"])
def test_an_illegal_id_of_a_cell_costs_nothing_and_links_lead_to_cells(tmp_path, id):
    given = [markdown(f"## Part {n}", id=id) for n in range(3)]
    made = page.render(of_file(tmp_path, {"cells": [markdown("# Title"), *given], "nbformat": 4, "metadata": {}}))
    targets = re.findall(r"href='#([^']+)'", made)
    assert len(set(targets)) == 3 and all(f'id="{html.unescape(target)}"' in made for target in targets)


def test_pictures_are_shown_in_every_kind_that_a_page_takes(tmp_path):
    kinds = {"image/png": PNG, "image/svg+xml": SVG, "image/gif": base64.b64encode(b"GIF89a...").decode()}
    found = shown(tmp_path, *(code(display({kind: data})) for kind, data in kinds.items()),
                  markdown("![a](attachment:a%20b.png) ![a](attachment:a b.png)", attachments={"a b.png": {"image/png": PNG}}),
                  code(display({"image/png": [PNG[:20] + "\n", PNG[20:]]}, width=100, height="50%", alt="'><script>")),
                  markdown(f"![big](data:image/png;base64,{base64.b64encode(base64.b64decode(PNG) + bytes(300)).decode()})"))  # fmt: skip
    assert [source.partition(";")[0] for source in found.sources] == ["data:" + k for k in kinds] + [
        "data:image/png"
    ] * 4
    assert base64.b64decode(found.sources[1].partition(",")[2]).decode() == SVG, "as a picture: nothing in it runs"


def test_a_first_line_that_is_no_heading_stays_in_its_cell(tmp_path):
    found = shown(tmp_path, markdown(f"![logo](data:image/png;base64,{PNG})"), markdown("# Later"))
    assert len(found.sources) == 1 and "Later" in found.text
    assert "Views" in shown(tmp_path, markdown("# Views\nof a day")).text.split("succeeded")[0]


def test_half_a_character_is_written_as_one_that_is_missing(tmp_path):
    found = shown(tmp_path, markdown("# Half \ud83d"), code({"output_type": "stream", "name": "stdout", "text": "no \ud83d"},
                  display({"text/html": "<b>\ud83d</b>", "\ud83d": 1})), error="half \ud83d", parameters={"a": "\ud83d"})  # fmt: skip
    assert "no �" in found.text and "half �" in found.text


# -- ordinary notebooks look as they did


@MANY
@given(
    st.lists(
        st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=8), st.none()), min_size=2, max_size=2),
        max_size=6,
    )
)
def test_the_html_of_a_data_frame_stays_as_it_is(rows):
    frame = pd.DataFrame(rows, columns=["a<b", "c & d"])
    written = frame.to_html(notebook=True)
    kept = clean(written)
    assert (
        html.unescape(re.sub(r"<[^>]*>", "", kept.markup)) == html.unescape(re.sub(r"<[^>]*>", "", written))
        and not kept.lost
    )
    assert re.findall(r"</?\w+", kept.markup) == re.findall(r"</?\w+", written)


def test_styles_links_and_drawings_of_an_output_stay():
    kept = [
        '<style>#T_1 td:hover > b { color: red; }</style><table id="T_1" class="dataframe" border="1"></table>',
        '<a href="https://example.com/?a=1&amp;b=2#c" target="_blank" title="it\'s">more</a>',
        '<a download="a.csv" href="data:text/csv;base64,YQ==">a.csv</a>',
        '<svg viewBox="0 0 9 9"><g fill="none"><path d="M0 0L9 9"></path></g></svg>',
        '<details open=""><summary>x</summary><p style="color: red">y</p></details>',
    ]
    for given_markup in kept:
        assert clean(given_markup) == (given_markup, set())


@MANY
@example("".join(HOSTILE))
@example("".join(f"<p>{trick}</p>" for trick in reversed(HOSTILE)))
@example(TRICKS[1])
@example("<svg><p><style><img src=x onerror=a()></style>")
@example("<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=a()&gt;'>")
@given(marked)
def test_what_was_made_harmless_is_and_stays_as_it_is(given_markup):
    once = clean(given_markup).markup
    seen = Audit(f"<html><body>{once}</body></html>")
    assert seen.wrong == [] and seen.open == []
    again = clean(once).markup  # HTML closes a paragraph before a block, and reads an odd </p> as an empty one
    assert re.sub("</?p>", "", again) == re.sub("</?p>", "", once)


def test_pictures_stand_where_they_stood_and_only_those_that_are_given():
    address = f"data:image/png;base64,{PNG}"
    given_markup = (
        "<p><img src=a.png width=9><IMG SRC='b c.png' onerror=x()><img srcset=d.png><style><img src=\"0\"></style></p>"
    )
    asked = []
    made = clean(given_markup, lambda name: asked.append(name) or (address if name == "a.png" else f"<b>no {name}</b>"))
    assert asked == ["a.png", "b c.png", ""] and made.lost == {"handler"}
    assert made.markup.startswith(f'<p><img src="{address}" alt="" width="9"><b>no b c.png</b><b>no </b><style>')
    assert made.markup.count("src=") == 2, "one of them in a style sheet, where it is no element"


ENTANGLED = {
    "deep": "<div>" * 200_000, "closed at last": "<div>" * 80_000 + "</div>" * 80_000, "wrongly closed": "<div></x>" * 90_000,
    "lists": "<ul><li>" * 100_000, "closed in a style": "<div><style></div></style>" * 40_000, "links": "<a href=x>" * 100_000,
    "closed in a comment": "<div><!--</div>-->" * 50_000, "closed in an attribute": '<div a="></div>">' * 50_000,
    "joined": "<sp<i></i>a></sp>" * 50_000, "attributes": "<b " + " ".join(f"a{n}" for n in range(120_000)) + ">",
    "ampersands": "&x" * 400_000, "repeated": "<p>" + "".join(f"<font size={n}>" for n in range(100)) + "<p>x</p>" * 5_000,
    "formats": "<p>" + "".join(f"<font size={n}>" for n in range(999)) + "<p>x</p>" * 90_000, "unended": "<!--" * 200_000,
    "signs": "<" * 900_000, "declarations": "<!" * 450_000, "ends": "</" * 450_000, "tags": "<a" * 400_000,
}  # fmt: skip


@pytest.mark.parametrize("entangled", ENTANGLED.values(), ids=ENTANGLED)
def test_no_markup_takes_long_or_grows_without_end(entangled):
    made = []
    assert seconds(lambda: made.extend((clean(entangled), first_table(f"<table>{entangled}")))) < 5
    assert len(made[0].markup) < 9 * len(entangled)
    seen = Audit(f"<html><body>{made[0].markup}</body></html>")
    assert seen.wrong == [] and seen.open == []


def test_a_listing_of_many_elements_is_not_taken_for_entangled():
    rows = "".join(
        f'<tr><th id="T_1_row{n}" class="row_heading" >{n}</th><td><div><a href="/x"><b>{n} &amp; 1</b></a><br></div></td></tr>'
        for n in range(6_000)
    )
    assert clean(f"<table><tbody>{rows}</tbody></table>").markup.count("<a href") == 6_000


def test_the_tables_of_a_styler_keep_their_colours():
    styled = (
        pd.DataFrame({"a": [1, 2]})
        .style.set_caption("A & B")
        .bar()
        .set_table_styles([{"selector": "td > b", "props": "top: 0"}])
    )
    written = styled.to_html()
    kept = clean(written)
    assert re.search(r"<style[^>]*>(.*?)</style>", written, re.S)[1].strip() in kept.markup and not kept.lost
    assert re.findall(r' (?:id|class)="[^"]*"', kept.markup) == re.findall(r' (?:id|class)="[^"]*"', written)


# -- pictures beside the notebook


def test_a_picture_beside_the_notebook_is_in_the_page_and_nothing_else_is(tmp_path):
    own, outside = tmp_path / "own", tmp_path / "outside"
    (own / "sub dir").mkdir(parents=True)
    outside.mkdir()
    content = base64.b64decode(PNG)
    for file in (own / "logo.png", own / "sub dir" / "ü.png", outside / "x.png", tmp_path / "own.png"):
        file.write_bytes(content)
    (own / "drawing.svg").write_text(SVG)
    (own / "secret.png").write_text("a text")
    (own / "link.png").symlink_to(outside / "x.png")
    (own / "inner.png").symlink_to(own / "logo.png")
    (own / "folder").symlink_to(outside)
    (own / "circle.png").symlink_to(own / "circle.png")
    (own / "large.png").write_bytes(content + b"\0" * pictures.LARGEST)
    os.mkfifo(own / "pipe.png")
    names = [
        "logo.png",
        "./logo.png",
        "sub%20dir/%C3%BC.png",
        "drawing.svg",
        "inner.png",
        "logo.png?x#y",
        "sub dir/../logo.png",
    ]
    for name in names:
        assert pictures.beside(own, name).address.startswith("data:image/")
    for name in ("link.png", "folder/x.png", "../outside/x.png", "..%2foutside%2fx.png", str(outside / "x.png"), "../own.png",
                 "circle.png", "pipe.png", "large.png", "secret.png", "none.png", "", ".", "sub dir", "\0", "a" * 5000):  # fmt: skip
        with pytest.raises(pictures.NoPicture):
            pictures.beside(own, name)
    with pytest.raises(pictures.NoPicture, match="is not here"):
        pictures.beside(None, "logo.png")
    found = shown(tmp_path, markdown("![logo](logo.png) ![x](../outside/x.png)\n\n<img src=drawing.svg onload=x()>"),
                  notebook=str(own / "step.ipynb"))  # fmt: skip
    assert len(found.sources) == 2 and "does not lie in the notebook's folder" in found.text


# -- bounds


def seconds(function, *given) -> float:
    """Processor time: what else the machine does counts little."""
    began = time.process_time()
    function(*given)
    return time.process_time() - began


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream", "name": "stdout", "text": "a line of output\n" * 2_000_000},
        {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m " * 1_000_000},
        display({"text/html": "<table>" + "<tr><td>0.1234</td><td>5</td></tr>" * 800_000 + "</table>"}),
        display({"text/html": "<b>" * 3_000_000}),
        display({"text/html": "<!--<a '\"" * 1_000_000}),
        display({"text/markdown": "a\n" * 5_000_000}),
        display({"text/markdown": "\\\\[" * 12_000}),
        display({"application/json": ["a"] * 3_000_000}),
        display({"text/plain": "x" * 20_000_000}),
    ],
    ids=lambda output: str(output)[:40],
)
def test_a_large_output_makes_no_large_page_and_what_is_left_out_is_said(tmp_path, output):
    record = of_file(
        tmp_path, {"cells": [markdown("# T"), code(output), code(source="after")], "nbformat": 4, "metadata": {}}
    )
    made = []
    assert seconds(lambda: made.append(page.render(record))) < 15
    assert len(made[0]) < 3_000_000
    found = Audit(made[0]).check()
    assert re.search(r"left out|as they were written|without", found.text) or "<b>" * 50 in made[0]
    assert "after" in found.text


def test_many_outputs_and_pictures_fill_a_page_up_to_a_bound(tmp_path):
    many = [code({"output_type": "stream", "name": "stdout", "text": "abc " * 40_000}) for _ in range(100)]
    found = shown(tmp_path, *many, code(source="x = 1 # " + "long " * 100_000))
    assert "is left out: the page is full" in found.text and len(found.text) < 10_000_000
    around = outputs.Surroundings(pictures_left=len(PNG))
    assert "of pictures already" in outputs.markup(nbformat.from_dict(display({"image/png": PNG})), around)


def summary(*found) -> dict:
    return {"cells": [markdown("## Summary"), code(*found)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize(
    "given_text",
    ["\n".join(map(str, range(4_000))), " ".join(map(str, range(40_000))), "1,111" * 40_000, "111," * 50_000 + "x", "1" * 200_000,
     "7\n" * 100_000, "1e+999 " * 500, "a 1; " * 50_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_however_many_numbers_a_summary_prints_two_runs_are_compared_at_once(tmp_path, given_text):
    pair = [of_file(tmp_path, summary({"output_type": "stream", "name": "stdout", "text": given_text + end}), name)
            for name, end in (("a", "\n5 steady"), ("b", "\n6 steady"))]  # fmt: skip
    made = []
    assert seconds(lambda: made.append(diff_page.render(diff.compare(*pair)))) < 5
    found = diff.compare(*pair)
    assert len(found.numbers) <= 2 * scraped.NUMBERS
    assert len(found.numbers) < scraped.NUMBERS or "numbers of the summary are compared" in Audit(made[0]).check().text


@MANY
@given(st.one_of(st.text(max_size=8), st.integers().map(str), st.sampled_from(["100%", "100000000", "-3", "0", "", "1e9", "３"])),
       st.one_of(st.text(max_size=8), st.integers().map(str), st.sampled_from(["100%", "100000000", "-3", "0"])))  # fmt: skip
def test_whatever_a_cell_claims_to_span_a_table_is_read(columns, rows):
    spans = f'colspan="{html.escape(columns)}" rowspan="{html.escape(rows)}"'
    table = first_table(f"<table><tr><td {spans}>all</td><td>5</td></tr><tr><td>a</td><td>6</td></tr></table>")
    assert all(len(row) <= COLUMNS for row in table.body) and sum(map(len, table.body)) <= CELLS
    assert table.cut or {"5", "6"} <= {text for row in table.body for text in row}


@pytest.mark.parametrize(
    "given_markup",
    ["<table>" * 100_000, "<table>" + "<tr>" * 200_000, "<table><tr>" + "<td rowspan=9999 colspan=9999>1</td>" * 30_000,
     "<table>" + "<tr><td>1</td></tr>" * 100_000 + "</table>", "<table><tr><td>" + "<b " * 300_000,
     "<table><thead><tr>" + "<th>a</th>" * 199 + "</tr></thead>" + ("<tr>" + "<td>7</td>" * 199 + "</tr>") * 900],
    ids=lambda markup: markup[:30],
)  # fmt: skip
def test_deep_wide_and_long_tables_are_read_within_bounds(tmp_path, given_markup):
    pair = [of_file(tmp_path, summary(display({"text/html": given_markup})), name) for name in "ab"]
    assert seconds(lambda: diff_page.render(diff.compare(*pair))) < 6
    assert len(diff.compare(*pair).numbers) <= scraped.NUMBERS


@MANY
@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 99)), min_size=1, max_size=8))
def test_the_numbers_of_a_frame_are_those_of_pandas(rows):
    frame = pd.DataFrame(rows, columns=["views", "likes"], index=[f"city {n}" for n in range(len(rows))])
    found = scraped.figures(nbformat.from_dict(summary(display({"text/html": frame.to_html()}))))
    labelled = len(rows) > 1  # the label of a single row tells nothing
    expected = {
        f"{city} · {name}" if labelled else name: str(frame.loc[city, name])
        for city in frame.index
        for name in frame.columns
    }
    assert found == expected


def test_pictures_are_compared_in_every_kind_and_up_to_a_number(tmp_path):
    earlier = of_file(
        tmp_path, summary(display({"image/svg+xml": SVG}), display({"image/png": "'><meta/http-equiv=refresh>"})), "a"
    )
    later = of_file(
        tmp_path, summary(display({"image/svg+xml": SVG.replace("3", "4")}), *[display({"image/png": PNG})] * 60), "b"
    )
    found = diff.compare(earlier, later)
    seen = Audit(diff_page.render(found)).check()
    assert not found.pictures[0].same and seen.sources[0].startswith("data:image/svg+xml;base64,")
    assert f"Only the first {diff.PICTURES} pictures are compared" in seen.text and "its data is no base64" in seen.text
    assert len(seen.sources) == diff.PICTURES + 1


sources = st.lists(
    st.lists(st.sampled_from(["a = 1", "a = 2", "b", "", "  c()", "x" * 9]), max_size=6).map("\n".join), max_size=6
)


@MANY
@given(sources, sources)
def test_the_code_before_and_after_can_be_read_off_the_changes(old, new):
    found = code_diff.changes(old, new)
    assert (found == []) == (old == new)
    before = [[line for line, _ in cell.lines if line is not None] for cell in found if cell.heading != "new cell"]
    after = [[line for _, line in cell.lines if line is not None] for cell in found if cell.heading != "removed cell"]
    assert is_part_of(before, [text.splitlines() for text in old]) and is_part_of(
        after, [text.splitlines() for text in new]
    )
    assert len(old) - len(before) == len(new) - len(after), "what is not told of is in both"


def is_part_of(some: list, all_of_them: list) -> bool:
    """Whether these stand in a list, in this order."""
    rest = iter(all_of_them)
    return all(item in rest for item in some)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["\n".join("a" * 300 + str(n) for n in range(100))], ["\n".join("a" * 300 + str(n) for n in range(100, 200))]),
        (
            ["\n".join(f"line {n} {n * n}" for n in range(30_000))],
            ["\n".join(f"line {n} {n * 3}" for n in range(30_000))],
        ),
        (["a" * 10**7], ["b" * 10**7]),
        (["x = 1"] * 4_000, ["x = 2"] * 4_000),
        ([f"x = {n}\ny = {n}" for n in range(2_000)], [f"x = {n}\nz = {n}" for n in range(2_000)]),
        (["\n".join("a" * 600)], ["\n".join("ab" * 300)]),
        (["a b " * 10_000], ["b a " * 10_000]),
    ],
    ids=lambda cells: f"{len(cells)} of {len(cells[0])}",
)
def test_the_code_of_any_two_notebooks_is_compared_at_once(tmp_path, old, new):
    pair = [of_file(tmp_path, {"cells": [code(source=s) for s in cells_of], "metadata": {}, "nbformat": 4}, name)
            for name, cells_of in (("a", old), ("b", new))]  # fmt: skip
    made = []
    assert seconds(lambda: made.append(diff_page.render(diff.compare(*pair)))) < 5
    assert len(made[0]) < 8_000_000 and "Code" in Audit(made[0]).check().text


# -- the chat page and the index


@MANY
@given(
    st.lists(
        st.one_of(texts, st.sampled_from(["<b>", "</b>", "<a href='https://x.y/?a=1&amp;b'>", "</a>", "<i>", "</i>"])),
        max_size=8,
    )
)
def test_the_chat_page_shows_telegrams_tags_and_no_others(parts):
    shown_text = tags.shown("".join(parts))
    found = Audit(f"<html><body>{shown_text}</body></html>")
    assert found.wrong == [] and found.open == []
    assert set(re.findall(r"<([a-z-]+)", shown_text)) <= set(tags.ATTRIBUTES)
    for attributes in re.findall(r"<[a-z-]+ ([^>]*)>", shown_text):
        assert re.fullmatch(r'href="(https?|tg)://[^"]*"', attributes)


@pytest.mark.parametrize(
    "wrong",
    ["<b onclick=alert(1)>x</b>", "<a href='javascript:alert(1)'>x</a>", "<a href='/x'>x</a>", "<a href=data:x>x</a>", "<br>",
     "<b style='position:fixed'>x</b>", "<span class=from>x</span>", "<code class='a b'>x</code>", "<a onclick=x href=//x>x</a>",
     "<a href='http://x.y' id=z>x</a>", "<b/onclick=x>y</b>"],
)  # fmt: skip
def test_a_message_with_more_than_telegrams_tags_is_refused(wrong):
    with pytest.raises(ValueError, match="Telegram takes no"):
        markup.check(wrong)
    assert not Audit(f"<html><body>{tags.shown(wrong)}</body></html>").wrong


def test_what_telegram_takes_is_taken():
    right = (
        '<a href="https://x.y/?a=1&amp;b=2">x</a><a href="tg://user?id=1">y</a><pre><code class="language-python">1</code></pre>'
        '<blockquote expandable="">q</blockquote><span class="tg-spoiler">s</span><tg-emoji emoji-id="1">e</tg-emoji> 5 &lt; 6'
    )
    markup.check(right)
    assert tags.shown(right) == right


@pytest.mark.parametrize("long", ["<b " * 100_000, "<a href='" * 50_000, "<!--" * 100_000, "<b>" * 50_000 + "</i>" * 50_000,
                                  "<b " + "x=y " * 900 + ">", "&" * 200_000], ids=lambda long: long[:9])  # fmt: skip
def test_no_text_of_a_chat_takes_long(long):
    made = []
    assert seconds(lambda: made.append(tags.shown(long))) < 5
    assert not Audit(f"<html><body>{made[0]}</body></html>").wrong


def test_the_index_runs_its_own_script_and_no_other():
    made = index_page()
    script = re.search(r"<script>(.*?)</script>", made, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', made)[1])
    assert f"script-src 'sha256-{digest}' 'strict-dynamic';" in policy and policy.startswith("default-src 'none'")
    assert made.count("<script") == 1 and not re.search(r"\son\w+=", made.replace(script, ""))


# -- in a browser

WAYS = """
document.title = "taken over"; fetch(ADDRESS); new Image().src = ADDRESS;
"""


@pytest.fixture
def elsewhere():
    """A server that no page may reach: its address, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@needs_browser
@pytest.mark.slow
def test_a_browser_finds_nothing_active_in_pages_of_hostile_notebooks(tmp_path, browser, elsewhere):  # noqa: F811
    address, asked = elsewhere
    do = html.escape(WAYS.replace("ADDRESS", repr(address)))
    tricks = [
        f"<script>{html.unescape(do)}</script>", f'<img src=x onerror="{do}">', f'<svg><style><img src=x onerror="{do}">',
        f"'><meta http-equiv=refresh content='0;url={address}/meta'>", f"<svg onload='{do}'>", f"<base href={address}/>",
        f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={do}&gt;'>",
        f"<noscript><p title='</noscript><img src=x onerror=\"{do}\">'></noscript>", f"<iframe src='{address}/frame'></iframe>",
        f"<link rel=stylesheet href={address}/css><style>@import '{address}/import'; p {{ background: url({address}/bg) }}</style>",
        f"<img src={address}/img><img srcset={address}/set><video poster={address}/poster src={address}/v autoplay></video>",
        "</pre></div></main></body></html><!--", "<plaintext>", "<textarea>", "<xmp>", "<select><option>", "<title>",
    ]  # fmt: skip
    held = [*map(markdown, tricks)]
    held += [code({"output_type": "stream", "name": "stdout", "text": trick}, display({"text/html": trick}),
                  display({"image/png": trick}), display({"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'>{trick}"}),
                  display({"text/markdown": trick}, alt=trick)) for trick in tricks]  # fmt: skip
    document = {"cells": held, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    pair = [of_file(tmp_path, document, name, error="".join(tricks), parameters={"a": tricks}) for name in "ab"]
    pages = {"page": page.render(pair[0]), "comparison": diff_page.render(diff.compare(*pair))}
    messages = [{"id": f"team k{n} text 1", "at": "2026-11-22T11:00:00", "chat": trick, "text": trick, "photos": [trick],
                 "reply_to": "", "note": trick} for n, trick in enumerate(tricks)]  # fmt: skip
    pages["chat"] = chat_page._page(messages)
    for name, made in pages.items():
        file = tmp_path / f"{name}.html"
        file.write_text(made)
        browser.get(file.as_uri())
        time.sleep(1.5)  # every trick has had its time
        assert browser.current_url == file.as_uri() and browser.title != "taken over" and asked == []
        active = "script, iframe, object, embed, form, input, textarea, select, video, link, base, plaintext, xmp"
        assert browser.execute_script("return document.querySelectorAll(arguments[0]).length", active) == 0
        handlers = "return [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
        assert browser.execute_script(handlers) == []
        ending = browser.execute_script("return document.body.lastElementChild.tagName")
        assert ending == ("MAIN" if name == "chat" else "FOOTER"), "nothing of the page was swallowed or closed"
