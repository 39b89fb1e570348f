# SPDX-License-Identifier: Apache-2.0
"""Names of ConvNeXt's weights in other libraries → ours."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from panpipe.model.backbones import convnext

LAYOUTS: Mapping[str, convnext.Layout] = {
    'convnext_tiny': convnext.TINY,
    'convnext_small': convnext.SMALL,
    'convnext_base': convnext.BASE,
    'convnext_large': convnext.LARGE,
    'convnext_xlarge': convnext.XLARGE,
}


class Names(NamedTuple):
    """How a library names layers; `{i}` is a stage and `{j}` a block, from 0.

    Attributes:
      stem, stem_norm: the first convolution and its normalization.
      reduce_norm, reduce: before stages 1 .. 3.
      block: what all layers of a block begin with.
      inner: depthwise convolution, normalization, first and second pointwise layer of a block.
      scale: the whole name of a block's layer scale.
      kinds: names of the weights of a layer: kernel, bias, scale and shift of a normalization.
    """

    stem: str
    stem_norm: str
    reduce_norm: Callable[[int], str]
    reduce: Callable[[int], str]
    block: Callable[[int, int], str]
    inner: tuple[str, str, str, str]
    scale: str
    kinds: tuple[str, str, str, str] = ('weight', 'bias', 'weight', 'bias')


TIMM = Names(
    'stem.0.',
    'stem.1.',
    lambda i: f'stages.{i}.downsample.0.',
    lambda i: f'stages.{i}.downsample.1.',
    lambda i, j: f'stages.{i}.blocks.{j}.',
    ('conv_dw.', 'norm.', 'mlp.fc1.', 'mlp.fc2.'),
    'gamma',
)
TORCHVISION = Names(
    'features.0.0.',
    'features.0.1.',
    lambda i: f'features.{2 * i}.0.',
    lambda i: f'features.{2 * i}.1.',
    lambda i, j: f'features.{2 * i + 1}.{j}.',
    ('block.0.', 'block.2.', 'block.3.', 'block.5.'),
    'layer_scale',
)
KERAS = Names(
    'stem_conv/',
    'stem_layernorm/',
    lambda i: f'downsampling_layernorm_{i - 1}/',
    lambda i: f'downsampling_conv_{i - 1}/',
    lambda i, j: f'stage_{i}_block_{j}_',
    ('depthwise_conv/', 'layernorm/', 'pointwise_conv_1/', 'pointwise_conv_2/'),
    'layer_scale/gamma',
    ('kernel', 'bias', 'gamma', 'beta'),
)


def table(layout: convnext.Layout, names: Names) -> Iterator[tuple[str, str]]:
    """Yields (our name below the encoder, theirs) for every weight."""
    kernel, bias, scale, shift = names.kinds

    def conv(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield f'{ours}/kernel', f'{theirs}{kernel}'
        yield f'{ours}/bias', f'{theirs}{bias}'

    def norm(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
        yield f'{ours}/gamma', f'{theirs}{scale}'
        yield f'{ours}/beta', f'{theirs}{shift}'

    yield from conv('downsample_layers/0/layer_with_weights-0', names.stem)
    yield from norm('downsample_layers/0/layer_with_weights-1', names.stem_norm)
    for i in range(1, 4):
        yield from norm(f'downsample_layers/{i}/layer_with_weights-0', names.reduce_norm(i))
        yield from conv(f'downsample_layers/{i}/layer_with_weights-1', names.reduce(i))
    for i, count in enumerate(layout.num_blocks):
        for j in range(count):
            ours, theirs = f'stages/{i}/layer_with_weights-{j}', names.block(i, j)
            depthwise, inner_norm, first, second = (f'{theirs}{layer}' for layer in names.inner)
            yield from conv(f'{ours}/depthwise_conv', depthwise)
            yield from norm(f'{ours}/norm', inner_norm)
            yield from conv(f'{ours}/pointwise_conv1', first)
            yield from conv(f'{ours}/pointwise_conv2', second)
            yield f'{ours}/layer_scale', f'{theirs}{names.scale}'
