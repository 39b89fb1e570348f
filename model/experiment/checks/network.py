# SPDX-License-Identifier: Apache-2.0
"""What the options of a network must agree on."""

from collections.abc import Iterator

from panpipe.model.experiment import names, schema, textproto
from panpipe.model.experiment.checks import wording

STRIDES = (8, 16, 32)

_GATES = ('sigmoid', 'hard_sigmoid')
_MASKS_STRIDE = 32
# Rates that keep the window of ASPP the same part of the image (Chen et al., DeepLabv3, section 4.1).
_ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}


def _architecture(experiment: schema.Experiment) -> Iterator[str]:
    model = experiment.model_options
    names = [f.name for f in textproto.fields(schema.ModelOptions) if f.oneof and getattr(model, f.name)]
    if len(names) > 1:
        yield f'model_options sets {" and ".join(names)}; keep one of them'
    stride = model.backbone.output_stride
    if stride not in STRIDES:
        yield f'model_options.backbone.output_stride is {stride}; it is one of 8, 16, 32'
    schedule = model.backbone.drop_path_schedule
    yield from wording.choice('model_options.backbone.drop_path_schedule', schedule, ('constant', 'linear'))
    yield from wording.choice(
        'model_options.backbone.squeeze_excite_gate', model.backbone.squeeze_excite_gate, _GATES
    )
    keep = model.backbone.drop_path_keep_prob
    if not 0 < keep <= 1:
        yield f'model_options.backbone.drop_path_keep_prob is {keep:g}; it must be in (0, 1]'


def stride(model: schema.ModelOptions) -> int:
    """Returns the encoder's output stride, which is not a matter of choice for mask transformers."""
    return _MASKS_STRIDE if model.has_masks else model.backbone.output_stride


def _decoder(experiment: schema.Experiment) -> Iterator[str]:
    for path, decoder in _decoders(experiment.model_options):
        yield from wording.choice(f'{path}.decoder_conv_type', decoder.decoder_conv_type, names.CONVOLUTIONS)
        rates = decoder.atrous_rates
        has_model = bool(decoder.feature_key)  # a file without a network has no decoder
        if has_model and not decoder.aspp_use_only_1x1_proj_conv and len(rates) != 3:
            best = _ATROUS_RATES.get(experiment.model_options.backbone.output_stride, (3, 6, 9))
            usual = wording.listed(best)
            yield f'{path}.atrous_rates has {len(rates)} values; give exactly 3, such as {usual}'
        if not decoder.aspp_use_only_1x1_proj_conv and any(rate < 1 for rate in rates):
            yield f'{path}.atrous_rates is {wording.listed(rates)}; each rate must be at least 1'


def _heads(experiment: schema.Experiment) -> Iterator[str]:
    panoptic = experiment.model_options.panoptic_deeplab
    if panoptic is None:
        return
    path = 'model_options.panoptic_deeplab'
    yield from head(f'{path}.semantic_head', panoptic.semantic_head, None, 'the number of classes')
    if panoptic.instance.enable:
        remedy = ', or set instance.enable to false'
        yield from head(f'{path}.instance.center_head', panoptic.instance.center_head, 1, f'1{remedy}')
        yield from head(
            f'{path}.instance.regression_head', panoptic.instance.regression_head, 2, f'2{remedy}'
        )


def head(path: str, head: schema.HeadOptions, channels: int | None, cure: str) -> Iterator[str]:
    """Finds what is wrong with a head that has `channels` outputs, or any number of them if None."""
    if head.output_channels < 1 or channels not in (None, head.output_channels):
        yield f'{path}.output_channels is {head.output_channels}; set it to {cure}'
    if head.head_channels < 1:
        yield f'{path}.head_channels is {head.head_channels}; set it to the width of the head, such as 32'
    yield from wording.choice(f'{path}.head_conv_type', head.head_conv_type, names.CONVOLUTIONS)


def _low_levels(experiment: schema.Experiment) -> Iterator[str]:
    model = experiment.model_options
    levels: list[tuple[str, schema.LowLevelOptions]] = []
    if model.deeplab_v3_plus:
        levels.append(('model_options.deeplab_v3_plus.low_level', model.deeplab_v3_plus.low_level))
    if model.panoptic_deeplab:
        path = 'model_options.panoptic_deeplab'
        levels += [(f'{path}.low_level', level) for level in model.panoptic_deeplab.low_level]
        overrides = model.panoptic_deeplab.instance.low_level_override
        levels += [(f'{path}.instance.low_level_override', level) for level in overrides]
    for path, level in levels:
        if not level.feature_key:
            yield f'{path}.feature_key is empty; name an encoder feature, such as "res2"'
        if level.channels_project < 1:
            yield f'{path}.channels_project is {level.channels_project}; set it to a width of at least 1'


def _advise_rates(experiment: schema.Experiment) -> Iterator[str]:
    if experiment.model_options.has_masks:
        return  # trained with the rates of stride 16
    stride = experiment.model_options.backbone.output_stride
    for path, decoder in _decoders(experiment.model_options):
        best = _ATROUS_RATES.get(stride, decoder.atrous_rates)
        if len(decoder.atrous_rates) == 3 and decoder.atrous_rates != best:
            rates, usual = map(wording.listed, (decoder.atrous_rates, best))
            yield f'{path}.atrous_rates is {rates}; {usual} is usual with output_stride {stride}'


def _decoders(model: schema.ModelOptions) -> Iterator[tuple[str, schema.DecoderOptions]]:
    yield 'model_options.decoder', model.decoder
    panoptic = model.panoptic_deeplab
    if panoptic and panoptic.instance.enable and panoptic.instance.instance_decoder_override:
        path = 'model_options.panoptic_deeplab.instance.instance_decoder_override'
        yield path, panoptic.instance.instance_decoder_override


RULES = (_architecture, _decoder, _heads, _low_levels)
ADVICE = (_advise_rates,)
