"""Who may ask a server on loopback: programs of this machine, and no page that a browser has from elsewhere.

A page of another site can make a browser send requests to 127.0.0.1, and a name of its own can be made to lead there (DNS
rebinding). Such requests tell of themselves: by a Host that is no loopback address, an Origin that is not the server's
own, or a Sec-Fetch-Site other than `none` and `same-origin`; a page on another loopback port is `same-site`.
"""

import re

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = re.compile(r"(localhost|\[::1\]|127(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3})(:[0-9]{1,5})?", re.I)


class LoopbackOnly:
    """An application that answers others with 403 and without a word of CORS."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = refusal(Headers(scope=scope)) if scope["type"] == "http" else ""
        if reason:
            text = f"Code: 195. DB::Exception: {reason}. (IP_ADDRESS_NOT_ALLOWED)\n"
            refused = PlainTextResponse(text, 403, {"X-ClickHouse-Exception-Code": "195"})
            await refused(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def refusal(headers: Headers) -> str:
    """Why a request with these headers is not answered; empty for one that is."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return f"The Host must be a loopback address such as 127.0.0.1:8123, got {', '.join(hosts)[:100]!r}"
    for origin in headers.getlist("origin"):
        if origin.lower() != f"http://{hosts[0]}".lower():
            return f"Requests of the pages of {origin[:100]!r} are not answered; ask with a program"
    for site in headers.getlist("sec-fetch-site"):
        if site not in ("none", "same-origin"):
            return f"Requests that a page of another site makes (Sec-Fetch-Site: {site[:20]!r}) are not answered"
    return ""
