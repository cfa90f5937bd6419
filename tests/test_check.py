"""`pulsebook check`: every rule names what is wrong with its place, and lets the right neighbour be."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from pulsebook.base.settings import ROOT, settings
from pulsebook.cli import checks, main

PARAMETERS = 'run_date: str = ""  # day, ISO; empty: yesterday\npost: bool = False  # deliver\nlimits: list[int] = [1, -2]  # of it'
TEXT, CODE = "markdown", "code"
CELLS = [  # a notebook without a fault
    (TEXT, "# A report\n\nReads a table, posts a line. Owner: analytics."),
    (CODE, PARAMETERS),
    (TEXT, "## Load\nWhy."),
    (CODE, "from pulsebook.base.periods import run_day\n\nday = run_day(run_date)"),
    (CODE, 'rows = f"SELECT {feed.select("views")} FROM {feed.table}"'.replace('"views"', "'views'")),
    (TEXT, "## Check\nWhy."),
    (CODE, "if not rows:\n    raise ValueError(f'expected rows of {day}, found none: clear the task')"),
    (TEXT, "## Deliver\nOnce."),
    (CODE, "if post:\n    print('posted')"),
    (TEXT, "## Summary"),
    (CODE, "summary(day, {'rows': 1})\nrows"),
]
DAG = '''"""A report."""

from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.operator import NotebookOperator

with daily("11:00", file=__file__, doc=__doc__) as dag:
    NotebookOperator(notebook="reports/report.ipynb", parameters={"post": True})
'''


class Tree:
    """A folder with notebooks and DAGs: one of each, without a fault."""

    def __init__(self, folder):
        self.notebooks, self.dags = folder / "notebooks", folder / "dags"
        (self.notebooks / "reports").mkdir(parents=True)
        self.dags.mkdir()
        self.dag(DAG)
        self.content = {
            "cells": [self.cell(kind, source, number) for number, (kind, source) in enumerate(CELLS)],
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        self.content["cells"][1]["metadata"]["tags"] = ["parameters"]

    @staticmethod
    def cell(kind: str, source: str, name) -> dict:
        code = {"outputs": [], "execution_count": None} if kind == CODE else {}
        return {"cell_type": kind, "id": str(name), "metadata": {}, "source": source.splitlines(keepends=True), **code}

    def __setitem__(self, number: int, cell: dict) -> None:
        self.content["cells"][number - 1] = cell

    def __getitem__(self, number: int) -> dict:
        """A cell, counted from 1."""
        return self.content["cells"][number - 1]

    def write(self, number: int, source: str) -> None:
        self[number]["source"] = source.splitlines(keepends=True)

    def insert(self, number: int, kind: str, source: str, *tags: str) -> None:
        self.content["cells"].insert(number - 1, self.cell(kind, source, f"new{number}"))
        self[number]["metadata"] = {"tags": list(tags)} if tags else {}

    def dag(self, text: str, name: str = "report") -> None:
        (self.dags / f"{name}.py").write_text(text)

    def save(self) -> "Tree":
        (self.notebooks / "reports" / "report.ipynb").write_text(json.dumps(self.content))
        return self

    def findings(self, hints: bool = False) -> list:
        self.save()
        return [one for one in checks.check(self.notebooks, self.dags) if hints or not one.hint]


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


def test_a_tree_without_a_fault_passes(tree):
    assert tree.findings(hints=True) == []


def test_the_project_passes():
    found = list(checks.check(settings().notebooks, ROOT / "dags"))
    assert [str(one) for one in found if not one.hint] == []


def code(source: str, number: int = 5):
    return lambda tree: tree.write(number, source)


def parameters(source: str):
    return code(f"{PARAMETERS}\n{source}", 2)


def metadata(number: int, **values):
    return lambda tree: tree[number]["metadata"].update(values)


def of_cell(number: int, **values):
    return lambda tree: tree[number].update(values)


WRONG = {  # what is done to the notebook: rule, cell, line, a part of the sentence
    "no parameters cell": (lambda t: t[2].update(metadata={}), "parameters cell", None, None, "found none"),
    "two parameters cells": (metadata(4, tags=["parameters"]), "parameters cell", 4, None, "found another one after cell 2"),
    "code before the parameters": (lambda t: t.insert(2, CODE, "import pandas"), "parameters cell", 3, None, "code in cell 2"),
    "derived value": (parameters("\nuntil = run_date or 'x'  # n"), "parameters", 2, 5, "found `run_date or 'x'`"),
    "computed value": (parameters("n: int = len('abc')  # n"), "parameters", 2, 4, "found `len('abc')`"),
    "formatted value": (parameters('n: str = f"{post}"  # n'), "parameters", 2, 4, "is computed"),
    "no type": (parameters("n = 1  # n"), "parameters", 2, 4, "n has no type"),
    "no comment": (parameters("n: int = 1"), "parameters", 2, 4, "n has no meaning"),
    "another type": (parameters("n: int = 'a'  # n"), "parameters", 2, 4, "n must be int, as its type says, found 'a'"),
    "import in the parameters": (parameters("import pandas"), "parameters", 2, 4, "found `import pandas`"),
    "parameter twice": (parameters("post: bool = True  # n"), "parameters", 2, 4, "post is there twice"),
    "assigned": (code("x = 1\nrun_date = run_date or 'x'"), "second value", 5, 2, "run_date is a parameter"),
    "assigned in a branch": (code("if rows:\n    post = True"), "second value", 5, 2, "assigned"),
    "unpacked": (code("a, (post, *limits) = 1, (2, 3)"), "second value", 5, 1, "post"),
    "augmented": (code("limits += [3]"), "second value", 5, 1, "limits"),
    "loop": (code("for post in [1]:\n    pass"), "second value", 5, 1, "made a loop's variable"),
    "with": (code("with open('f') as post:\n    pass"), "second value", 5, 1, "post"),
    "import": (code("from x import y as post"), "second value", 5, 1, "imported"),
    "import of a package": (code("import post.office"), "second value", 5, 1, "imported"),
    "del": (code("del post"), "second value", 5, 1, "deleted"),
    "walrus": (code("[x for x in rows if (post := x)]"), "second value", 5, 1, "assigned"),
    "function": (code("\n\n@cache\ndef post():\n    return 1"), "second value", 5, 4, "defined"),
    "class": (code("class post:\n    pass"), "second value", 5, 1, "defined"),
    "except": (code("try:\n    f()\nexcept ValueError as post:\n    raise"), "second value", 5, 3, "post"),
    "match": (code("match rows:\n    case [post]:\n        f()"), "second value", 5, 2, "post"),
    "global": (code("def f():\n    global post\n    post = 1"), "second value", 5, 3, "as a global"),
    "magic": (code("%matplotlib inline\npost = !ls"), "second value", 5, 2, "post"),
    "below a cell magic": (code("%%time\n\npost = 1"), "second value", 5, 3, "post"),
    "output": (of_cell(4, outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}]), "outputs", 4, None, "make format"),
    "execution count": (of_cell(4, execution_count=3), "outputs", 4, None, "found 3"),
    "metadata of a cell": (metadata(4, scrolled=True), "metadata", 4, None, "'scrolled'"),
    "metadata of the notebook": (lambda t: t.content["metadata"].update(papermill={}), "metadata", None, None, "'papermill'"),
    "metadata of the language": (
        lambda t: t.content["metadata"]["language_info"].update(version="3.11"), "metadata", None, None, "'language_info.version'",
    ),
    "undefined tag": (metadata(4, tags=["paramters"]), "tags", 4, None, "'paramters'"),
    "id missing": (lambda t: t[4].pop("id"), "cell id", 4, None, "found None"),
    "id twice": (of_cell(4, id="0"), "cell id", 4, None, "'0' of cell 1 again"),
    "aggregate": (
        code('rows = f"""\n    SELECT\n        countIf(action = \'view\') AS views\n"""'), "catalogue", 5, 3, 'take events(source, "feed").select("views")',
    ),
    "aggregate of several metrics": (code('x = "SELECT uniqExact(user_id)"'), "catalogue", 5, 1, "feed_users or messenger_users"),
    "aggregate as others write it": (code('x = "SELECT COUNT(DISTINCT user_id)"'), "catalogue", 5, 1, "`COUNT(DISTINCT user_id)`"),
    "aggregate of the receiver": (code('x = f"SELECT uniqExact({feed.receiver})"'), "catalogue", 5, 1, "users_sent"),
    "event table": (code('x = f"{database}.feed_actions"'), "catalogue", 5, 1, "table of feed"),
    "no summary": (lambda t: t.content["cells"].__delitem__(slice(-2, None)), "summary", 9, None, "found a code cell in the section '## Deliver'"),
    "text after the summary": (lambda t: t.insert(12, TEXT, "The end."), "summary", 12, None, "found a markdown cell"),
    "summary without a call": (code("rows", 11), "summary", 11, None, "found none"),
    "no title": (code("A report", 1), "title", 1, None, "begins 'A report'"),
    "code first": (lambda t: t.insert(1, CODE, "import pandas"), "title", 1, None, "found a code cell"),
    "first section": (code("## Read", 3), "sections", 3, None, "found '## Read'"),
    "nothing left behind": (code("## Other", 8), "sections", None, None, "## Deliver"),
    "imports Airflow": (code("def f():\n    from airflow.sdk import DAG"), "imports", 5, 2, "no import of airflow"),
    "imports our Airflow": (code("from pulsebook.airflow.operator import RUN_DATE"), "imports", 5, 1, "pulsebook.airflow"),
    "imports local": (code("from pulsebook import local"), "imports", 5, 1, "pulsebook.local"),
    "syntax": (code("x = 1\n\nif x\n    y"), "syntax", 5, 3, "expected ':'"),
    "syntax below empty lines": (code("\n\nx = = 1"), "syntax", 5, 3, "invalid syntax"),
    "below a deep expression": (code("x = y" + ".f()" * 600 + "\npost = 1"), "second value", 5, 2, "post"),
    "a filter": (code('x = "WHERE action = 1"'), "catalogue", 5, 1, "a filter of actions"),
    "a count": (code('x = "SELECT countIf(action = 1)"'), "catalogue", 5, 1, "`countIf(action = 1)`"),
    "bracket": (code("x = 1\ny = (1,"), "syntax", 5, 2, "never closed"),
    "return": (code("x = 1\nreturn x"), "syntax", 5, 2, "outside function"),
    "bare assert": (code("x = 1\nassert x"), "checks", 5, 2, "without a message"),
    "silenced": (code("try:\n    f()\nexcept ValueError:\n    pass"), "checks", 5, 3, "passed over"),
}  # fmt: skip

RIGHT = {  # neighbours that are as they should be
    "no default where the DAG gives one": lambda t: (
        t.write(2, f"{PARAMETERS}\nname: str  # n"), t.dag(DAG.replace('"post": True', '"post": True, "name": "x"'))
    ),
    "plain values": parameters('a: float = -1.5  # a\nb: dict = {"x": [1, None]}  # b\nc: str | None = None  # c\nd: float = 1  # d'),
    "a long value": parameters('a: list = [\n    1,\n    2,\n]  # a'),
    "compared": code("x = post == True\nprint(post)"),
    "own scope of a function": code("def f(post):\n    run_date = 1\n    return [post for post in limits]\n\n\ng = lambda post: post"),
    "own scope of a comprehension": code("x = [post for post in limits]"),
    "attribute and keyword": code("x.post = 1\nf(post=1)\nd['post'] = 2"),
    "another kernel": lambda t: (t.content["metadata"].clear(), t.content["metadata"].update(kernelspec={"name": "ir", "display_name": "R"}), t.write(5, "x <- 1"), t.write(11, "x <- 2")),
    "only an annotation": code("post: bool"),
    "magics": code("%matplotlib inline\n!ls\nx = !ls\nrows?"),
    "another language": code("%%bash\npost=1; if x"),
    "measured": code("%%time\nx = 1"),
    "waits": code("await f()"),
    "empty": code(""),
    "may fail": metadata(4, tags=["raises-exception"]),
    "source as one text": of_cell(4, source="x = 1\ny = 2"),
    "no kernel": lambda t: t.content["metadata"].clear(),
    "sums of our tables": code('x = f"SELECT sum(views), uniqExact(metric), countIf(sent > 0) FROM {TABLE}"'),
    "table in a docstring": code('def f():\n    """Rows of feed_actions."""\n    return 1'),
    "name of a table in code": code("feed_actions = 1  # not feed_actions"),
    "summary in a loop": code("for x in rows:\n    summary(day, x)", 11),
    "summary with a text": lambda t: t.write(10, "## Summary\nWhat was posted."),
    "a module named alike": code("from pulsebook.airflower import x\nimport localities"),
    "assert with a message": code("assert rows, f'expected rows, found {rows}: run again'"),
    "handled": code("try:\n    f()\nexcept ValueError:\n    x = 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_notebook_is_named_with_its_place(tree, case):
    change, rule, cell, line, words = WRONG[case]
    change(tree)
    found = [one for one in tree.findings() if one.rule == rule]
    assert found, tree.findings()
    (first, *_) = found
    assert (first.file, first.cell, first.line) == ("notebooks/reports/report.ipynb", cell, line)
    assert words in first.text and {one.rule for one in tree.findings()} <= {rule, "parameters cell", "parameters"}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_with_a_notebook_is_let_be(tree, case):
    RIGHT[case](tree)
    assert tree.findings() == []


def operator(text: str) -> str:
    return DAG.replace('NotebookOperator(notebook="reports/report.ipynb", parameters={"post": True})', text)


def helper(text: str) -> str:
    return DAG.replace("doc=__doc__", f"doc=__doc__, {text}")


NOTEBOOK = 'notebook="reports/report.ipynb"'
WRONG_DAGS = {  # line, a part of the sentence
    "an unknown parameter": (operator(f'NotebookOperator({NOTEBOOK}, parameters={{"pots": True}})'), 9, "no parameter pots; it has run_date, post, limits: is post meant?"),
    "named elsewhere": (operator(f'NotebookOperator({NOTEBOOK}, parameters=GIVEN)') + 'GIVEN = {\n    "other": 1}\n', 11, "no parameter other"),
    "joined": (operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": True}} | dict(other=1))'), 9, "no parameter other"),
    "mapped": (operator(f'NotebookOperator.partial(task_id="x", {NOTEBOOK}).expand(parameters=[{{"post": True}}, {{"other": 1}}])'), 9, "no parameter other"),
    "another type": (operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": "soon"}})'), 9, "post of notebooks/reports/report.ipynb must be bool, found 'soon'"),
    "nearly a parameter": (helper('params={"pos": Param(1)}'), 8, "the DAG's parameter pos, and nothing here reads it: is post meant?"),
    "nobody's parameter": (helper('params={"something": Param(1)}'), 8, "the DAG's parameter something, and nothing here reads it: leave it out"),
    "template of nothing": (operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": "{{{{ params.psot }}}}"}})'), 9, "no parameter psot, found it in a template"),
    "absent notebook": (operator('NotebookOperator(notebook="reports/reprot.ipynb")'), 9, "found none: is reports/report.ipynb meant?"),
    "absent notebooks": (operator('for n in NAMES:\n        NotebookOperator(notebook=f"etl/{n}.ipynb")'), 10, "expected the notebook etl/*.ipynb"),
    "one of a loop": (operator('for n in ("report", "other"):\n        NotebookOperator(notebook=f"reports/{n}.ipynb")'), 10, "reports/other.ipynb"),
    "slot": (DAG.replace("daily", "every_quarter_hour").replace('"11:00", ', ""), 9, "is about a slot"),
    "imports a DAG": (DAG.replace("from airflow.sdk import Param", "from etl import dag as other"), 3, "found etl: move what they share"),
    "imports a DAG of the folder": (DAG.replace("from airflow.sdk import Param", "import dags.etl"), 3, "found dags.etl"),
    "imports local": (DAG.replace("from airflow.sdk import Param", "from pulsebook.local import demo"), 3, "no import of pulsebook.local"),
    "a name that is made of itself": (operator('X = {"a": 1}\n    X = X | {"b": 1}\n    NotebookOperator(notebook="reports/" + N)').replace("doc=__doc__", "doc=__doc__, params=X") + 'N = "a"\nN = N + "b"\n', 11, "reports/"),
    "imports a DAG beside it": (DAG.replace("from airflow.sdk import Param", "from . import etl"), 3, "found .etl"),
    "syntax": (DAG + "x = = 1\n", 10, "expected Python"),
}  # fmt: skip
RIGHT_DAGS = {
    "by name": helper('params={"post": Param(True)}'),
    "by template": operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": "{{{{ params.deliver }}}}"}})').replace("doc=__doc__", 'doc=__doc__, params={"deliver": Param(True)}'),
    "by code": helper('params={"deliver": Param(True)}') + "\n    print(dag.params['deliver'])\n",
    "template of the period": operator(f'NotebookOperator({NOTEBOOK}, parameters={{"run_date": "{{{{ params.run_date }}}}"}})'),
    "a text that means it": operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": "true", "limits": (1, 2)}})'),
    "computed": operator(f'NotebookOperator({NOTEBOOK}, parameters={{"post": len([1]), **more()}})'),
    "mapped": operator(f'NotebookOperator.partial(task_id="x", {NOTEBOOK}).expand(parameters=days())'),
    "loop": operator('for n in ("report",):\n        NotebookOperator(notebook=f"reports/{n}.ipynb")'),
    "comprehension": operator('steps = [NotebookOperator(task_id=n, notebook="reports/" + n + ".ipynb") for n in names()]'),
    "constant": DAG.replace('"reports/report.ipynb"', "NAME") + '\n\nNAME = "reports/report.ipynb"\n',
    "no period": operator('NotebookOperator(notebook="reports/report.ipynb")').replace("doc=__doc__", "doc=__doc__, run_date=None"),
    "other imports": DAG.replace("from airflow.sdk import Param", "import etlib\nfrom pulsebook.warehouse import etl"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_DAGS)
def test_what_is_wrong_with_a_dag_is_named_with_its_place(tree, case):
    text, line, words = WRONG_DAGS[case]
    tree.dag(text)
    tree.dag("", "etl")
    found = [one for one in tree.findings() if one.file == "dags/report.py"]
    assert [(one.cell, one.line) for one in found] == [(None, line)], found
    assert words in found[0].text


@pytest.mark.parametrize("case", RIGHT_DAGS)
def test_what_is_right_with_a_dag_is_let_be(tree, case):
    tree.dag(RIGHT_DAGS[case])
    tree.dag("", "etl")
    assert tree.findings() == []


def test_a_parameter_without_a_default_needs_a_dag_that_gives_it(tree):
    tree.write(2, f"{PARAMETERS}\nname: str  # n")
    (found,) = tree.findings()
    assert (found.file, found.line) == (
        "dags/report.py",
        9,
    ) and "name of notebooks/reports/report.ipynb has no default" in found.text


def test_a_daily_notebook_takes_a_day(tree):
    tree.write(2, "post: bool = False  # deliver")
    (found,) = tree.findings()
    assert (found.file, found.line) == ("dags/report.py", 9) and "is about a run_date" in found.text


def test_a_notebook_needs_a_dag_or_says_that_people_run_it(tree):
    (tree.dags / "report.py").unlink()
    (found,) = tree.findings()
    assert found.rule == "no DAG" and found.file == "notebooks/reports/report.ipynb"
    tree.write(1, "# A report\n\nRun it by hand. Owner: analytics.")
    tree.write(8, "## Other")  # nothing has to be left behind by hand
    assert tree.findings() == []
    tree.write(2, f"{PARAMETERS}\nname: str  # n")
    (found,) = tree.findings()
    assert "name has no default" in found.text and (found.cell, found.line) == (2, 4)


def test_a_summary_that_states_no_facts_is_a_hint(tree):
    tree.write(11, "print(f'{day}: 1 row')")
    (found,) = tree.findings(hints=True)
    assert found.hint and found.cell == 11 and "states no facts" in found.text


@pytest.mark.parametrize("count", [9, 21])
def test_few_and_many_cells_are_a_hint(tree, count):
    while len(tree.content["cells"]) > count:
        del tree.content["cells"][4]
    while len(tree.content["cells"]) < count:
        tree.insert(4, CODE, "x = 1")
        tree[4]["id"] = f"more{len(tree.content['cells'])}"
    (found,) = tree.findings(hints=True)
    assert found.hint and f"expected 10 to 20 cells, found {count}" in found.text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [1]}', '{"cells": [{"source": ""}]}', "\udcff"])
def test_a_file_that_is_no_notebook_is_one_sentence(tree, text):
    tree.save()
    path = tree.notebooks / "reports" / "report.ipynb"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = list(checks.check(tree.notebooks, tree.dags))
    assert [one.rule for one in found] == ["notebook"], found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.content.update(nbformat_minor=4), "save it once with JupyterLab"),
        (lambda t: t[4].pop("outputs"), "'outputs' is a required property"),
        (metadata(4, tags="parameters"), "'parameters' is not of type 'array'"),
        (of_cell(4, metadata=[]), "is not of type 'object'"),
        (of_cell(4, cell_type="other"), "other"),
        (of_cell(4, source=None), "None"),
    ],
)
def test_what_jupyter_would_not_open_is_one_sentence(tree, change, words):
    change(tree)
    (found,) = tree.findings()
    assert found.rule == "notebook" and words in found.text, found


@pytest.fixture
def project(tree, monkeypatch):
    """The tree in place of the project."""
    monkeypatch.setenv("PULSEBOOK_NOTEBOOKS", str(tree.notebooks))
    monkeypatch.setattr("pulsebook.cli.check.ROOT", tree.notebooks.parent)
    settings.cache_clear()
    yield tree
    settings.cache_clear()


def test_the_command_prints_sentences_and_ends_with_1(project, capsys):
    project.save()
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    project.write(5, "post = True")
    project.save()
    assert main(["check"]) == 1
    line, outcome = capsys.readouterr().out.splitlines()
    assert re.match(r"notebooks/reports/report.ipynb, cell 5, line 1: post is a parameter", line)
    assert outcome == "1 thing is wrong"


def test_the_command_speaks_json(project, capsys):
    project.write(5, "post = True")
    project.save()
    assert main(["check", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found.pop("text").startswith("post is a parameter")
    place = {"file": "notebooks/reports/report.ipynb", "cell": 5, "line": 1}
    assert found == place | {"rule": "second value", "hint": False}


def test_the_command_looks_at_what_it_is_asked_for(project, capsys, tmp_path):
    project.write(5, "post = True")
    project.dag(operator(f'NotebookOperator({NOTEBOOK}, parameters={{"pots": True}})') + "\nimport dags.etl\n")
    project.save()
    other = tmp_path / "draft.ipynb"
    project.write(5, "del post")
    other.write_text(json.dumps(project.content))

    def said(*paths) -> list[str]:
        main(["check", "--json", *map(str, paths)])
        return [f"{one['rule']} {one['line']}" for one in json.loads(capsys.readouterr().out)]

    of_notebook, of_dag = ["second value 1", "parameters 9"], ["imports 11", "parameters 9"]
    assert said(project.notebooks / "reports" / "report.ipynb") == of_notebook
    assert said(project.dags / "report.py") == of_dag
    assert said(project.notebooks / "reports") == of_notebook[:1]
    assert said(project.notebooks, project.dags) == said() == ["second value 1", *of_dag]
    assert said(other) == ["second value 1"], "no DAG is expected of a notebook elsewhere"


@pytest.mark.parametrize("path", ["absent.ipynb", "pyproject.toml"])
def test_a_path_that_is_none_to_check_is_refused(path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", str(ROOT / path)])
    assert ended.value.code == 2 and "expected notebooks, DAG files or folders" in capsys.readouterr().err


def test_checking_imports_neither_airflow_nor_the_warehouse():
    program = (
        "import sys; from pulsebook.cli import main; assert main(['check']) == 0; "
        "found = {'airflow', 'pulsebook.warehouse', 'chdb'} & set(sys.modules); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0


def test_lint_and_pre_commit_run_the_same_checks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1]
    assert [hook["id"] for hook in hooks] == [
        "ruff-check",
        "ruff-format",
        "nbstripout",
        "lint-imports",
        "pulsebook-check",
    ]
    lint = lint.replace("$(STRIP)", "$(BIN)/nbstripout")
    for hook in hooks:
        command = re.match(r"\.venv/bin/(\w[\w-]*(?: -m pulsebook)?(?: check| format)?)", hook["entry"])[1]
        assert f"$(BIN)/{command}" in lint, hook
    assert lint.index("ruff format") < lint.index("pulsebook check")
    keys = {word for word in hooks[2]["entry"].replace('"', " ").split() if "metadata." in word}
    written = subprocess.run(["make", "-n", "format"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert keys == {word for word in written.replace('"', " ").split() if "metadata." in word}


def test_what_jupyterlab_adds_is_taken_out_by_make_format(tree):
    tree.content["metadata"]["language_info"] |= {
        "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py", "mimetype": "text/x-python",
        "nbconvert_exporter": "python", "pygments_lexer": "ipython3", "version": "3.11.7",
    }  # fmt: skip
    tree[4]["metadata"] = {"editable": True, "slideshow": {"slide_type": ""}}
    tree[4] |= {"execution_count": 1, "outputs": [{"output_type": "stream", "name": "stdout", "text": ["x"]}]}
    assert tree.findings()
    written = subprocess.run(["make", "-n", "format"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    strip = re.search(r"nbstripout (--extra-keys \"[^\"]+\")", written)[1]
    path = tree.notebooks / "reports" / "report.ipynb"
    program = f"{sys.executable} -m nbstripout {strip} {path}"
    subprocess.run(program, shell=True, check=True)
    assert list(checks.check(tree.notebooks, tree.dags)) == []
