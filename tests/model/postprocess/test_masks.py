# SPDX-License-Identifier: Apache-2.0
"""From the heads of a mask transformer to panoptic ids, against the reference and against itself."""

import json

import numpy as np
import pytest

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
