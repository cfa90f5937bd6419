"""The embedded warehouse, filled and kept in `.local/warehouse`, with JupyterLab on the notebooks.

python -m pulsebook.local.lab [--warehouse-only] [--port 8123]
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from pulsebook.local import sample
from pulsebook.local.server import running
from pulsebook.settings import ROOT, settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--warehouse-only", action="store_true")
    parser.add_argument("--port", type=int, default=8123)
    arguments = parser.parse_args()
    with running(ROOT / ".local" / "warehouse", arguments.port) as url:
        try:
            print("… filling the warehouse", flush=True)
            print(
                sample.fill(sample.http(url), 31, 6_000, 1, None, settings().timezone.key, settings().source_database)
            )
        except sample.SampleError as error:
            print(f"kept as it is: {error}")
        print(f"warehouse: {url} (Ctrl-C stops it)", flush=True)
        if arguments.warehouse_only:
            while True:
                time.sleep(3600)
        lab = [
            str(Path(sys.executable).with_name("jupyter")),
            "lab",
            "--ip=127.0.0.1",
            f"--notebook-dir={ROOT / 'notebooks'}",
        ]
        return subprocess.run(
            lab, env={**os.environ, "PULSEBOOK_CLICKHOUSE_URL": url, "PYTHONPATH": str(ROOT)}
        ).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
