# SPDX-License-Identifier: Apache-2.0
"""A local folder kept the same as one elsewhere, for training where TensorFlow cannot write."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

from panpipe.model.storage import addresses, cache, files

_SECONDS = 30.0
# TensorFlow's note of the newest checkpoint: it must not name one that is not there yet.
_POINTER = 'checkpoint'


class Mirror:
    """Copies what changes in a local folder to an address."""

    def __init__(self, folder: str, address: str) -> None:
        """Takes both; the folder starts as a copy of the address."""
        self._folder, self._address = folder, address
        self._known: dict[str, files.Facts] = {}
        for told in files.tree(address):
            place = os.path.join(folder, told.path.removeprefix(f'{address}/'))
            files.download(told.path, place)
            self._known[place] = files.facts(place)

    def push(self) -> None:
        """Copies new and changed files, then the notes of newest checkpoints; deletes what is gone."""
        pointers = {
            told.path: files.read(told.path)
            for told in files.tree(self._folder)
            if addresses.name(told.path) == _POINTER
        }
        present = {told.path: told for told in files.tree(self._folder)}
        for path, told in present.items():
            if path not in pointers and self._known.get(path) != told and not _is_temporary(path):
                with contextlib.suppress(FileNotFoundError):  # it was renamed meanwhile
                    files.upload(path, self._place(path))
                    self._known[path] = told
        for path, content in pointers.items():
            if self._known.get(path) != present.get(path):
                files.write_whole(self._place(path), content)
                self._known[path] = present.get(path, files.facts(path))
        gone = [path for path in self._known if path not in present]
        files.delete(self._place(path) for path in gone)
        for path in gone:
            del self._known[path]

    def _place(self, path: str) -> str:
        return self._address + path.removeprefix(self._folder)


@contextlib.contextmanager
def served(root: str, name: str) -> Iterator[str]:
    """Yields a folder in place of `root` whose folder `name` TensorFlow reads and writes.

    It is `root` itself where TensorFlow works; else a local one, of which `name` is kept the same as at
    `root` while the block runs, and at its end, however that comes.
    """
    if cache.is_tensorflow(root):
        yield root
        return
    with tempfile.TemporaryDirectory(prefix='panpipe-') as folder:
        mirror = Mirror(os.path.join(folder, name), addresses.join(root, name))
        is_over = threading.Event()

        def work() -> None:
            while not is_over.wait(_SECONDS):
                with contextlib.suppress(OSError):  # the next time may do
                    mirror.push()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            is_over.set()
            thread.join()
            mirror.push()


def _is_temporary(path: str) -> bool:
    return '.tempstate' in path or path.endswith(files.PARTIAL)
