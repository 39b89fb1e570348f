# SPDX-License-Identifier: Apache-2.0
"""Files of a folder of predictions, by the names that they get in an archive."""

from collections.abc import Mapping

from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout

# Addresses by the names in an archive.
Members = Mapping[str, str]


def panoptic(root: str, name: str) -> Members:
    """Puts the PNGs into a folder that is named as the JSON file beside it."""
    return {**document(root, layout.DOCUMENT, name), **below(root, layout.PANOPTIC, f'{name}/')}


def document(root: str, file_name: str, name: str) -> Members:
    """Names a JSON file anew; nothing where there is none."""
    path = addresses.join(root, file_name)
    return {f'{name}.json': path} if files.exists(path) else {}


def below(root: str, folder: str, prefix: str = '') -> Members:
    """Takes all files of a folder, with `prefix` in place of its name."""
    place = addresses.join(root, folder)
    return {f'{prefix}{told.path.removeprefix(place).lstrip("/")}': told.path for told in files.tree(place)}
