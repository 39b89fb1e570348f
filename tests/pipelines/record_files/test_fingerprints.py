# SPDX-License-Identifier: Apache-2.0
"""Fingerprints: images that look alike are found, each pair once, and others are not."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from panpipe.model import errors
from panpipe.model.metrics import data_findings
from panpipe.pipelines.record_files import fingerprints


def _encoded(pixels, image_format='PNG', **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def _scene(seed, height=90, width=160):
    """Draws smooth blobs, as photos have them."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def _print(encoded, name, split='train'):
    image = data_findings.Image(name, split, 'file')
    return fingerprints.Print(fingerprints.greys(encoded, name), image)


def _found(prints):
    """Groups by part and compares, as the pipeline does; returns pairs of names with their distance."""
    groups = {}
    for one in prints:
        for part in fingerprints.parts(one.greys):
            groups.setdefault(part, []).append(one)
    return [
        (*sorted((a.image.name, b.image.name)), distance)
        for part, group in groups.items()
        for a, b, distance in fingerprints.alike(part, group)
    ]


def test_copies_in_other_files_look_alike():
    scene = _scene(0)
    copies = {
        'png': _encoded(scene),
        'jpeg': _encoded(scene, 'JPEG', quality=60),
        'small': _encoded(np.asarray(Image.fromarray(scene).resize((80, 45), Image.Resampling.BOX))),
        'bright': _encoded(np.clip(scene.astype(int) + 3, 0, 255).astype(np.uint8)),
    }
    others = {f'other{seed}': _encoded(_scene(seed)) for seed in range(1, 30)}
    found = _found([_print(encoded, name) for name, encoded in {**copies, **others}.items()])
    assert sorted(pair[:2] for pair in found) == sorted(
        tuple(sorted(pair)) for pair in itertools.combinations(copies, 2)
    )


def test_every_pair_is_found_once_as_by_brute_force():
    rng = np.random.default_rng(5)
    base = rng.integers(0, 256, (3, 72), np.uint8)
    prints = []
    for number in range(60):
        greys = base[number % 3].astype(int)
        places = rng.integers(0, 72, rng.integers(0, 4))
        greys[places] += rng.integers(-40, 41, len(places))
        image = data_findings.Image(f'{number:02d}', 'train', 'file')
        prints.append(fingerprints.Print(np.clip(greys, 0, 255).astype(np.uint8).tobytes(), image))
    expected = []
    for one, other in itertools.combinations(prints, 2):
        distance = int((fingerprints.bits([one.greys]) != fingerprints.bits([other.greys])).sum())
        a, b = (np.frombuffer(each.greys, np.uint8).astype(int) for each in (one, other))
        if distance <= 3 and np.abs(a - b).mean() <= fingerprints.MOST_GREYS:
            expected.append((one.image.name, other.image.name, distance))
    assert len(expected) > 50
    assert sorted(_found(prints)) == sorted(expected)


def test_flat_images_of_other_greys_do_not_look_alike():
    shades = [_encoded(np.full((20, 30, 3), grey, np.uint8)) for grey in (0, 2, 100, 250)]
    found = _found([_print(encoded, str(number)) for number, encoded in enumerate(shades)])
    assert found == [('0', '1', 0)]


def test_many_flat_images_are_compared_in_time(monkeypatch):
    monkeypatch.setattr(fingerprints, '_LARGE', 3)
    one = _print(_encoded(np.zeros((9, 9, 3), np.uint8)), 'x')
    prints = [one._replace(image=data_findings.Image(f'{n:02d}', 'train', 'f')) for n in range(20)]
    pairs = {pair[:2] for pair in _found(prints)}
    assert pairs == {(f'{a:02d}', f'{b:02d}') for a in range(20) for b in range(a + 1, min(a + 4, 20))}


def test_no_image_is_told():
    with pytest.raises(errors.InputError, match='x cannot be decoded'):
        fingerprints.greys(b'\x89PNG', 'x')
