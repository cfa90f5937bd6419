"""Takes secrets out of a text before it is saved, logged or raised."""

import base64
import json
import re
from urllib.parse import quote, quote_plus

from pulsebook.settings import settings

_CREDENTIALS = re.compile(r"(://[^\s:/@\"'\\]*:)[^\s/@\"'\\]+@")
HIDDEN = "[redacted]"


def redact(text: str) -> str:
    """The text without known passwords (also URL-encoded, base64 and as JSON escapes them) and without any
    `://user:password@`."""
    for secret in settings().secrets:
        spellings = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
        spellings.add(base64.b64encode(secret.encode()).decode())
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, HIDDEN)
    return _CREDENTIALS.sub(rf"\1{HIDDEN}@", text)
