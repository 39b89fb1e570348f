# SPDX-License-Identifier: Apache-2.0
import os

import fsspec
import pytest

from panpipe.components import listing
from panpipe.model import errors
from panpipe.model.storage import files


@pytest.fixture
def bucket():
    """An object store in memory, which has addresses as the real ones have."""
    store = fsspec.filesystem('memory')
    yield 'memory://bucket/data'
    store.store.clear()
    store.pseudo_dirs[:] = ['']


def _touch(path, text='a', time=1_000_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time, time))


def test_the_digest_follows_names_sizes_and_times(tmp_path):
    _touch(tmp_path / 'train/a.png')
    _touch(tmp_path / 'val/b.png')
    first = listing.digest(str(tmp_path))
    assert listing.digest(str(tmp_path)) == first
    seen = {first}
    for change in (
        lambda: _touch(tmp_path / 'val/b.png', 'ab'),
        lambda: _touch(tmp_path / 'val/b.png', 'cd', 2_000_000_000),
        lambda: _touch(tmp_path / 'val/c.png'),
        lambda: (tmp_path / 'val/c.png').rename(tmp_path / 'train/c.png'),
        lambda: (tmp_path / 'train/c.png').unlink(),
    ):
        change()
        seen.add(listing.digest(str(tmp_path)))
    assert len(seen) == 5  # the last change undoes the two before


def test_the_digest_reads_no_contents(tmp_path):
    _touch(tmp_path / 'a.png', 'secret')
    first = listing.digest(str(tmp_path))
    (tmp_path / 'a.png').chmod(0)
    assert listing.digest(str(tmp_path)) == first


def test_toy_data_need_no_listing():
    assert listing.digest('') == listing.NO_DATA


def test_folders_that_are_not_there_or_empty_are_refused(tmp_path):
    with pytest.raises(errors.InputError, match='nowhere is no folder'):
        listing.digest(str(tmp_path / 'nowhere'))
    with pytest.raises(errors.InputError, match='holds no file'):
        listing.digest(str(tmp_path))


def test_object_stores_are_listed(bucket):
    with pytest.raises(errors.InputError, match='holds no file'):
        listing.digest(bucket)
    files.write_whole(f'{bucket}/train/a.png', b'a')
    first = listing.digest(bucket)
    assert listing.digest(bucket) == first
    files.write_whole(f'{bucket}/train/a.png', b'ab')
    assert listing.digest(bucket) != first


def test_unknown_schemes_are_one_line():
    with pytest.raises(errors.InputError, match='nosuch://x'):
        listing.digest('nosuch://x')


def test_links_to_folders_are_followed(tmp_path):
    _touch(tmp_path / 'elsewhere/a.png')
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw/train').symlink_to(tmp_path / 'elsewhere')
    first = listing.digest(str(tmp_path / 'raw'))
    _touch(tmp_path / 'elsewhere/a.png', 'ab')
    assert listing.digest(str(tmp_path / 'raw')) != first
    (tmp_path / 'raw/broken').symlink_to(tmp_path / 'absent')
    listing.digest(str(tmp_path / 'raw'))
