# SPDX-License-Identifier: Apache-2.0
"""Errors of files keep their parts on the way between processes."""

import pickle

from panpipe.model import errors, image_files


def test_an_error_of_a_file_is_one_line_and_keeps_its_parts():
    error = errors.FileError('a.png', 'is grey', 'paint it')
    assert str(error) == 'a.png is grey; paint it'
    assert (error.where, error.what, error.cure) == ('a.png', 'is grey', 'paint it')
    assert isinstance(error, errors.InputError)


def test_an_error_of_a_file_can_be_pickled():
    error = pickle.loads(pickle.dumps(image_files.Damaged('a.png', 'is cut', 'fetch it')))
    assert type(error) is image_files.Damaged
    assert (str(error), error.cure) == ('a.png is cut; fetch it', 'fetch it')
