# SPDX-License-Identifier: Apache-2.0
"""From the heads of a mask transformer to panoptic ids, against the reference and against itself."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

import shared
from panpipe.model import config, labels, postprocess, tensors
from panpipe.model.experiment import schema

GOLDENS = sorted(shared.ROOT.glob('goldens/kmax/postprocess/*.npz'))
METHODS = {'pixelwise': postprocess.pixelwise, 'maskwise': postprocess.maskwise}


@pytest.fixture(params=[True, False], ids=['op', 'twin'])
def use_op(request):
    return request.param


def test_goldens_are_there():
    assert list(shared.golden('kmax/postprocess').glob('*.npz'))


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('path', GOLDENS, ids=lambda path: path.stem)
def test_golden(path, method, use_op):
    golden = np.load(path)
    args = json.loads(str(golden['args_json']))
    spec = labels.LabelSpec(
        args['num_classes'], tuple(args['thing_class_ids']), args['label_divisor'], args['void_label']
    )
    heads = tensors.MaskHeads(golden['mask_logits'], golden['class_logits'], None, None)
    options = config.EvaluatorOptions(
        thing_area_limit=args['thing_area_limit'],
        stuff_area_limit=args['stuff_area_limit'],
        transformer_class_confidence_threshold=args['klass'],
        pixel_confidence_threshold=args['pixel'],
        maskwise_postprocessing=schema.MaskwisePostProcessingOptions(
            transformer_class_confidence_threshold_thing=args['thing'],
            transformer_class_confidence_threshold_stuff=args['stuff'],
            overlapping_threshold=args['overlap'],
            reorder_class_weight=args['wc'],
            reorder_mask_weight=args['wm'],
        ),
    )
    height, width = args['size']
    found = METHODS[method](heads, spec, height=height, width=width, options=options, use_op=use_op)
    np.testing.assert_array_equal(found.panoptic, golden[f'{method}_panoptic'])
    np.testing.assert_array_equal(found.semantic, golden['semantic'])
    np.testing.assert_array_equal(found.instance, golden[f'{method}_mask_id'])
    np.testing.assert_allclose(found.score, golden[f'{method}_instance_scores'], rtol=0, atol=2e-6)


def drawn_heads(slots=10, classes=5):
    generator = np.random.default_rng(0)
    masks = generator.integers(-400, 400, (2, 9, 17, slots)) / 64
    return tensors.MaskHeads(
        np.float32(masks), np.float32(3 * generator.normal(0, 1, (2, slots, classes + 1))), None, None
    )


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize(
    'jit_compile',
    [pytest.param(False, id='traced'), pytest.param(True, id='XLA', marks=pytest.mark.slow)],
)
def test_traced_equals_eager(method, jit_compile):
    spec = labels.LabelSpec(5, (1, 3), 1000, 255)
    options = config.EvaluatorOptions(
        transformer_class_confidence_threshold=0.3,
        stuff_area_limit=20,
        maskwise_postprocessing=schema.MaskwisePostProcessingOptions(0.3, 0.3, 0.5, 1.0, 1.0),
    )

    def predict(masks, classes, use_op):
        heads = tensors.MaskHeads(masks, classes, None, None)
        return METHODS[method](heads, spec, height=33, width=65, options=options, use_op=use_op)

    heads = drawn_heads()
    eager = predict(*heads[:2], use_op=True)
    assert len(np.unique(eager.panoptic)) > 3
    for use_op in (False,) if jit_compile else (True, False):
        traced = tf.function(functools.partial(predict, use_op=use_op), jit_compile=jit_compile)
        found = traced(*map(tf.constant, heads[:2]))
        for one, other in zip(found[:3], eager[:3], strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(found.score, eager.score, rtol=0, atol=2e-6 if jit_compile else 0)


def test_slots_beyond_the_label_divisor_are_refused():
    spec = labels.LabelSpec(5, (1, 3), 10, 255)
    with pytest.raises(ValueError, match='10 slots need a label divisor of at least 11'):
        postprocess.pixelwise(drawn_heads(), spec, height=9, width=9, options=config.EvaluatorOptions())


def test_classes_of_another_data_set_are_refused():
    spec = labels.LabelSpec(7, (1, 3), 1000, 255)
    with pytest.raises(ValueError, match='6 channels; 7 classes and void take 8'):
        postprocess.pixelwise(drawn_heads(), spec, height=9, width=9, options=config.EvaluatorOptions())
