# SPDX-License-Identifier: Apache-2.0
"""Spoils the files of small data sets at random, as disks, scripts and people do."""

import json
import pathlib
import re

import numpy as np

import yards

_VALUES = (None, -1, 0, 1, 2.5, 10**30, float('nan'), '', 'x', '\ud800', 'a\0b', '../..', [], {}, [1], True)
_WORDS = ('', 'x', '"x"', '-1', '0', '1e30', 'nan', 'true', '{', '}', '${NOTHING}', '[1, 2]', '99999999999')


def folder(rng: np.random.Generator, root: pathlib.Path) -> None:
    """Spoils one to three files below a folder."""
    for _ in range(rng.integers(1, 4)):
        paths = sorted(path for path in root.rglob('*') if path.is_file())
        if not paths:
            return
        path = paths[rng.integers(len(paths))]
        ways = [_bytes, _rename, _flip_labels, _delete]
        if path.suffix in _TEXTS and rng.random() < 0.9:
            ways = [_TEXTS[path.suffix]]
        try:
            ways[rng.integers(len(ways))](rng, path)
        except (ValueError, OSError):  # it was spoilt before
            path.unlink(missing_ok=True)


def _spots(content, found):
    """Lists (container, key) of all values of a JSON content."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        found.append((content, key))
        if isinstance(value, dict | list):
            _spots(value, found)
    return found


def _json(rng, path):
    content = json.loads(path.read_bytes())
    spots = _spots(content, [])
    container, key = spots[rng.integers(len(spots))]
    if rng.random() < 0.4:
        del container[key]
    elif rng.random() < 0.2 and isinstance(container, list):
        container.append(container[key])
    else:
        container[key] = _VALUES[rng.integers(len(_VALUES))]
    path.write_text(json.dumps(content))


def _textproto(rng, path):
    """Replaces a value or a brace, or drops or doubles a line."""
    lines = path.read_text().splitlines()
    index = rng.integers(len(lines))
    if rng.random() < 0.3:
        lines[index : index + 1] = [lines[index]] * (2 * rng.integers(2))
    else:
        word = _WORDS[rng.integers(len(_WORDS))]
        lines[index] = re.sub(r'(?<=: )\S+|[{}]', lambda _: word, lines[index], count=1)
    path.write_text('\n'.join(lines))


def _lines(rng, path):
    """Replaces a field of a text file of instances."""
    words = path.read_text().split(' ')
    words[rng.integers(len(words))] = str(_VALUES[rng.integers(len(_VALUES))])
    path.write_text(' '.join(words), errors='replace')


def _bytes(rng, path):
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        content = content[: rng.integers(len(content))]
    else:
        for place in rng.integers(0, len(content), rng.integers(1, 9)):
            content[place] = rng.integers(256)
    path.write_bytes(bytes(content))


def _rename(rng, path):
    path.rename(path.with_name(['other', 'x' * 200, 'a b', 'é'][rng.integers(4)] + path.suffix))


def _delete(rng, path):
    del rng
    path.unlink()


def _flip_labels(rng, path):
    if path.suffix != '.png':
        return _bytes(rng, path)
    pixels = yards.pixels(path)
    height, width = pixels.shape[:2]
    top, left = rng.integers(height), rng.integers(width)
    pixels[top : top + 5, left : left + 5] = rng.integers(0, 256)
    yards.save(path, pixels)
    return None


_TEXTS = {'.json': _json, '.textproto': _textproto, '.txt': _lines}
