# SPDX-License-Identifier: Apache-2.0
"""The fused op says bit for bit what its twin says: upsample, argmax, centers, grouping, merge."""

import hashlib
import os
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import drawn
from panpipe.custom_ops import kernels, library, merge, oracle
from panpipe.custom_ops import rules as merge_rules
from panpipe.model import labels, postprocess, tensors

CITYSCAPES = labels.LabelSpec(19, tuple(range(11, 19)), 1000, 255)


@pytest.fixture(autouse=True)
def _op_is_built():
    if not kernels.op_available():
        pytest.fail('the compiled op is missing: run `make op` first')


SIZES = st.one_of(
    st.tuples(st.integers(1, 8), st.integers(1, 12)).map(lambda s: (s, (4 * s[0] - 3, 4 * s[1] - 3))),
    st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda s: (s, s)),
    st.tuples(*[st.tuples(st.integers(1, 9), st.integers(1, 9))] * 2),
    st.tuples(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(*[st.integers(1, 45)] * 2)),
)


@st.composite
def cases(draw):
    (h, w), (height, width) = draw(SIZES)
    batch, classes = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = st.sampled_from([drawn.plain, drawn.stepped, drawn.close, drawn.leading, drawn.wild])
    logits, heatmap, offset = (draw(kinds)(generator, (batch, h, w, c)) for c in (classes, 1, 2))
    reach = draw(st.sampled_from([1, 6, 3000]))
    with np.errstate(over='ignore'):
        heads = tensors.Heads(*(np.float32(head) for head in (logits, heatmap, reach * np.float32(offset))))
    spec = labels.LabelSpec(
        num_classes=classes,
        thing_ids=tuple(draw(st.lists(st.integers(0, classes - 1), unique=True))),
        label_divisor=draw(st.sampled_from([1, 2, 3, 1000])),
        ignore_label=draw(st.sampled_from([0, 255])),
    )
    numbers = {
        'center_threshold': draw(st.sampled_from([-1.0, 0.0, 0.1, 0.5])),
        'nms_kernel': draw(st.sampled_from([1, 2, 3, 4, 7, 13])),
        'keep_k_centers': draw(st.sampled_from([-1, 0, 1, 2, 5, 200])),
        'stuff_area_limit': draw(st.sampled_from([0, 4, 60])),
    }
    return heads, spec, {'height': height, 'width': width}, numbers


def assert_same(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(case=cases())
def test_equals_twin(case):
    heads, spec, size, numbers = case
    found = merge.panoptic_from_heads(heads, spec, **size, **numbers)
    assert_same(found, merge.panoptic_from_heads(heads, spec, **size, **numbers, use_op=False))
    rules = merge_rules.Rules(
        spec.thing_ids, spec.label_divisor, numbers['stuff_area_limit'], spec.ignore_label
    )
    wanted = [oracle.merge(*maps, rules) for maps in zip(found.semantic.numpy(), found.instance, strict=True)]
    np.testing.assert_array_equal(found.panoptic, np.stack(wanted))


@pytest.mark.parametrize(('height', 'width'), [(385, 769), (97, 193), (400, 700)])
def test_equals_twin_on_scenes(height, width):
    # From stride 4, as they are, and by an odd factor; the first and last have several bands.
    heads = drawn.scene(97, 193, batch=2)
    size = {'height': height, 'width': width, 'stuff_area_limit': 500, 'keep_k_centers': 30}
    found = merge.panoptic_from_heads(heads, CITYSCAPES, **size)
    assert_same(found, merge.panoptic_from_heads(heads, CITYSCAPES, **size, use_op=False))
    assert np.max(found.instance) > 10


def test_a_lead_within_rounding_is_not_trusted():
    # Class 1 leads at all corners by one or more steps of float32, and yet not everywhere between them.
    logits = drawn.close(np.random.default_rng(0), (1, 40, 40, 3))
    logits[..., 1] = np.nextafter(logits.max(-1), np.float32(np.inf), dtype=np.float32)
    heads = tensors.Heads(np.float32(logits), *drawn.scene(40, 40)[1:])
    spec = labels.LabelSpec(3, (2,), 1000, 255)
    found = merge.panoptic_from_heads(heads, spec, height=170, width=191)
    assert len(np.unique(found.semantic)) > 1
    assert_same(found, merge.panoptic_from_heads(heads, spec, height=170, width=191, use_op=False))


def test_more_centers_than_are_kept():
    generator = np.random.default_rng(3)
    heads = drawn.scene(60, 80)._replace(center_heatmap=np.float32(generator.random((1, 60, 80, 1))))
    numbers = {'height': 60, 'width': 80, 'nms_kernel': 3}
    for keep_k in (0, 100, 400):
        found = merge.panoptic_from_heads(heads, CITYSCAPES, keep_k_centers=keep_k, **numbers)
        twin = merge.panoptic_from_heads(heads, CITYSCAPES, keep_k_centers=keep_k, **numbers, use_op=False)
        assert_same(found, twin)
        assert (np.max(found.instance) < 100) == (keep_k == 100)


def test_nan_never_wins():
    logits = np.full((1, 2, 2, 3), np.nan, np.float32)
    logits[..., 2] = -5.0
    heads = tensors.Heads(
        logits, np.full((1, 2, 2, 1), np.nan, np.float32), np.zeros((1, 2, 2, 2), np.float32)
    )
    spec = labels.LabelSpec(3, (2,), 10, 255)
    found = merge.panoptic_from_heads(heads, spec, height=5, width=5)
    assert set(found.semantic.numpy().ravel()) == {2}
    assert not np.any(found.instance)
    assert set(found.panoptic.numpy().ravel()) == {21}


def digest(prediction):
    return hashlib.sha256(b''.join(np.asarray(values).tobytes() for values in prediction)).hexdigest()


@pytest.mark.slow
def test_number_of_threads_changes_nothing():
    size = {'height': 385, 'width': 769}
    here = digest(merge.panoptic_from_heads(drawn.scene(97, 193), CITYSCAPES, **size))
    program = (
        'import test_heads as t\n'
        f'print(t.digest(t.merge.panoptic_from_heads(t.drawn.scene(97, 193), t.CITYSCAPES, **{size!r})))'
    )
    folders = os.pathsep.join(os.path.dirname(module) for module in (__file__, drawn.__file__))
    threads = str(2 * tf.config.threading.get_intra_op_parallelism_threads() + 3)
    done = subprocess.run(
        [sys.executable, '-c', program],
        env=os.environ | {'TF_NUM_INTRAOP_THREADS': threads, 'PYTHONPATH': folders},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == here


def test_traced_with_unknown_shape_equals_eager():
    signature = tensors.Heads(*(tf.TensorSpec([None, None, None, c], tf.float32) for c in (19, 1, 2)))
    traced = tf.function(
        lambda heads: merge.panoptic_from_heads(heads, CITYSCAPES, height=33, width=45),
        input_signature=[signature],
    )
    assert traced.get_concrete_function().structured_outputs.panoptic.shape.as_list() == [None, 33, 45]
    for batch in (0, 1, 2):
        heads = drawn.scene(9, 12, max(batch, 1))
        heads = tensors.Heads(*(head[:batch] for head in heads))
        found = traced(heads)
        assert found.panoptic.shape == (batch, 33, 45)
        for use_op in (True, False):
            eager = merge.panoptic_from_heads(heads, CITYSCAPES, height=33, width=45, use_op=use_op)
            assert_same(found, eager)


def test_saved_model(tmp_path):
    module = tf.Module()
    signature = [tensors.Heads(*(tf.TensorSpec([None, None, None, c], tf.float32) for c in (19, 1, 2)))]
    module.predict = tf.function(
        lambda heads: merge.panoptic_from_heads(heads, CITYSCAPES, height=33, width=45), signature
    )
    tf.saved_model.save(module, str(tmp_path))
    assert b'PanpipePanopticFromHeads' in (tmp_path / 'saved_model.pb').read_bytes()
    heads = tensors.Heads(*map(tf.constant, drawn.scene(9, 12)))
    found = tf.saved_model.load(str(tmp_path)).predict(heads)
    wanted = merge.panoptic_from_heads(heads, CITYSCAPES, height=33, width=45, use_op=False)
    for name in wanted._fields:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize(
    ('change', 'size', 'message'),
    [
        ({'center_heatmap': np.zeros((1, 4, 5, 2), np.float32)}, (9, 9), 'center_heatmap'),
        ({'offset': np.zeros((1, 4, 6, 2), np.float32)}, (9, 9), 'offset'),
        ({'semantic_logits': np.zeros((4, 5, 3), np.float32)}, (9, 9), 'rank 4|must be'),
        ({}, (0, 9), '0'),
        ({}, (9, -1), '-1'),
    ],
)
def test_op_refuses_shapes(change, size, message):
    heads = drawn.scene(4, 5)._replace(**change)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        merge.panoptic_from_heads(heads, CITYSCAPES, height=size[0], width=size[1])


@pytest.mark.parametrize('use_op', [True, False])
def test_refuses_a_kernel_that_is_not_positive(use_op):
    heads = drawn.scene(4, 5)
    with pytest.raises(ValueError, match='nms_kernel is 0'):
        merge.panoptic_from_heads(heads, CITYSCAPES, height=9, width=9, nms_kernel=0, use_op=use_op)


def test_op_checks_labels_itself():
    ops = library.load()
    numbers = {'center_threshold': 0.1, 'nms_kernel': 3, 'keep_k_centers': 0, 'thing_ids': (1,)}
    with pytest.raises(tf.errors.InvalidArgumentError, match='19 classes'):
        ops.panpipe_panoptic_from_heads(
            *drawn.scene(4, 5), (9, 9), **numbers, label_divisor=2**31 // 18, stuff_area_limit=0, void_label=0
        )


def test_without_instance_branch_the_twin_runs():
    heads = drawn.scene(9, 12)._replace(center_heatmap=None, offset=None)
    found = merge.panoptic_from_heads(heads, CITYSCAPES, height=33, width=45)
    assert_same(found, postprocess.panoptic(postprocess.upsample(heads, 33, 45), CITYSCAPES, use_op=False))


def test_where_the_op_is_missing_the_twin_runs(tmp_path, monkeypatch):
    heads, size = drawn.scene(9, 12), {'height': 33, 'width': 45}
    wanted = merge.panoptic_from_heads(heads, CITYSCAPES, **size)
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    assert not kernels.op_available()
    assert_same(merge.panoptic_from_heads(heads, CITYSCAPES, **size), wanted)
