"""Does once per worker what every notebook task needs: imports and first uses cost a task two seconds otherwise.

Airflow loads plugins before it forks the processes of its tasks.
"""

from pulsebook import runner

runner.rehearse()
