"""The JSON of a notebook without secrets: it stays a valid notebook, since the format's own words are known by their place."""

import base64
import binascii
import json
import re
import string
from collections.abc import Iterator

from pulsebook.base.facts import KIND
from pulsebook.base.redact.known import HIDDEN, hide_known, known
from pulsebook.base.redact.literals import register_literals
from pulsebook.base.redact.texts import redact, redact_facts, redact_values
from pulsebook.base.secret_names import is_secret

SHORTEST_IN_BYTES = 6  # characters of a secret within a picture that are no coincidence
_BETWEEN = "\n\0\n"  # texts that are looked at together
_WORDS = {  # of nbformat and papermill: left as they are where they belong
    "code", "markdown", "raw", "stream", "display_data", "execute_result", "error", "stdout", "stderr",
    "pending", "running", "completed", "failed", "parameters", "injected-parameters", "papermill-error-cell-tag",
    "python3", "python", "ipython3", "text/x-python", ".py", "ipython", "remove_cell", "hide-input", "hide_input",
}  # fmt: skip
_FIELDS = {  # whose names are the format's, by where they stand
    "": {"nbformat", "nbformat_minor", "metadata", "cells"},
    "cell": {"cell_type", "id", "metadata", "source", "outputs", "execution_count", "attachments"},
    "output": {"output_type", "name", "text", "data", "metadata", "ename", "evalue", "traceback", "execution_count"},
}
_METADATA = {
    "kernelspec", "language_info", "papermill", "tags", "name", "display_name", "language", "parameters", "status",
}  # fmt: skip
_TEXTUAL = re.compile(r"text/|.*(json|xml|javascript|latex|html|markdown)\b")
_DIGITS = (string.ascii_letters + string.digits + "+/=\n\r").encode()
LONG = 2000  # characters of base64 that are no token


def redact_notebook(document: str) -> str:
    """The JSON of a notebook, redacted. What its code calls secret is hidden wherever it occurs, from now on.

    A picture that holds a secret in its bytes becomes a text that says so; half a surrogate pair, which no file holds, �.

    Raises:
        ValueError: it is no JSON.
    """
    document = document.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    notebook = json.loads(document)
    for cell in _cells(notebook):
        if cell.get("cell_type") == "code":
            register_literals(_joined(cell.get("source", "")))
    if not _suspicious(notebook):
        return document
    clean = {key: _metadata(value) if key == "metadata" else value for key, value in notebook.items() if key != "cells"}
    clean = {"cells": [_cell(cell, number) for number, cell in enumerate(_cells(notebook))]} | clean
    return json.dumps(clean, indent=1, ensure_ascii=False) + "\n"


def lost_literals(notebook) -> bool:
    """Whether code of a notebook has lost a literal to redaction: then it does not do again what it did."""
    return any(cell.cell_type == "code" and HIDDEN in cell.source for cell in notebook.cells)


def _cells(notebook) -> list[dict]:
    cells = notebook.get("cells", []) if isinstance(notebook, dict) else []
    return [cell for cell in cells if isinstance(cell, dict)]


def _suspicious(notebook) -> bool:
    """Whether a closer look is due: all texts are looked at together, which is quick."""
    code, texts, digits = [], [], []
    for text, is_code in _texts(notebook):
        (code if is_code else digits if _is_base64(text) else texts).append(text)
    code, texts, digits = _BETWEEN.join(code), _BETWEEN.join(texts), _BETWEEN.join(digits)
    return redact(code, code=True) != code or redact(texts) != texts or hide_known(digits) != digits


def _texts(value, key: str = "", within: str = "") -> Iterator[tuple[str, bool]]:
    """Every text of a notebook, and whether it is code. A value that its key calls secret follows its key."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not (name in _WORDS or name in _METADATA):
                yield name, False
            if is_secret(name) and item not in (None, "", HIDDEN):
                yield f"password='{HIDDEN[1:]} {name}'", False  # a sure sign
            if _is_binary(name) and _holds_secret(name, item):
                yield f"password='{HIDDEN[1:]} {name}'", False
            yield from _texts(item, name, value.get("cell_type", within) if name == "source" else "")
    elif isinstance(value, list) and value and _is_text(value) and key != "tags":
        yield ("\n" if key == "traceback" else "").join(value), within == "code" or key == "traceback"
    elif isinstance(value, list):
        streams = [_joined(item.get("text", "")) for item in value if _is_stream(item)]
        if len(streams) > 1:
            yield "".join(streams), False  # a secret may lie across two
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield value, within == "code"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value), True


def _cell(cell: dict, number: int) -> dict:
    clean = {}
    for key, value in cell.items():
        if key == "source":
            clean[key] = _lines(value, code=cell.get("cell_type") == "code")
        elif key == "outputs" and isinstance(value, list):
            clean[key] = [
                _output(output) if isinstance(output, dict) else _foreign(output) for output in _merged(value)
            ]
        elif key == "metadata":
            clean[key] = _metadata(value)
        elif key == "attachments" and isinstance(value, dict):
            clean[key] = {redact(name): _bundle(bundle) for name, bundle in value.items()}
        elif key == "id":
            clean[key] = value if redact(str(value)) == value else f"redacted-{number}"
        else:
            clean[key] = _word(value)
    return clean


def _output(output: dict) -> dict:
    clean = {}
    for key, value in output.items():
        if key == "data" and isinstance(value, dict):
            clean[key] = _bundle(value)
        elif key == "traceback" and isinstance(value, list):
            whole = "\n".join(map(str, value))
            clean[key] = value if (safe := redact(whole, code=True)) == whole else safe.split("\n")
        elif key in ("text", "evalue", "ename"):
            clean[key] = _lines(value)
        else:
            clean[key] = _metadata(value) if key == "metadata" else _word(value)
    return clean


def _merged(outputs: list) -> list:
    """The outputs; texts that a stream has split are one where a secret lies across."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if _is_stream(output) and _is_stream(last) and last.get("name") == output.get("name"):
            one, other = _joined(last.get("text", "")), _joined(output.get("text", ""))
            if redact(one) + redact(other) != redact(one + other):
                merged[-1] = last | {"text": one + other}
                continue
        merged.append(output)
    return merged


def _is_stream(output) -> bool:
    return isinstance(output, dict) and output.get("output_type") == "stream"


def _bundle(bundle):
    """Data of several media types."""
    if not isinstance(bundle, dict):
        return _foreign(bundle)
    kept = {kind: data for kind, data in bundle.items() if not (_is_binary(kind) and _holds_secret(kind, data))}
    clean = {redact(kind): _form(kind, data) for kind, data in kept.items()}
    lost = ", ".join(redact(kind) for kind in bundle if kind not in kept)
    return clean | ({"text/plain": [f"{HIDDEN}: the picture ({lost}) held a secret"]} if lost else {})


def _form(kind: str, data):
    """Data of one media type."""
    if kind == KIND and isinstance(data, dict) and "facts" in data:
        return _foreign({key: value for key, value in data.items() if key != "facts"}) | {
            "facts": redact_facts(data["facts"])
        }
    return _lines(data) if _is_text(data) else _foreign(data)


def _metadata(value, name: str = ""):
    """Data with keys of the notebook's own; the few that nbformat and papermill read keep their names and words."""
    if isinstance(value, dict):
        return {key if key in _METADATA else redact(key): _metadata(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_metadata(item, name) for item in value]
    return _word(value, name)


def _word(value, name: str = ""):
    return value if isinstance(value, str) and value in _WORDS else _foreign(value, name)


def _foreign(value, name: str = ""):
    return redact_values(value, name)


def _is_text(value) -> bool:
    return isinstance(value, str) or isinstance(value, list) and set(map(type, value)) <= {str}


def _is_base64(text: str) -> bool:
    """Whether a text is nothing but many digits of base64: a picture, in which what looks like a name is chance."""
    return len(text) > LONG and text.isascii() and not text.encode().translate(None, _DIGITS)


def _joined(value) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _lines(value, code: bool = False):
    """A text, whole or in lines, redacted as a whole."""
    if not _is_text(value):
        return _foreign(value)
    whole = _joined(value)
    if (clean := hide_known(whole) if _is_base64(whole) else redact(whole, code)) == whole:
        return value
    return clean.splitlines(keepends=True) if isinstance(value, list) else clean


def _is_binary(kind: str) -> bool:
    return "/" in kind and not _TEXTUAL.match(kind) and not kind.startswith("application/vnd")


def _holds_secret(kind: str, data) -> bool:
    """Whether the bytes of a picture hold a secret."""
    if not _is_text(data):
        return False
    try:
        content = base64.b64decode(_joined(data))
    except (binascii.Error, ValueError):
        return False
    return any(secret.encode() in content for secret in known() if len(secret) >= SHORTEST_IN_BYTES)
