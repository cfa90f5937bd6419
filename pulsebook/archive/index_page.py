"""The page of the archive's index as one file: its style and its script within, and a policy that lets no other script in.

The script loads the index's data files, which are scripts too: `'strict-dynamic'` allows what it loads itself. The pages of
tries are shown in frames; each has a policy of its own.
"""

import base64
import hashlib
import html
import re
from functools import cache
from pathlib import Path

from pulsebook.base.settings import settings

WEB = Path(__file__).with_name("web")
POLICY = (
    "default-src 'none'; script-src 'sha256-{digest}' 'strict-dynamic'; style-src 'unsafe-inline'; img-src data:; "
    "frame-src 'self' file:; form-action 'none'; base-uri 'none'"
)


def index_page() -> str:
    """The page's markup. Its clock is that of the business time zone."""
    return _page().replace("ZONE", html.escape(str(settings().timezone)), 1)


@cache
def _page() -> str:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    for part in ("index.css", "index.js"):
        page = page.replace(f"/* {part} */", (WEB / part).read_text(encoding="utf-8"))
    script = re.search(r"<script>(.*)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page.replace("POLICY", POLICY.format(digest=digest), 1)
