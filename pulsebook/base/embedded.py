"""The embedded warehouse of a checkout, for who names no other: whether it runs, and where."""

import json
import os
import socket
from pathlib import Path
from urllib.parse import quote


def folder(root: Path) -> Path:
    """Where its data lie."""
    return root / ".local" / "warehouse"


def password_file(root: Path) -> Path:
    """What holds the password of its user `default`."""
    return root / ".local" / "warehouse.password"


def url(root: Path) -> str:
    """Where the one of this checkout listens, with its password; empty where none runs."""
    try:
        owner = json.loads((folder(root) / "owner.json").read_text("utf-8"))
        os.kill(owner["pid"], 0)
        socket.create_connection(("127.0.0.1", owner["port"]), 0.5).close()
        password = password_file(root).read_text("utf-8").strip()
    except (OSError, ValueError, LookupError, TypeError):  # never started, ended, or just starting
        return ""
    return f"http://default:{quote(password, safe='')}@127.0.0.1:{owner['port']}"
