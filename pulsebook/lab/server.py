"""What `make lab` puts in place of parts of JupyterLab's server: the start page, and our magic in its kernels.

It is done in the server, so a kernel hands none of it on: what `%pulsebook run` starts knows no magic.
"""

import hashlib
from datetime import UTC, datetime

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from pulsebook.base.settings import ROOT, settings
from pulsebook.lab import start

EXTENSION = "--IPKernelApp.extra_extensions=pulsebook.lab"


class Contents(AsyncLargeFileManager):
    """The files of the project and, as one of them, the start page: made when it is opened, it is never out of date."""

    async def get(self, path, content=True, type=None, format=None, require_hash=False):
        """JupyterLab's way to a file."""
        if path.strip("/") == start.NAME:
            return _page(content, require_hash)
        model = await super().get(path, content, type, format, require_hash)
        if content and model["type"] == "directory" and not model["path"]:
            model["content"].append(_page(content=False))
        return model


class KernelManager(ServerKernelManager):
    """A kernel of JupyterLab: with our magic, and where kernels of runs work, too."""

    def format_kernel_cmd(self, extra_arguments=None):
        """jupyter_client's hook before a kernel starts."""
        ours = [EXTENSION] if any("ipykernel" in part for part in self.kernel_spec.argv) else []
        return super().format_kernel_cmd([*(extra_arguments or []), *ours])

    async def start_kernel(self, *args, **how):
        """jupyter_server's way to a kernel."""
        if settings().working_folder:
            how["cwd"] = str(ROOT / settings().working_folder)
        return await super().start_kernel(*args, **how)


def _page(content: bool, require_hash: bool = False) -> dict:
    """The start page as the server's own models of files are."""
    text, now = start.page() if content or require_hash else "", datetime.now(UTC)
    return {
        "name": start.NAME,
        "path": start.NAME,
        "type": "file",
        "writable": False,
        "created": now,
        "last_modified": now,
        "size": None,
        "mimetype": "text/markdown" if content else None,
        "format": "text" if content else None,
        "content": text if content else None,
        "hash": hashlib.sha256(text.encode()).hexdigest() if require_hash else None,
        "hash_algorithm": "sha256" if require_hash else None,
    }
