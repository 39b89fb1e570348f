# SPDX-License-Identifier: Apache-2.0
"""The images of a split as they are found, and what is left out, which people are told."""

import collections
import dataclasses
import posixpath
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from panpipe.model import errors
from panpipe.model.storage import addresses
from panpipe.pipelines.sources import entries, names, trees

_MOST_SHOWN = 3
# Formats that records hold by the endings of files; Pillow reads the others, which are encoded as PNG.
_FORMATS: Mapping[str, str] = {
    **dict.fromkeys(('.jpg', '.jpeg', '.jpe', '.jfif'), 'jpeg'),
    **dict.fromkeys(('.png', '.tif', '.tiff', '.bmp', '.dib', '.webp', '.gif', '.avif'), 'png'),
    **dict.fromkeys(('.ppm', '.pgm', '.pbm', '.pnm', '.jp2', '.j2k', '.jpx', '.tga'), 'png'),
}


@dataclasses.dataclass(frozen=True)
class Listing(Sequence[entries.ImageFile]):
    """Holds the images of a split, in order, and what was left out: names by what they are (singular)."""

    images: tuple[entries.ImageFile, ...]
    left_out: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> entries.ImageFile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[entries.ImageFile, ...]: ...
    def __getitem__(self, index: int | slice) -> entries.ImageFile | tuple[entries.ImageFile, ...]:
        return self.images[index]


def is_image(path: str) -> bool:
    """Tells by the ending of a file whether it is an image."""
    return _ending(path) in _FORMATS


def entries_of(
    paths: Iterable[str], root: str, image_ids: Mapping[str, str] | None = None
) -> list[entries.ImageFile]:
    """Makes entries without labels of image files.

    Args:
      paths: relative to `root`, with endings of images.
      root: their folder.
      image_ids: of the paths; else the names below `root` without their endings.

    Raises:
      errors.InputError: two files have the same image id.
    """
    found = [
        entries.ImageFile(
            image_ids[path] if image_ids else names.without_ending(path),
            addresses.join(root, path),
            _FORMATS[_ending(path)],
        )
        for path in paths
    ]
    for name, count in collections.Counter(entry.image_id for entry in found).items():
        if count > 1:
            twins = ', '.join(entry.path for entry in found if entry.image_id == name)
            raise errors.InputError(f'several images are called {name}: {twins}; keep one')
    return found


def images_in(tree: trees.Tree) -> list[str]:
    """Returns the paths of image files."""
    return [path for path in tree.files if is_image(path)]


def left_out(tree: trees.Tree, taken: Iterable[str]) -> dict[str, list[str]]:
    """Sorts the files of a folder that are not taken by what they are."""
    found = collections.defaultdict[str, list[str]](list)
    known = set(taken)
    for path in tree.files:
        if path not in known:
            kind = (
                'image in a sub-folder'
                if is_image(path) and '/' in path
                else _ending(path) or 'file without ending'
            )
            found[kind].append(path)
    if tree.broken:
        found['broken link'] = list(tree.broken)
    return dict(found)


def tell(job: str, split: str, found: Listing, *, is_strict: bool) -> None:
    """Tells on standard error what a listing left out, if anything.

    Raises:
      errors.InputError: something was left out, and `is_strict`.
    """
    if not found.left_out:
        return
    line = f'{split}: left out: ' + ', '.join(
        _counted(kind, listed) for kind, listed in found.left_out.items()
    )
    if is_strict:
        raise errors.InputError(f'{line}; correct the data set, or leave --strict out')
    print(f'panpipe {job}: {line}', file=sys.stderr)


def _counted(kind: str, listed: Sequence[str]) -> str:
    noun = kind if len(listed) == 1 or kind.startswith('.') else _plural(kind)
    shown = ', '.join(listed[:_MOST_SHOWN]) + (', …' if len(listed) > _MOST_SHOWN else '')
    return f'{len(listed)} {noun} ({shown})'


def _plural(kind: str) -> str:
    """Makes a plural of the first noun.

    >>> _plural('annotation without image'), _plural('broken link')
    ('annotations without image', 'broken links')
    """
    first, separator, rest = kind.partition(' without ') if ' without ' in kind else kind.partition(' in ')
    return f'{first}s{separator}{rest}'


def _ending(path: str) -> str:
    return posixpath.splitext(path)[1].lower()
