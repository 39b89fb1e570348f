# SPDX-License-Identifier: Apache-2.0
"""What a wrong root folder holds is said shortly, in the same order everywhere."""

import pytest

from panpipe.model import errors
from panpipe.pipelines.sources import roots


def _with(folder, *names):
    for name in names:
        (folder / name).mkdir()
    return str(folder)


@pytest.mark.parametrize(
    ('names', 'words'),
    [
        ((), 'it is empty'),
        (('.git', '.DS_Store'), 'it is empty'),
        (('b', 'a', '.c'), 'it holds a, b'),
        ('fedcba', 'it holds a, b, c, d, e, f'),
        ('gfedcba', 'it holds a, b, c, d, e, f, …'),
    ],
)
def test_the_first_names_are_told(names, words, tmp_path):
    assert roots.contents(_with(tmp_path, *names)) == words


def test_what_cannot_be_listed_is_told(tmp_path):
    path = tmp_path / 'file'
    path.write_text('')
    assert roots.contents(str(path)) == roots.contents(str(tmp_path / 'none')) == 'it could not be listed'


def test_a_folder_must_be_there(tmp_path):
    roots.check_folder(str(tmp_path))
    for name in ('none', 'file'):
        with pytest.raises(errors.InputError, match=f'/{name} is not a folder; give the root of the raw'):
            roots.check_folder(str(tmp_path / name))
        (tmp_path / 'file').write_text('')
