# SPDX-License-Identifier: Apache-2.0
"""Reads files of weights into arrays by name: .safetensors, .pth, .h5 and .keras.

No file runs code: the pickle inside a .pth file may call what rebuilds tensors and nothing else.
"""

import json
import math
import os
import pathlib
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from panpipe.model import errors

Weights = dict[str, np.ndarray]

_SAFETENSORS_TYPES: Mapping[str, Any] = {
    'F64': np.float64,
    'F32': np.float32,
    'F16': np.float16,
    'BF16': ml_dtypes.bfloat16,
    'I64': np.int64,
    'I32': np.int32,
}
_TORCH_TYPES: Mapping[str, Any] = {
    'DoubleStorage': np.float64,
    'FloatStorage': np.float32,
    'HalfStorage': np.float16,
    'BFloat16Storage': ml_dtypes.bfloat16,
    'LongStorage': np.int64,
    'IntStorage': np.int32,
}
_FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, pickle.UnpicklingError)
# Some files keep the weights one level down.
_INNER = ('state_dict', 'model', 'model_ema')


def read(path: str) -> Weights:
    """Reads a file by its ending.

    Raises:
      errors.InputError: the ending is none of those, or the file is not of its kind.
    """
    ending = pathlib.Path(path).suffix.lower()
    if ending not in READERS:
        raise errors.InputError(
            f'{path} ends with {ending!r}; give a file that ends with {", ".join(READERS)}'
        )
    if not os.path.isfile(path):
        raise errors.InputError(f'there is no file {path}; give the path of downloaded weights')
    try:
        return READERS[ending](path)
    except _FAULTS as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise errors.InputError(f'cannot read {path} ({told}); download it anew') from error


def _safetensors(path: str) -> Weights:
    """Reads the format of Hugging Face: a length, a JSON header with places, then the arrays."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from('<Q', content)
    header = json.loads(content[8 : 8 + length])
    weights = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        begin, _ = entry['data_offsets']
        shape = entry['shape']
        values = np.frombuffer(
            content, _SAFETENSORS_TYPES[entry['dtype']], math.prod(shape), 8 + length + begin
        )
        weights[name] = values.reshape(shape)
    return weights


def _torch(path: str) -> Weights:
    """Reads a state dict of PyTorch 1.6 or later, a zip file."""
    if not zipfile.is_zipfile(path):
        raise ValueError('not a zip file, as PyTorch has written since version 1.6')
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith('/data.pkl'))
        found = _Unpickler(archive, pickled).load()
    for key in _INNER:
        if isinstance(found.get(key), dict):
            found = found[key]
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors as arrays, and refuses to import anything else."""

    def __init__(self, archive: zipfile.ZipFile, pickled: str) -> None:
        super().__init__(archive.open(pickled))
        self._archive, self._folder = archive, pickled.removesuffix('data.pkl')

    def find_class(self, module: str, name: str) -> Any:
        """Finds what a state dict needs."""
        if module == 'torch' and name in _TORCH_TYPES:
            return _TORCH_TYPES[name]
        allowed: Mapping[tuple[str, str], Any] = {
            ('collections', 'OrderedDict'): OrderedDict,
            ('torch._utils', '_rebuild_tensor_v2'): _rebuilt,
            ('torch._utils', '_rebuild_parameter'): lambda tensor, *_: tensor,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(
                f'it calls {module}.{name}, which is refused; save its state_dict, or use .safetensors'
            )
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Reads the numbers of a tensor."""
        _, kind, key, _, count = pid
        return np.frombuffer(self._archive.read(f'{self._folder}data/{key}'), kind, count)


def _rebuilt(storage: np.ndarray, offset: int, shape: Any, strides: Any, *_: Any) -> np.ndarray:
    strides = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()


def _h5(path: str) -> Weights:
    """Reads Keras' older format: groups by layer, with a list of weights each."""
    weights: Weights = {}
    with h5py.File(path) as file:
        root = file.get('model_weights', file)
        if 'layer_names' not in root.attrs:
            raise ValueError('it has no layer names; load it in Keras and save the model as .keras')
        for layer in root.attrs['layer_names']:
            group = root[_text(layer)]
            weights |= {_text(name): np.asarray(group[_text(name)]) for name in group.attrs['weight_names']}
    return weights


def _keras(path: str) -> Weights:
    """Loads a whole model of Keras, in its safe mode."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    return {variable.path: np.asarray(variable) for variable in model.weights}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


READERS: Mapping[str, Callable[[str], Weights]] = {
    '.safetensors': _safetensors,
    '.pth': _torch,
    '.h5': _h5,
    '.keras': _keras,
}
