"""Paths into an object store: universal_pathlib's, whose files are read with one request."""

from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

from pulsebook.base.store import StoreError


class Object(S3Path):
    """A path whose file is read as it is at one moment: a read in parts would fail where somebody replaces it."""

    def read_bytes(self) -> bytes:
        try:
            return self.fs.cat_file(self.path, max_concurrency=1)  # of several its size is asked first
        except FileNotFoundError:
            raise
        except OSError as error:  # of a folder's file that would be damage to the file
            raise StoreError(*error.args) from error

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def is_symlink(self) -> bool:
        return False


register_implementation("s3", Object, clobber=True)  # whatever derives from a path is one of these too
