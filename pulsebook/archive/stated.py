"""What an executed notebook states of itself: facts, headline, incidents, the messages that it sends.

A notebook of before states nothing, or the number of its incidents alone: headline and messages are read as `scraped` finds
them. Its numbers are only to be compared.
"""

from collections.abc import Iterator

from nbformat import NotebookNode

from pulsebook.archive import scraped
from pulsebook.archive.document import text
from pulsebook.archive.notebook import bundle, cells, outputs
from pulsebook.base import facts
from pulsebook.base.facts import KIND, MOST, Fact

MESSAGES, MESSAGE = 20, 50_000  # of one notebook that are compared; characters of one


def facts_of(notebook: NotebookNode) -> list[Fact]:
    """The facts that it states, at most `MOST`; of two of one name and period the last."""
    found = {
        (fact.period, fact.metric, fact.slice): fact for stated in _stated(notebook) for fact in facts.read(stated)
    }
    return list(found.values())[:MOST]


def left_out(notebook: NotebookNode) -> int:
    """How many numbers it could not state."""
    left = (stated.get("left_out") for stated in _stated(notebook))
    return sum(count for count in left if type(count) is int and count > 0)


def headline(notebook: NotebookNode) -> str | None:
    """The first line of its summary, at most 300 characters."""
    said = [stated["headline"] for stated in _stated(notebook) if isinstance(stated.get("headline"), str)]
    return text(said[-1])[:300] if said else scraped.headline(notebook)


def incidents(notebook: NotebookNode) -> int | None:
    """The number of incidents that it states; None if it states none."""
    for stated in _stated(notebook):
        if isinstance(stated.get("incidents"), int):
            return stated["incidents"]
    counts = [fact.value for fact in facts_of(notebook) if (fact.metric, fact.slice) == ("incidents", "")]
    return int(counts[0]) if counts and counts[0] is not None else None


def messages(notebook: NotebookNode) -> list[str]:
    """The messages that it shows for the chat, as Telegram's HTML, in their order."""
    found = []
    for output in (output for cell in cells(notebook) for output in outputs(cell)):
        stated = bundle(output).get(KIND)
        stated = stated.get("message") if isinstance(stated, dict) else None
        message = text(stated) if isinstance(stated, str) else scraped.message(output)
        if message is not None:
            found.append(message[:MESSAGE])
    return found[:MESSAGES]


def _stated(notebook: NotebookNode) -> Iterator[dict]:
    for output in (output for cell in cells(notebook) for output in outputs(cell)):
        stated = bundle(output).get(KIND)
        if isinstance(stated, dict):
            yield stated
