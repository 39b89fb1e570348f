# SPDX-License-Identifier: Apache-2.0
"""A listing holds every image once, sorts what it leaves out, and tells of that in one line."""

import doctest

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.pipelines.sources import listing, trees

FEWER = hypothesis.settings(deadline=None, max_examples=50)
IMAGES = ('a.jpg', 'b.JPEG', 'c.PNG', 'd.tif', 'in/e.webp', 'f.jp2', 'g.pgm')
OTHERS = ('a.txt', 'b.json', 'in/c.TXT', 'README', 'archive.tar.gz', 'jpg')


def _tree(files, broken=()):
    return trees.Tree('root', tuple(files), tuple(broken))


@pytest.mark.parametrize('path', IMAGES)
def test_images_are_known_by_their_endings(path):
    assert listing.is_image(path)


@pytest.mark.parametrize('path', OTHERS)
def test_other_files_are_no_images(path):
    assert not listing.is_image(path)


@FEWER
@hypothesis.given(st.permutations(IMAGES + OTHERS))
def test_images_are_taken_in_the_order_of_the_folder(files):
    assert listing.images_in(_tree(files)) == [path for path in files if path in IMAGES]


def test_entries_have_names_addresses_and_formats():
    found = listing.entries_of(['a/1.JPG', 'b/cafe\u0301.tif'], 'gs://bucket/root/')
    assert [(e.image_id, e.path, e.format) for e in found] == [
        ('a/1', 'gs://bucket/root/a/1.JPG', 'jpeg'),
        ('b/café', 'gs://bucket/root/b/cafe\u0301.tif', 'png'),
    ]
    assert all(entry.label is None and entry.official_id is None for entry in found)


def test_ids_may_be_given():
    (entry,) = listing.entries_of(['a/1.jpg'], 'root', {'a/1.jpg': 'one'})
    assert (entry.image_id, entry.path) == ('one', 'root/a/1.jpg')


@pytest.mark.parametrize(
    'twins',
    [('1.jpg', '1.png'), ('a/1.jpg', 'a/1.JPG'), ('é.jpg', 'e\u0301.jpg'), ('1.jpg', '1.tif', '1.gif')],
)
def test_two_images_of_one_name_are_told(twins):
    shown = ', '.join(f'root/{path}' for path in twins)
    with pytest.raises(errors.InputError, match=r'^several images are called ') as caught:
        listing.entries_of(['0.jpg', *twins], 'root')
    assert str(caught.value).endswith(f': {shown}; keep one')


def test_images_of_one_name_in_two_folders_are_two():
    assert len(listing.entries_of(['a/1.jpg', 'b/1.jpg'], 'root')) == 2


FILES = st.lists(st.sampled_from(IMAGES + OTHERS), unique=True)


@FEWER
@hypothesis.given(FILES, st.sets(st.sampled_from(IMAGES)), st.booleans())
def test_every_file_is_taken_or_left_out(files, taken, has_broken):
    broken = ('z.jpg',) if has_broken else ()
    found = listing.left_out(_tree(files, broken), taken)
    assert sorted(path for paths in found.values() for path in paths) == sorted({*files} - taken | {*broken})
    assert all(found.values())


def test_what_is_left_out_is_sorted_by_what_it_is():
    files = ('1.jpg', '2.JPG', 'README', 'a/3.jpg', 'a/b.TXT', 'c.txt')
    assert listing.left_out(_tree(files, ['x', 'y']), ['1.jpg']) == {
        '.jpg': ['2.JPG'],
        'file without ending': ['README'],
        'image in a sub-folder': ['a/3.jpg'],
        '.txt': ['a/b.TXT', 'c.txt'],
        'broken link': ['x', 'y'],
    }


def _listing(**left_out):
    images = tuple(listing.entries_of(['1.jpg', '2.jpg', '3.jpg'], 'root'))
    return listing.Listing(images, {name.replace('_', ' '): paths for name, paths in left_out.items()})


def test_a_listing_is_the_sequence_of_its_images():
    found = _listing()
    assert len(found) == 3
    assert [entry.image_id for entry in found] == ['1', '2', '3']
    assert found[-1] == found.images[2]
    assert found[1:] == found.images[1:]
    assert found.images[1] in found


LINES = [
    ({'broken_link': ['a']}, '1 broken link (a)'),
    ({'broken_link': ['a', 'b']}, '2 broken links (a, b)'),
    ({'.txt': ['a.txt', 'b.txt', 'c.txt', 'd.txt']}, '4 .txt (a.txt, b.txt, c.txt, …)'),
    ({'annotation_without_image': ['1', '2']}, '2 annotations without image (1, 2)'),
    (
        {'image_in_a_sub-folder': ['a/1', 'a/2'], 'file_without_ending': ['x']},
        '2 images in a sub-folder (a/1, a/2), 1 file without ending (x)',
    ),
]


@pytest.mark.parametrize(('left_out', 'words'), LINES)
def test_what_is_left_out_is_told_in_one_line(left_out, words, capsys):
    listing.tell('convert', 'val', _listing(**left_out), is_strict=False)
    assert capsys.readouterr() == ('', f'panpipe convert: val: left out: {words}\n')


@pytest.mark.parametrize(('left_out', 'words'), LINES)
def test_strictly_it_is_a_mistake(left_out, words, capsys):
    with pytest.raises(errors.InputError) as caught:
        listing.tell('convert', 'val', _listing(**left_out), is_strict=True)
    assert str(caught.value) == f'val: left out: {words}; correct the data set, or leave --strict out'
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('is_strict', [False, True])
def test_nothing_is_told_where_nothing_is_left_out(is_strict, capsys):
    listing.tell('convert', 'val', _listing(), is_strict=is_strict)
    assert capsys.readouterr() == ('', '')


def test_the_documented_examples_hold():
    assert doctest.testmod(listing).failed == 0
