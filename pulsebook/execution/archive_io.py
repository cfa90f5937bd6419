"""papermill's way to the files of the archive: what it writes is redacted, and replaces what was there at once."""

from papermill.iorw import papermill_io

from pulsebook.base.files import replace
from pulsebook.base.redact import redact_notebook
from pulsebook.base.settings import place

SCHEME = "archive:"


class Handler:
    """papermill's way to a file of the archive."""

    def read(self, path):
        return place(path.removeprefix(SCHEME)).read_text(encoding="utf-8")

    def write(self, text, path):
        # no file holds half a surrogate pair
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        replace(place(path.removeprefix(SCHEME)), redact_notebook(whole))

    def listdir(self, path):
        return [str(p) for p in place(path.removeprefix(SCHEME)).iterdir()]

    def pretty_path(self, path):
        return path.removeprefix(SCHEME)


papermill_io.register(SCHEME, Handler())
