# SPDX-License-Identifier: Apache-2.0
"""What the options of a mask transformer must agree on."""

from collections.abc import Iterator

from panpipe.model.experiment import mask_numbers, schema
from panpipe.model.experiment.checks import network, wording

_PREFIX = 'kmax_'
_STRIDE_4 = 'kmax_convnext'  # whose stem has no finer features
_LEVELS = (4, 5)
_PASTED = ('random', 'none', 'all')
_POST_PROCESSINGS = ('pixelwise', 'maskwise')
_MASK_LOSSES = ('pq_style_loss', 'mask_id_cross_entropy_loss', 'instance_discrimination_loss')
_BACKBONE = schema.BackboneOptions()
# What DeepLab2 ignores of a mask transformer's encoder, and so do we.
_IGNORED = (
    'output_stride',
    'drop_path_schedule',
    'stem_width_multiplier',
    'backbone_width_multiplier',
    'backbone_layer_multiplier',
    'use_squeeze_and_excite',
    'use_sac_beyond_stride',
)


def _architecture(experiment: schema.Experiment) -> Iterator[str]:
    model = experiment.model_options
    is_kmax = model.backbone.name.lower().startswith(_PREFIX)
    if model.has_masks and not is_kmax:
        yield (
            f'model_options.backbone.name is {model.backbone.name!r}, but of mask transformers panpipe '
            'builds kMaX-DeepLab alone; name a kmax_ backbone, such as kmax_resnet50'
        )
    if model.has_pixel_heads and is_kmax:
        yield (
            f'model_options.backbone.name is {model.backbone.name!r}, an encoder of mask transformers; '
            f'set model_options.max_deeplab, or name the backbone without {_PREFIX}'
        )


def _options(experiment: schema.Experiment) -> Iterator[str]:
    options, path = experiment.model_options.max_deeplab, 'model_options.max_deeplab'
    if options is None:
        return
    yield from network.head(f'{path}.pixel_space_head', options.pixel_space_head, None, 'the width of masks')
    yield from network.head(
        f'{path}.auxiliary_semantic_head', options.auxiliary_semantic_head, None, 'the number of classes'
    )
    keep = options.transformer_decoder_drop_path_keep_prob
    if keep is not None and not 0 < keep <= 1:
        yield f'{path}.transformer_decoder_drop_path_keep_prob is {keep:g}; it must be in (0, 1]'
    if options.num_mask_slots is not None and options.num_mask_slots < 1:
        yield f'{path}.num_mask_slots is {options.num_mask_slots}; it must be at least 1, such as 128'
    if options.pixel_decoder_levels not in (None, *_LEVELS):
        yield f'{path}.pixel_decoder_levels is {options.pixel_decoder_levels}; it is 4 or 5'
    if not options.width_multiplier > 0:
        yield f'{path}.width_multiplier is {options.width_multiplier:g}; it must be positive, such as 1.0'
    if options.transformer_layers_per_level < 1:
        yield (
            f'{path}.transformer_layers_per_level is {options.transformer_layers_per_level}; it must be at '
            'least 1, such as 2'
        )
    if options.instance_discrimination_sample_k < 0:
        yield (
            f'{path}.instance_discrimination_sample_k is {options.instance_discrimination_sample_k}; it must '
            'not be negative, and 0 compares all pixels'
        )
    yield from _sample(experiment)


def _sample(experiment: schema.Experiment) -> Iterator[str]:
    """Checks that no more pixels are compared than the masks of a crop have."""
    options, data = experiment.model_options.max_deeplab, experiment.train_dataset_options
    if options is None or len(data.crop_size) != 2 or not data.file_pattern:
        return
    is_fine = mask_numbers.numbers(options, data.dataset).num_levels == _LEVELS[-1]
    stride = 2 if is_fine and not experiment.model_options.backbone.name.lower().startswith(_STRIDE_4) else 4
    height, width = ((side - 1) // stride + 1 for side in data.crop_size)
    if options.instance_discrimination_sample_k > height * width:
        yield (
            'model_options.max_deeplab.instance_discrimination_sample_k is '
            f'{options.instance_discrimination_sample_k}, but the masks of a training crop have '
            f'{height * width} pixels at stride {stride}; set it to that at most, or enlarge '
            'train_dataset_options.crop_size'
        )


def _losses(experiment: schema.Experiment) -> Iterator[str]:
    model, losses = experiment.model_options, experiment.trainer_options.loss_options
    path = 'trainer_options.loss_options'
    wrong: tuple[str, ...] = ()
    whose = ''
    if model.has_masks:
        wrong, whose = ('center_loss', 'regression_loss'), 'a mask transformer has no such head'
    elif model.has_pixel_heads:
        wrong, whose = _MASK_LOSSES, 'it is a loss of mask transformers'
    for name in wrong:
        if getattr(losses, name) is not None:
            yield f'{path}.{name} is set, but {whose}; take it away, for example with --set {path}.{name}='


def _annotations(experiment: schema.Experiment) -> Iterator[str]:
    losses = experiment.trainer_options.loss_options
    has_losses = any(getattr(losses, name) for name in _MASK_LOSSES)
    for section in ('train_dataset_options', 'eval_dataset_options'):
        options = getattr(experiment, section)
        is_read = bool(options.file_pattern) and options.decode_groundtruth_label
        if has_losses and is_read and not options.thing_id_mask_annotations:
            yield (
                f'{section}.thing_id_mask_annotations is false, but the losses of masks need the masks of '
                'things; set it to true'
            )
        if options.max_thing_id < 1:
            yield f'{section}.max_thing_id is {options.max_thing_id}; it must be at least 1, such as 128'


def _pasting(experiment: schema.Experiment) -> Iterator[str]:
    pasting = experiment.train_dataset_options.augmentations.panoptic_copy_paste
    path = 'augmentations.panoptic_copy_paste'
    if experiment.eval_dataset_options.augmentations.panoptic_copy_paste:
        yield (
            f'eval_dataset_options.{path} is set; evaluation sees images as they are: take it away, for '
            f'example with --set eval_dataset_options.{path}='
        )
    if pasting is None:
        return
    if pasting.panoptic_copy_paste_scale < 0:
        scale = pasting.panoptic_copy_paste_scale
        yield f'train_dataset_options.{path}.panoptic_copy_paste_scale is {scale:g}; it must not be negative'
    for kind in ('thing', 'stuff', 'void'):
        name = f'panoptic_copy_paste_{kind}_option'
        yield from wording.choice(f'train_dataset_options.{path}.{name}', getattr(pasting, name), _PASTED)


def _post_processing(experiment: schema.Experiment) -> Iterator[str]:
    options, path = experiment.evaluator_options, 'evaluator_options'
    kind = options.transformer_post_processing
    yield from wording.choice(f'{path}.transformer_post_processing', kind, _POST_PROCESSINGS)
    if kind == 'maskwise' and options.maskwise_postprocessing is None:
        yield (
            f'{path}.transformer_post_processing is maskwise, but {path}.maskwise_postprocessing is absent; '
            'add it, if only as maskwise_postprocessing {}'
        )


def _advise(experiment: schema.Experiment) -> Iterator[str]:
    model, evaluator = experiment.model_options, experiment.evaluator_options
    options = model.max_deeplab
    if options is None:
        return
    for name in _IGNORED:
        if getattr(model.backbone, name) != getattr(_BACKBONE, name):
            yield f'model_options.backbone.{name} is without effect on the encoders of mask transformers'
    dataset = experiment.train_dataset_options.dataset or experiment.eval_dataset_options.dataset
    if not mask_numbers.numbers(options, dataset).has_semantic_decoder:
        for path, value in (
            ('model_options.decoder', model.decoder != schema.DecoderOptions()),
            ('model_options.max_deeplab.auxiliary_low_level', options.auxiliary_low_level),
        ):
            if value:
                yield f'{path} is without effect, as use_auxiliary_semantic_decoder is false for {dataset}'
    for name in ('semantic_sample_k', 'semantic_sample_temperature'):
        if getattr(options, name) != getattr(schema.MaXDeepLabOptions(), name):
            yield f'model_options.max_deeplab.{name} is without effect, as in DeepLab2'
    if evaluator.add_flipped_images or evaluator.eval_scales not in ((), (1.0,)):
        yield (
            'evaluator_options.add_flipped_images and eval_scales are without effect on mask transformers: '
            'masks of several passes cannot be averaged'
        )


RULES = (_architecture, _options, _losses, _annotations, _pasting, _post_processing)
ADVICE = (_advise,)
