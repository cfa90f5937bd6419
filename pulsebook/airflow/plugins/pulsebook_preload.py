"""Imports once per worker what every notebook task needs: papermill and nbconvert cost a task two seconds otherwise.

Airflow loads plugins before it forks the processes of its tasks.
"""

from nbformat import v4

from pulsebook import runner  # noqa: F401 (it is imported for the processes to come)
from pulsebook.archive.page import body

cells = [v4.new_markdown_cell("# Templates"), v4.new_code_cell("are compiled at their first use")]
body(cells, v4.new_notebook(cells=cells))
