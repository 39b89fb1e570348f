# SPDX-License-Identifier: Apache-2.0
"""Writes files of weights as other libraries do, from the descriptions of their formats."""

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np


def write_safetensors(path, weights, kinds=types.MappingProxyType({'float32': 'F32', 'bfloat16': 'BF16'})):
    """Writes the format from its description."""
    header, place = {'__metadata__': {'format': 'pt'}}, 0
    for name, value in weights.items():
        end = place + value.nbytes
        header[name] = {
            'dtype': kinds[value.dtype.name],
            'shape': list(value.shape),
            'data_offsets': [place, end],
        }
        place = end
    text = json.dumps(header).encode()
    content = b''.join(np.ascontiguousarray(value).tobytes() for value in weights.values())
    path.write_bytes(struct.pack('<Q', len(text)) + text + content)


class _Tensor:
    def __init__(self, key, value):
        self.key, self.value = key, value


class _Storage:
    def __init__(self, tensor):
        self.tensor = tensor


def write_pth(path, weights, monkeypatch, wrap=lambda found: found):
    """Writes what torch.save writes, with stand-ins for its classes."""
    torch, inner = types.ModuleType('torch'), types.ModuleType('torch._utils')
    torch.FloatStorage = type('FloatStorage', (), {'__module__': 'torch'})

    def rebuild():
        """Stands for the function that PyTorch names in its files."""

    rebuild.__module__, rebuild.__qualname__ = 'torch._utils', '_rebuild_tensor_v2'
    inner._rebuild_tensor_v2 = rebuild
    monkeypatch.setitem(sys.modules, 'torch', torch)
    monkeypatch.setitem(sys.modules, 'torch._utils', inner)

    class Pickler(pickle.Pickler):
        def persistent_id(self, found):
            if isinstance(found, _Storage):
                value = found.tensor.value
                return ('storage', torch.FloatStorage, found.tensor.key, 'cpu', value.size)
            return None

        def reducer_override(self, found):
            if isinstance(found, _Tensor):
                shape = found.value.shape
                strides = tuple(step // 4 for step in found.value.strides)
                return rebuild, (_Storage(found), 0, shape, strides, False, OrderedDict())
            return NotImplemented

    stream = io.BytesIO()
    tensors = {name: _Tensor(str(key), value) for key, (name, value) in enumerate(weights.items())}
    Pickler(stream, protocol=2).dump(wrap(OrderedDict(tensors)))
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', stream.getvalue())
        for tensor in tensors.values():
            archive.writestr(f'archive/data/{tensor.key}', tensor.value.tobytes(order='A'))
