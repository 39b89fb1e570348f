# SPDX-License-Identifier: Apache-2.0
"""Archives hold what test servers want under the names that they want, and are the same bytes each time."""

import os
import zipfile

import fsspec
import pytest

from panpipe.model import errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import members
from panpipe.pipelines.predictions import archives

COCO = ('panoptic.json', 'instances.json', 'panoptic/1.png', 'panoptic/in/2.png')
CITYSCAPES = ('panoptic.json', 'panoptic/a.png', 'semantic/a.png', 'instance/a.txt', 'instance/masks/a_0.png')


@pytest.fixture(name='root', params=['local', 'memory'])
def fixture_root(request, tmp_path):
    """Names an empty folder, on this machine or elsewhere."""
    if request.param == 'local':
        return str(tmp_path / 'p')
    memory = fsspec.filesystem('memory')
    memory.store.clear()
    memory.pseudo_dirs[:] = ['']
    return 'memory://bucket/p'


def _fill(root, paths):
    for path in paths:
        files.write_whole(addresses.join(root, path), path.encode() * 50)
    return root


def _content(path):
    with files.opened(path) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def _written(root, form):
    found = archives.write(root, form, 'test', 'ours')
    return {path.removeprefix(f'{root}/archives/'): _content(path) for path in found}


def test_archives_of_coco(root):
    panoptic, detections = 'panoptic_test_ours_results', 'detections_test_ours_results'
    assert _written(_fill(root, COCO), 'coco') == {
        f'{panoptic}.zip': {
            f'{panoptic}.json': b'panoptic.json' * 50,
            f'{panoptic}/1.png': b'panoptic/1.png' * 50,
            f'{panoptic}/in/2.png': b'panoptic/in/2.png' * 50,
        },
        f'{detections}.zip': {f'{detections}.json': b'instances.json' * 50},
    }


def test_archives_of_cityscapes(root):
    found = _written(_fill(root, CITYSCAPES), 'cityscapes')
    assert {name: sorted(content) for name, content in found.items()} == {
        'panoptic.zip': ['panoptic.json', 'panoptic/a.png'],
        'pixel.zip': ['a.png'],
        'instance.zip': ['a.txt', 'masks/a_0.png'],
    }


@pytest.mark.parametrize('form', ['coco', 'cityscapes'])
def test_classes_alone_make_one_archive(form, root):
    ((_, content),) = _written(_fill(root, ['semantic/1.png', 'semantic/in/2.png']), form).items()
    assert sorted(content) == ['1.png', 'in/2.png']


@pytest.mark.parametrize('form', ['coco', 'cityscapes'])
def test_nothing_makes_no_archive(form, root):
    assert archives.write(root, form, 'test', 'ours') == []


def test_archives_are_the_same_bytes_whenever_and_in_whatever_order_files_were_written(tmp_path):
    first, second = tmp_path / 'first', tmp_path / 'second'
    _fill(str(first), COCO)
    _fill(str(second), COCO[::-1])
    for path in second.rglob('*'):
        os.utime(path, (10**9, 10**9))
    pairs = zip(*(archives.write(str(root), 'coco', 'test', 'ours') for root in (first, second)), strict=True)
    for one, other in pairs:
        assert files.read(one) == files.read(other)


def test_what_is_compressed_already_stays_as_it_is(tmp_path):
    root = _fill(str(tmp_path), COCO)
    with zipfile.ZipFile(archives.write(root, 'coco', 'test', 'ours')[0]) as archive:
        for entry in archive.infolist():
            is_png = entry.filename.endswith('.png')
            assert (entry.compress_size >= entry.file_size) == is_png
            assert entry.external_attr >> 16 == 0o644


@pytest.mark.parametrize('part', ['test', 'test-dev2017', 'v1.0+x', 'é_2'])
def test_parts_of_names_pass(part):
    archives.check(part, part)


@pytest.mark.parametrize('part', ['', 'a b', 'a/b', '../a', 'a\n', 'a*'])
def test_what_cannot_be_in_a_name_is_told(part):
    words = 'which goes into the names of archives; use letters, digits, . _'
    with pytest.raises(errors.InputError, match=f'^--split is .*, {words}') as caught:
        archives.check(part, 'ours')
    assert repr(part) in str(caught.value)
    assert '\n' not in str(caught.value)
    with pytest.raises(errors.InputError, match=f'^--algorithm is .*, {words}'):
        archives.check('test', part)


def test_members_are_named_below_their_folder(root):
    _fill(root, ['a/1', 'a/b/2', 'ab/3'])
    assert members.below(root, 'a') == {'1': f'{root}/a/1', 'b/2': f'{root}/a/b/2'}
    assert members.below(root, 'a', 'x/') == {'x/1': f'{root}/a/1', 'x/b/2': f'{root}/a/b/2'}
    assert members.below(root, 'none') == {}
    assert members.document(root, 'none.json', 'x') == {}
    assert members.document(root, 'a/1', 'x') == {'x.json': f'{root}/a/1'}
