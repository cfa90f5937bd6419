"""The page of the archive's index as one file: its style and its script within, and a policy that lets no other script in.

The script loads the index's data files, which are scripts too: `'strict-dynamic'` allows what it loads itself. The pages of
tries are shown in frames; each has a policy of its own.
"""

import base64
import hashlib
import html
import json
import re
from functools import cache
from pathlib import Path

from pulsebook.base.russian import RUSSIAN
from pulsebook.base.settings import settings
from pulsebook.base.words import say

WEB = Path(__file__).with_name("web")
POLICY = (
    "default-src 'none'; script-src 'sha256-{digest}' 'strict-dynamic'; style-src 'unsafe-inline'; img-src data:; "
    "frame-src 'self' file:; form-action 'none'; base-uri 'none'"
)


def index_page() -> str:
    """The page's markup, in the language that is set. Its clock is that of the business time zone."""
    return _page(settings().language).replace("ZONE", html.escape(str(settings().timezone)), 1)


@cache
def _page(language: str) -> str:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(.+?)\}\}", lambda found: say(found[1]), page)
    for part in ("index.css", "index.js"):
        page = page.replace(f"/* {part} */", (WEB / part).read_text(encoding="utf-8"))
    words = json.dumps(RUSSIAN if language == "ru" else {}, ensure_ascii=False)
    script = re.search(r"<script>(.*)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = page.replace("LANGUAGE", language, 1).replace("WORDS", html.escape(words), 1)
    return page.replace("POLICY", POLICY.format(digest=digest), 1)
