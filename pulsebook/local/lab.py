"""The embedded warehouse, filled and kept in `.local/warehouse`, with JupyterLab on the project.

    python -m pulsebook.local.lab [--warehouse-only] [--port 8123]

Events go on arriving while it runs. Where the warehouse of this folder runs already, JupyterLab works on that one.
"""

import argparse
import os
import subprocess
import sys
import threading
from pathlib import Path

from pulsebook.base import embedded
from pulsebook.base.settings import ROOT, SettingsError
from pulsebook.local import sample, services, shared


def jupyter() -> list[str]:
    """The command of JupyterLab on the project; `pulsebook.lab` says what is ours in it."""
    command = [str(Path(sys.executable).with_name("jupyter")), "lab", "--ip=127.0.0.1", f"--ServerApp.root_dir={ROOT}"]
    command += [
        "--ServerApp.contents_manager_class=pulsebook.lab.server.Contents",
        "--AsyncMappingKernelManager.kernel_manager_class=pulsebook.lab.server.KernelManager",
        f"--LabApp.app_settings_dir={Path(__file__).parents[1] / 'lab' / 'settings'}",
        "--LabApp.default_url=/lab/tree/start.md",
    ]
    if os.geteuid() == 0:  # as in many a container; it listens on loopback alone
        command.append("--allow-root")
    return command


def _until_stopped() -> int:
    threading.Event().wait()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.lab", description=__doc__.splitlines()[0])
    parser.add_argument("--warehouse-only", action="store_true")
    parser.add_argument("--port", type=int, default=8123)
    arguments = parser.parse_args()
    there = embedded.url(ROOT)
    with shared.warehouse(arguments.port) as url:
        address = f"http://{url.rpartition('@')[2]}"
        print(f"warehouse: {address} ({'runs already' if there else 'Ctrl-C stops it'})", flush=True)
        print(f"  user default, password {services.warehouse_password(shared.PASSWORD)}")
        print(
            f"  for notebooks elsewhere: PULSEBOOK_CLICKHOUSE_URL={url} (the commands of this folder find it by themselves)"
        )
        print(f"  for you: {services.how_to_query(address, shared.PASSWORD)}", flush=True)
        if arguments.warehouse_only:
            return 0 if there else _until_stopped()
        return subprocess.run(jupyter(), env={**os.environ, **services.sample_only(url)}).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (sample.SampleError, SettingsError, RuntimeError) as error:  # such as a folder that another warehouse uses
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)
