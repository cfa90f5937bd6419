"""Takes secrets out of whatever is saved, logged or raised.

    >>> redact("password=hunter22")
    'password=[redacted]'
    >>> redact_values({"password": ["hunter22"], "user": "me"})
    {'password': ['[redacted]'], 'user': 'me'}

`redact_notebook` does the same for the JSON of a notebook, pictures included. Known secrets are those of the settings and of
the environment and those given to `register`; they are found however they are spelt (`known`, `escapes`, `encoded`). What
merely looks like a secret (`shapes`) and what its name calls one (`assignments`) is hidden too.
"""

from pulsebook.base.redact.known import HIDDEN, register
from pulsebook.base.redact.literals import register_literals_of, register_secrets_of
from pulsebook.base.redact.notebooks import lost_literals, redact_notebook
from pulsebook.base.redact.texts import (
    WithoutSecrets,
    hide_in_logs_of_requests,
    holds_secret,
    redact,
    redact_facts,
    redact_values,
)

__all__ = [
    "HIDDEN", "WithoutSecrets", "hide_in_logs_of_requests", "holds_secret", "lost_literals", "redact", "redact_facts",
    "redact_notebook", "redact_values", "register", "register_literals_of", "register_secrets_of",
]  # fmt: skip
