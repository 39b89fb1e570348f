# SPDX-License-Identifier: Apache-2.0
"""The statistics job finds what is odd in records, and says so on a page and in lines."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import synthetic
from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.model.metrics import data_findings, result_files
from panpipe.pipelines import statistics
from panpipe.pipelines.formats import png
from panpipe.pipelines.record_files import oddities

SPEC = datasets.SPECS['cityscapes_panoptic']


def _photo(seed):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))


def _map(seed, things=True):
    rng = np.random.default_rng(seed)
    panoptic = np.where(rng.integers(0, 2, (48, 64)) > 0, 0, 10000)  # road and sky, grain by grain
    if things:
        panoptic[1:3, 1:3] = 11001  # between the points of every grid
        panoptic[:20, 30:60] = 13001
    return panoptic.astype(np.int32)


def _write(folder, split, images):
    """Writes a split: (name, photo or bytes, map or None)."""
    with tf.io.TFRecordWriter(str(folder / f'{split}-00000-of-00001.tfrecord')) as writer:
        for name, photo, panoptic in images:
            encoded = photo if isinstance(photo, bytes) else png.encode(np.ascontiguousarray(photo))
            writer.write(records.serialize(records.Record(name, encoded, 'png', 48, 64, panoptic)))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('odd')
    void = np.full((48, 64), 255000, np.int32)
    train = [('one', _photo(1), _map(1)), ('again', _photo(1), _map(2)), ('void', _photo(2), void)]
    _write(path, 'train', [*train, ('bare', _photo(3), _map(3, things=False)), ('cut', b'\x89PNG', _map(4))])
    bus = np.where(_map(5) == 13001, 15001, _map(5))
    _write(path, 'val', [('copy', _photo(1), bus), ('new', _photo(6), _map(6)), ('plain', _photo(7), None)])
    return path


@pytest.fixture(scope='module')
def said(folder, tmp_path_factory):
    """Runs the job; returns its output folder and what it printed."""
    capture = pytest.MonkeyPatch()
    lines = []
    capture.setattr('builtins.print', lambda *words, **_: lines.append(' '.join(map(str, words))))
    arguments = ['--dataset', SPEC.name, '--input', str(folder), '--output', str(folder / 'out')]
    try:
        assert statistics.main(arguments) == 0
    finally:
        capture.undo()
    return folder / 'out', lines


@pytest.fixture(scope='module')
def found(said):
    return result_files.read_typed(data_findings.Findings, said[0] / 'findings.json', 'statistics')


def test_findings(found):
    assert found.images == {'train': 5, 'val': 3}
    pairs = {(twins.first.name, twins.second.name) for twins in found.twins}
    assert pairs == {('again', 'one'), ('again', 'copy'), ('one', 'copy')}
    assert (found.within, found.between) == (1, 2)
    assert found.twins[0].is_leak
    named = {
        name: [image.name for image in getattr(found, name).images] for name in ('empty', 'without_things')
    }
    assert named == {'empty': ['void'], 'without_things': ['bare']}
    assert [image.name for image in found.undecodable.images] == ['cut']
    classes = {one.name: one for one in found.classes}
    assert classes['person'].things == 5
    assert classes['person'].vanished == {'8': 5, '16': 5, '32': 5}
    assert classes['car'].vanished == {'8': 0, '16': 0, '32': 0}
    assert classes['bus'].shares == {'train': 0, 'val': pytest.approx(600 / (2 * 48 * 64))}
    assert classes['car'].images == {'train': 3 / 5, 'val': 1 / 2}


def test_advice_is_printed_and_on_the_page(said):
    folder, lines = said
    page = (folder / 'statistics.html').read_text()
    advice = [line.removeprefix('advice: ') for line in lines if line.startswith('advice: ')]
    for words in ('cut', 'again of train and copy of val', 'val shows bus', 'output stride', '(void)'):
        assert any(words in line for line in advice)
    assert page.count('<svg') == 3
    assert page.count('<img src="data:') == 2 * 3 + 1 + 1
    assert '<li>1 images cannot be decoded (cut)' in page
    assert 'src="http' not in page


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0)])
def test_counts_add_up_in_any_order(order):
    rng = np.random.default_rng(0)
    seen = [
        oddities.looks.look(
            records.serialize(
                records.Record(
                    f'{n}', png.encode(_photo(n)), 'png', 17, 23, synthetic.panoptic_map(rng, SPEC.labels)
                )
            ),
            SPEC.labels,
            ('train', 'val')[n % 2],
            'file',
        )
        for n in range(3)
    ]
    whole = oddities._sum_of_looks(seen)
    parts = [oddities._sum_of_looks([seen[i]]) for i in order]
    assert (
        oddities._sum_of_looks(parts)
        == whole
        == oddities._sum_of_looks([parts[0], *(seen[i] for i in order[1:])])
    )
    assert oddities._sum_of_looks([]) == oddities.Counts()
