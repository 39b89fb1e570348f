# SPDX-License-Identifier: Apache-2.0
"""Every kind of file gives back the arrays that were written, and nothing in it is run."""

import struct
import sys

import h5py
import ml_dtypes
import numpy as np
import pytest

from foreign_files import write_pth, write_safetensors
from panpipe.model import errors
from panpipe.model.foreign import files


def _weights():
    random = np.random.default_rng(0)
    return {
        'a.weight': random.normal(size=(3, 2, 1)).astype(np.float32),
        'b.weight': np.asfortranarray(random.normal(size=(4, 3)).astype(np.float32)),
        'c.count': np.float32(5.0).reshape(()),
    }


def _assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_safetensors(tmp_path):
    weights = _weights() | {'d': np.array([1.5, -2.0], ml_dtypes.bfloat16)}
    write_safetensors(tmp_path / 'a.safetensors', weights)
    _assert_same(files.read(str(tmp_path / 'a.safetensors')), weights)


@pytest.mark.parametrize('wrap', [lambda found: found, lambda found: {'state_dict': found, 'epoch': 3}])
def test_pth(tmp_path, monkeypatch, wrap):
    write_pth(tmp_path / 'a.pth', _weights(), monkeypatch, wrap)
    _assert_same(files.read(str(tmp_path / 'a.pth')), _weights())


def test_a_pickle_that_calls_something_is_refused(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return sys.exit, (7,)

    write_pth(tmp_path / 'a.pth', {}, monkeypatch, lambda found: {'x': Evil()})
    with pytest.raises(errors.InputError, match=r'it calls sys\.exit, which is refused'):
        files.read(str(tmp_path / 'a.pth'))


def test_h5(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.attrs['layer_names'] = [b'first', b'empty']
        file.create_group('empty').attrs['weight_names'] = []
        group = file.create_group('first')
        group.attrs['weight_names'] = [b'first/kernel:0']
        group.create_dataset('first/kernel:0', data=_weights()['a.weight'])
    _assert_same(files.read(str(tmp_path / 'a.h5')), {'first/kernel:0': _weights()['a.weight']})


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('a.zip', b'', r"ends with '\.zip'; give a file that ends with \.safetensors, \.pth"),
        ('a.safetensors', b'123', 'cannot read .* download it anew'),
        ('a.safetensors', struct.pack('<Q', 2) + b'[]', 'cannot read .* download it anew'),
        ('a.pth', b'\x80\x02', 'not a zip file, as PyTorch has written since version 1.6'),
        ('a.h5', b'no', 'cannot read .* download it anew'),
        ('a.keras', b'no', 'cannot read .* download it anew'),
        ('a.pth', None, 'there is no file .* give the path'),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InputError, match=words):
        files.read(str(tmp_path / name))
