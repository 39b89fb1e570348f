# SPDX-License-Identifier: Apache-2.0
"""From the heads to panoptic ids, against the reference and against itself."""

import json

import numpy as np
import pytest
import tensorflow as tf

import shared
from panpipe.custom_ops import kernels, merge
from panpipe.model import labels, postprocess, tensors
from panpipe.model.postprocess import centers

CITYSCAPES = labels.LabelSpec(19, tuple(range(11, 19)), 1000, 255)


def same_segments(one, other):
    """Returns whether two maps differ in nothing but the names of their segments."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1).shape[1]
    return pairs == np.unique(one).size == np.unique(other).size


@pytest.fixture(params=[True, False], ids=['op', 'twin'])
def use_op(request):
    if request.param and not kernels.op_available():
        pytest.fail('the compiled op is missing: run `make op` first')
    return request.param


GOLDENS = sorted(shared.ROOT.glob('goldens/postprocess/*.npz'))


@pytest.mark.parametrize('path', GOLDENS, ids=lambda path: path.stem)
def test_golden(path, use_op):
    golden = np.load(path)
    args = json.loads(str(golden['args_json']))
    things = tuple(golden['thing_class_ids'].tolist())
    spec = labels.LabelSpec(19, things, args['label_divisor'], args['void_label'])
    threshold, kernel = args['center_threshold'], args['nms_kernel_size']
    prediction = postprocess.panoptic(
        tensors.Heads(golden['semantic_logits'], golden['center_heatmap'], golden['offset_map']),
        spec,
        center_threshold=threshold,
        nms_kernel=kernel,
        keep_k_centers=args['keep_k_centers'],
        stuff_area_limit=args['stuff_area_limit'],
        use_op=use_op,
    )
    peaks = centers.peaks(golden['center_heatmap'][..., 0], threshold=threshold, nms_kernel=kernel)
    np.testing.assert_array_equal(peaks, golden['instance_center_pred'])
    np.testing.assert_array_equal(prediction.semantic, golden['semantic_pred'])
    np.testing.assert_array_equal(prediction.instance, golden['instance_pred'])
    np.testing.assert_array_equal(prediction.score, golden['instance_scores'])
    np.testing.assert_array_equal(spec.decode(prediction.panoptic)[0], golden['panoptic_pred'] // 1000)
    for image, wanted in zip(prediction.panoptic.numpy(), golden['panoptic_pred'], strict=True):
        assert same_segments(image, wanted)


def test_goldens_are_there():
    assert list(shared.golden('postprocess').glob('*.npz'))


def waves(batch=1):
    """Heads of 48 x 64 pixels with five centers that count and one that does not."""
    y, x = np.mgrid[:48, :64].astype(np.float64)
    c = np.arange(19)
    logits = np.sin(0.11 * (c + 1) * x[..., None] + 0.07 * (c + 2) * y[..., None] + c)
    logits[..., [2, 13, 11]] += (0.8, 0.9, 0.5)
    spots = [(10, 12, 1.0), (30, 20, 0.8), (25, 50, 0.6), (40, 55, 0.35), (12, 40, 0.12), (5, 60, 0.08)]
    heat = np.max([a * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 32) for cy, cx, a in spots], axis=0)
    offset = np.stack([4 * np.sin(0.2 * x), 3 * np.cos(0.15 * y)], axis=-1)
    # Every further image of the batch is shifted, so that no two are alike.
    heads = [
        np.stack([np.roll(a, 5 * i, 0) for i in range(batch)]) for a in (logits, heat[..., None], offset)
    ]
    return tensors.Heads(*(a.astype(np.float32) for a in heads))


def histogram(values):
    return dict(zip(*(a.tolist() for a in np.unique(values, return_counts=True)), strict=True))


@pytest.mark.parametrize('limit', [0, 100, 300])
def test_waves(limit, use_op):
    prediction = postprocess.panoptic(
        waves(), CITYSCAPES, nms_kernel=7, keep_k_centers=400, stuff_area_limit=limit, use_op=use_op
    )
    assert histogram(prediction.instance) == {0: 1269, 1: 347, 2: 394, 3: 280, 4: 540, 5: 242}
    assert histogram(prediction.semantic) == dict(
        enumerate([30, 41, 932, 29, 35, 18, 11, 30, 58, 36, 49, 460, 45, 1144, 27, 31, 46, 19, 31])
    )
    assert float(np.sum(prediction.score, dtype=np.float64)) == pytest.approx(1078.98, abs=0.01)
    things = {13001: 347, 13002: 394, 13003: 280, 13004: 540, 13005: 242}
    stuff = {0: 30, 1: 41, 2: 932, 3: 29, 4: 35, 5: 18, 6: 11, 7: 30, 8: 58, 9: 36, 10: 49}
    kept = {2000: 932, 255000: 337} if limit else {k * 1000: area for k, area in stuff.items()}
    assert histogram(prediction.panoptic) == things | kept


def test_batch_equals_single_images(use_op):
    heads = waves(batch=3)
    whole = postprocess.panoptic(heads, CITYSCAPES, nms_kernel=7, use_op=use_op)
    for i in range(3):
        single = tensors.Heads(*(head[i : i + 1] for head in heads))
        for one, other in zip(
            whole, postprocess.panoptic(single, CITYSCAPES, nms_kernel=7, use_op=use_op), strict=True
        ):
            np.testing.assert_array_equal(one[i : i + 1], other)


def test_traced_with_unknown_shape_equals_eager(use_op):
    signature = tensors.Heads(*(tf.TensorSpec([None, None, None, c], tf.float32) for c in (19, 1, 2)))
    traced = tf.function(
        lambda heads: postprocess.panoptic(heads, CITYSCAPES, use_op=use_op), input_signature=[signature]
    )
    for batch in (1, 2):
        eager = postprocess.panoptic(waves(batch), CITYSCAPES, use_op=use_op)
        for one, other in zip(traced(waves(batch)), eager, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_without_instance_branch_each_thing_class_is_one_segment(use_op):
    heads = waves()._replace(center_heatmap=None, offset=None)
    prediction = postprocess.panoptic(heads, CITYSCAPES, stuff_area_limit=40, use_op=use_op)
    semantic = prediction.semantic.numpy()
    area = np.bincount(semantic.ravel(), minlength=19)
    wanted = np.where(
        semantic > 10, semantic * 1000 + 1, np.where(area[semantic] > 40, semantic * 1000, 255000)
    )
    np.testing.assert_array_equal(prediction.panoptic, wanted)
    assert not np.any(prediction.instance)
    assert not np.any(prediction.score)
    assert prediction.score.dtype == tf.float32


def test_from_heads_equals_upsample_then_panoptic(use_op):
    numbers = {'center_threshold': 0.2, 'nms_kernel': 5, 'keep_k_centers': 4, 'stuff_area_limit': 90}
    small = tensors.Heads(*(head[:, ::4, ::4] for head in waves()))
    one = merge.panoptic_from_heads(small, CITYSCAPES, height=45, width=61, use_op=use_op, **numbers)
    heads = postprocess.upsample(small, 45, 61)
    other = postprocess.panoptic(heads, CITYSCAPES, use_op=use_op, **numbers)
    for a, b in zip(one, other, strict=True):
        assert a.shape == (1, 45, 61)
        np.testing.assert_array_equal(a, b)
