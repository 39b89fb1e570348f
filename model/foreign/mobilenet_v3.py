# SPDX-License-Identifier: Apache-2.0
"""Names of MobileNetV3's weights in other libraries → ours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from panpipe.model.backbones import mobilenet_v3

TABLES: Mapping[str, Sequence[mobilenet_v3.Row]] = {
    'mobilenet_v3_small': mobilenet_v3.SMALL,
    'mobilenet_v3_large': mobilenet_v3.LARGE,
}
_STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')
_TORCH = ('weight', 'weight', 'bias', 'running_mean', 'running_var')
_KERAS = ('kernel', *_STATISTICS)


class Unit(NamedTuple):
    """What a library calls a convolution, and the normalization after it ('' for the bias of one without)."""

    conv: str
    norm: str = ''


class Block(NamedTuple):
    """What a library calls the layers of a row; a plain convolution is its `depthwise`."""

    expand: Unit
    depthwise: Unit
    reduce: str
    excite: str
    project: Unit


# From a table and a row's number to what a library calls that row's layers.
Names = Callable[[Sequence[mobilenet_v3.Row], int], Block]


def torchvision(rows: Sequence[mobilenet_v3.Row], index: int) -> Block:
    """Numbers layers in the order of their use."""
    row, place = rows[index], f'features.{index}.'
    if not row.expansion:
        unit = Unit(f'{place}0.', f'{place}1.')
        return Block(unit, unit, '', '', unit)
    first = 1 if row.expansion > 1 else 0
    expand, depthwise, squeeze, project = (
        f'{place}block.{number}.' for number in (0, first, first + 1, first + 1 + row.has_se)
    )
    units = [Unit(f'{name}0.', f'{name}1.') for name in (expand, depthwise, project)]
    return Block(units[0], units[1], f'{squeeze}fc1.', f'{squeeze}fc2.', units[2])


def timm(rows: Sequence[mobilenet_v3.Row], index: int) -> Block:
    """Numbers stages, which are runs of rows with the same width."""
    if index == 0:
        unit = Unit('conv_stem.', 'bn1.')
        return Block(unit, unit, '', '', unit)
    widths = [row.filters for row in rows[1:]]
    starts = [i for i in range(len(widths)) if i == 0 or widths[i] != widths[i - 1]]
    stage = max(number for number, start in enumerate(starts) if start < index)
    place = f'blocks.{stage}.{index - 1 - starts[stage]}.'
    if not rows[index].expansion:
        unit = Unit(f'{place}conv.', f'{place}bn1.')
        return Block(unit, unit, '', '', unit)
    convs = ('conv_pw', 'conv_dw', 'conv_pwl') if rows[index].expansion > 1 else ('', 'conv_dw', 'conv_pw')
    norms = ('bn1', 'bn2', 'bn3') if rows[index].expansion > 1 else ('', 'bn1', 'bn2')
    expand, depthwise, project = (
        Unit(f'{place}{conv}.', f'{place}{norm}.') for conv, norm in zip(convs, norms, strict=True)
    )
    return Block(expand, depthwise, f'{place}se.conv_reduce.', f'{place}se.conv_expand.', project)


def keras(rows: Sequence[mobilenet_v3.Row], index: int) -> Block:
    """Numbers bottlenecks from the second on."""
    if not rows[index].expansion:
        name = 'conv' if index == 0 else 'conv_1'
        unit = Unit(f'{name}/', f'{name}_bn/')
        return Block(unit, unit, '', '', unit)
    place = 'expanded_conv_' if index == 1 else f'expanded_conv_{index - 1}_'
    expand, depthwise, project = (
        Unit(f'{place}{kind}/', f'{place}{kind}_bn/') for kind in ('expand', 'depthwise', 'project')
    )
    squeeze = f'{place}squeeze_excite_conv'
    return Block(expand, depthwise, f'{squeeze}/', f'{squeeze}_1/', project)


def table(rows: Sequence[mobilenet_v3.Row], names: Names) -> Iterator[tuple[str, str]]:
    """Yields (our name below the encoder, theirs) for every weight."""
    kinds = _KERAS if names is keras else _TORCH

    def unit(ours: str, kernel: str, theirs: Unit) -> Iterator[tuple[str, str]]:
        yield f'{ours}/{kernel}', f'{theirs.conv}{kinds[0]}'
        for ending, kind in zip(_STATISTICS, kinds[1:], strict=True):
            yield f'{ours}/_batch_norm/{ending}', f'{theirs.norm}{kind}'

    for index, row in enumerate(rows):
        ours, block = f'_blocks/{index}', names(rows, index)
        if not row.expansion:
            yield from unit(ours, '_conv/kernel', block.depthwise)
            continue
        if row.expansion > 1:
            yield from unit(f'{ours}/_conv1_bn_act', '_conv/kernel', block.expand)
        yield from unit(f'{ours}/_conv2_bn_act', '_depthwise_conv/depthwise_kernel', block.depthwise)
        if row.has_se:
            for name, theirs in (('_se_reduce', block.reduce), ('_se_expand', block.excite)):
                yield f'{ours}/_squeeze_excitation/{name}/kernel', f'{theirs}{kinds[0]}'
                yield f'{ours}/_squeeze_excitation/{name}/bias', f'{theirs}bias'
        yield from unit(f'{ours}/_conv3_bn', '_conv/kernel', block.project)
