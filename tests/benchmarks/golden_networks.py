# SPDX-License-Identifier: Apache-2.0
"""How far networks are from what DeepLab2 computed, as fractions of the largest value of each tensor."""

import json
import pathlib
import sys
from typing import Any

import numpy as np

from panpipe.model import build, checkpoints, config, postprocess

_TESTS = pathlib.Path(__file__).parents[1]
sys.path.append(str(_TESTS))

import weights  # noqa: E402

# Statistics and some values at full resolution, with weights that follow from the variables' names.
SAMPLED: dict[str, Any] = json.loads((_TESTS / 'golden/networks.json').read_text())
# All values at the decoder's stride, with the weights of a checkpoint.
WHOLE = 'cityscapes/panoptic_deeplab/mobilenet_v3_small_os32'
_CHECKPOINT = 'mobilenet_v3_small_os32'
# All values of mask transformers' heads, with weights that follow from the variables' names.
MASKS: dict[str, str] = {
    'coco/kmax_deeplab/kmax_meta_r50_os32': '00_coco_r50',
    'coco/kmax_deeplab/kmax_meta_convnext_tiny_os32': '01_coco_convnext_tiny',
    'cityscapes/kmax_deeplab/kmax_meta_r50_os32': '02_cityscapes_r50',
}
_SIZE = (65, 129)


def of_sampled(name: str, configs: pathlib.Path) -> float:
    """Compares features and heads of one of `SAMPLED`."""
    crop = f'train_dataset_options.crop_size={_SIZE[0]},{_SIZE[1]}'
    # Unchecked: the files' own resizing does not go with so small a crop.
    text = (configs / f'{name}.textproto').read_text()
    network = build.network(config.loads(text, name, [crop]))
    weights.fill(network)
    image = np.random.RandomState(123).randint(0, 256, size=(1, *_SIZE, 3)).astype(np.float32)
    heads = postprocess.upsample(network(image), *_SIZE)
    found = {
        **network.encoder(image / 127.5 - 1)._asdict(),
        'semantic_logits': heads.semantic_logits,
        'center_heatmap': heads.center_heatmap,
        'offset_map': heads.offset,
    }
    return max(
        _distance(np.array(found[tensor], np.float64), golden)
        for tensor, golden in SAMPLED[name]['tensors'].items()
    )


def of_masks(name: str, configs: pathlib.Path, goldens: pathlib.Path) -> float | None:
    """Compares the heads of one of `MASKS`; None where the reference's files are not at hand."""
    path = goldens / f'kmax/forward/{MASKS[name]}.npz'
    if not path.is_file():
        return None
    golden = np.load(path, allow_pickle=False)
    network = build.network(config.loads((configs / f'{name}.textproto').read_text(), name))
    weights.fill(network, weights.mask_value)
    seed = json.loads(str(golden['args_json']))['image_seed']
    image = np.random.RandomState(seed).randint(0, 256, size=(1, *_SIZE, 3)).astype(np.float32)
    expected = [
        golden[f'out_{head}']
        for head in (
            'pixel_space_mask_logits',
            'transformer_class_logits',
            'pixel_space_normalized_feature',
            'semantic_logits',
        )
    ]
    return max(
        float(np.abs(np.array(head) - wanted).max() / np.abs(wanted).max())
        for head, wanted in zip(network(image), expected, strict=True)
    )


def of_whole(goldens: pathlib.Path) -> float | None:
    """Compares the heads of `WHOLE`; None where the reference's files are not at hand."""
    folder = goldens / 'checkpoints' / _CHECKPOINT
    if not folder.is_dir():
        return None
    network = build.network(config.load(folder / 'config.textproto'))
    checkpoints.restore(network, folder / 'ckpt-0')
    golden = np.load(goldens / f'models/{_CHECKPOINT}.npz')
    heads = network(golden['input_image'], training=False)
    expected = [golden[f'raw_{name}'] for name in ('semantic_logits', 'center_heatmap', 'offset_map')]
    return max(
        float(np.abs(np.array(head) - wanted).max() / np.abs(wanted).max())
        for head, wanted in zip(heads, expected, strict=True)
    )


def _distance(value: np.ndarray, golden: dict[str, Any]) -> float:
    statistics = np.array([value.mean(), value.std(), value.min(), value.max()])
    differences = [np.abs(statistics - golden['statistics']).max()]
    for (y, x), channels in golden.get('points', []):
        differences.append(np.abs(value[0, y, x, :4] - channels).max())
    return float(max(differences) / np.abs(golden['statistics']).max())
