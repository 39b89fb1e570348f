# SPDX-License-Identifier: Apache-2.0
"""The compiled op, its pure-TensorFlow twin and the numpy oracle say the same."""

import json
import logging

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import drawn
import shared
from panpipe.custom_ops import kernels, library, oracle, twin
from panpipe.custom_ops import rules as merge_rules

INT32 = np.iinfo(np.int32)
CITYSCAPES = {
    'thing_ids': tuple(range(11, 19)),
    'label_divisor': 1000,
    'stuff_area_limit': 0,
    'void_label': 255,
}


@pytest.fixture(params=[True, False], ids=['op', 'twin'])
def merge(request):
    """Gives `kernels.merge` bound to the op or to its twin, with numpy results."""
    if request.param and not kernels.op_available():
        pytest.fail('the compiled op is missing: run `make op` first')
    return lambda *maps, **rules: kernels.merge(*maps, use_op=request.param, **rules).numpy()


def expected(semantic, instance, **rules):
    numbers = merge_rules.Rules(**rules)
    return np.stack([oracle.merge(*maps, numbers) for maps in zip(semantic, instance, strict=True)])


def same_segments(one, other):
    """Returns whether two maps differ in nothing but the names of their segments."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1).shape[1]
    return pairs == np.unique(one).size == np.unique(other).size


@st.composite
def cases(draw):
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 7)))
    semantic = draw(arrays.arrays(np.int32, shape, elements=st.sampled_from([0, 1, 2, 3, 7, 255])))
    ids = st.sampled_from([0, 1, 2, 3, 40, -1, INT32.max, INT32.min])
    rules = {
        'thing_ids': draw(st.lists(st.sampled_from([0, 1, 2, 3, 7, 9, 255]), unique=True).map(tuple)),
        'label_divisor': draw(st.sampled_from([1, 2, 3, 256, 1000])),
        'stuff_area_limit': draw(st.integers(0, 8)),
        'void_label': draw(st.sampled_from([0, 3, 255])),
    }
    return semantic, draw(arrays.arrays(np.int32, shape, elements=ids)), rules


@hypothesis.settings(
    deadline=None, max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(case=cases())
def test_equals_oracle(merge, case):
    semantic, instance, rules = case
    np.testing.assert_array_equal(merge(semantic, instance, **rules), expected(semantic, instance, **rules))


def test_large_maps(merge):
    # Large enough that several threads share an image.
    semantic, instance = drawn.blobs(0, (2, 640, 701))
    rules = CITYSCAPES | {'stuff_area_limit': 2048}
    np.testing.assert_array_equal(merge(semantic, instance, **rules), expected(semantic, instance, **rules))


def test_thousands_of_segments(merge):
    generator = np.random.default_rng(1)
    semantic = generator.integers(0, 50, (1, 60, 90), np.int32)
    instance = generator.integers(INT32.min, INT32.max, (1, 60, 90), np.int32)
    rules = CITYSCAPES | {'thing_ids': tuple(range(10, 30)), 'label_divisor': 100}
    np.testing.assert_array_equal(merge(semantic, instance, **rules), expected(semantic, instance, **rules))


@pytest.mark.parametrize(
    'path', sorted(shared.ROOT.glob('goldens/merge_op/*.npz')), ids=lambda path: path.stem
)
def test_golden(merge, path):
    golden = np.load(path)
    rules = json.loads(str(golden['args_json']))
    del rules['mode']
    panoptic = merge(golden['semantic'], golden['instance'], thing_ids=golden['thing_ids'], **rules)
    np.testing.assert_array_equal(
        panoptic // rules['label_divisor'], golden['panoptic'] // rules['label_divisor']
    )
    for image, wanted in zip(panoptic, golden['panoptic'], strict=True):
        assert same_segments(image, wanted)


def test_goldens_are_there():
    assert list(shared.golden('merge_op').glob('*.npz'))


@pytest.mark.parametrize(('limit', 'stuff'), [(0, (0, 100)), (3, (0, 100)), (4, (900, 900)), (5, (900, 900))])
def test_stuff_area_limit(merge, limit, stuff):
    semantic = [[[2, 2, 0, 0], [2, 2, 0, 0], [3, 3, 1, 1], [2, 3, 1, 1]]]
    instance = [[[5, 5, 0, 0], [5, 5, 0, 0], [7, 7, 0, 0], [0, 7, 0, 0]]]
    panoptic = merge(
        semantic, instance, thing_ids=(2, 3), label_divisor=100, stuff_area_limit=limit, void_label=9
    )
    # Instance 0, at the lower left, comes before instance 5.
    first, second = stuff
    rows = [[202, 202, first, first], [202, 202, first, first]]
    rows += [[301, 301, second, second], [201, 301, second, second]]
    assert panoptic.tolist() == [rows]


def test_majority_and_instance_zero(merge):
    semantic = [[[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 2, 2]]]
    instance = [[[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]]
    panoptic = merge(
        semantic, instance, thing_ids=(0, 2), label_divisor=256, stuff_area_limit=3, void_label=3
    )
    assert panoptic.tolist() == [[[1] * 4, [1, 1, 768, 768], [1] * 4, [1] * 4]]


def test_smaller_label_wins_a_tie(merge):
    panoptic = merge([[[13, 12, 12, 13]]], [[[1, 1, 1, 1]]], **CITYSCAPES)
    assert panoptic.tolist() == [[[12001] * 4]]


def test_groups_beyond_the_divisor_become_void(merge):
    rules = CITYSCAPES | {'label_divisor': 3}
    panoptic = merge([[[11, 11, 11, 12]]], [[[4, 9, 2, 1]]], **rules)
    assert panoptic.tolist() == [[[11 * 3 + 2, 255 * 3, 11 * 3 + 1, 12 * 3 + 1]]]
    rules = CITYSCAPES | {'label_divisor': 1}
    assert merge([[[11, 5]]], [[[1, 0]]], **rules).tolist() == [[[255, 5]]]


@hypothesis.settings(
    deadline=None, max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(case=cases())
def test_renaming_instances_in_order_changes_nothing(merge, case):
    semantic, instance, rules = case
    renamed = np.unique(instance, return_inverse=True)[1].reshape(instance.shape).astype(np.int32) * 3 - 4
    np.testing.assert_array_equal(merge(semantic, instance, **rules), merge(semantic, renamed, **rules))


def test_batch_equals_single_images(merge):
    semantic, instance = drawn.blobs(2, (3, 40, 50))
    single = [merge(s[None], i[None], **CITYSCAPES)[0] for s, i in zip(semantic, instance, strict=True)]
    np.testing.assert_array_equal(merge(semantic, instance, **CITYSCAPES), np.stack(single))


@pytest.mark.parametrize('shape', [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty_maps(merge, shape):
    empty = np.zeros(shape, np.int32)
    assert merge(empty, empty, **CITYSCAPES).shape == shape


@pytest.mark.parametrize('use_op', [True, False])
def test_traced_with_unknown_shape_equals_eager(use_op):
    signature = [tf.TensorSpec([None, None, None], tf.int32)] * 2
    traced = tf.function(lambda *maps: kernels.merge(*maps, use_op=use_op, **CITYSCAPES), signature)
    for shape in [(1, 9, 11), (2, 6, 5), (1, 0, 5)]:
        maps = drawn.blobs(3, shape) if 0 not in shape else [np.zeros(shape, np.int32)] * 2
        eager = kernels.merge(*maps, use_op=use_op, **CITYSCAPES)
        np.testing.assert_array_equal(traced(*maps), eager)


def test_twin_compiles_under_xla_with_pixels_as_pieces():
    semantic, instance = (values.reshape(-1) for values in drawn.blobs(6, (1, 9, 11)))
    rules = merge_rules.Rules(**CITYSCAPES)

    @tf.function(jit_compile=True)
    def merged(label, instance):
        pieces = twin.Pieces(tf.zeros_like(label, tf.int64), label, instance, tf.ones_like(label))
        return twin.panoptic_ids(pieces, rules)

    wanted = oracle.merge(semantic[None], instance[None], rules)
    np.testing.assert_array_equal(merged(semantic, instance)[None], wanted)


@pytest.mark.parametrize('use_op', [True, False])
def test_saved_model(use_op, tmp_path):
    module = tf.Module()
    signature = [tf.TensorSpec([None, None, None], tf.int32)] * 2
    module.merge = tf.function(lambda *maps: kernels.merge(*maps, use_op=use_op, **CITYSCAPES), signature)
    tf.saved_model.save(module, str(tmp_path))
    assert (b'PanpipeMerge' in (tmp_path / 'saved_model.pb').read_bytes()) == use_op
    loaded = tf.saved_model.load(str(tmp_path))
    maps = drawn.blobs(4, (1, 20, 30))
    np.testing.assert_array_equal(loaded.merge(*maps), expected(*maps, **CITYSCAPES))


@pytest.mark.parametrize('divisor', [1, 1000])
def test_refuses_negative_labels(merge, divisor):
    with pytest.raises(tf.errors.InvalidArgumentError, match='-7'):
        merge([[[3, -7]]], [[[0, 0]]], **CITYSCAPES | {'label_divisor': divisor})


def test_refuses_labels_whose_ids_exceed_int32(merge):
    fits = (2**31 // 1000) - 1
    assert merge([[[fits]]], [[[0]]], **CITYSCAPES).tolist() == [[[fits * 1000]]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=str(fits + 1)):
        merge([[[fits + 1]]], [[[0]]], **CITYSCAPES)


@pytest.mark.parametrize('error', [ValueError, tf.errors.InvalidArgumentError])
@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'label_divisor': 0}, 'label_divisor is 0'),
        ({'label_divisor': -5}, 'label_divisor is -5'),
        ({'stuff_area_limit': -1}, 'stuff_area_limit is -1'),
        ({'void_label': -2}, 'void_label is -2'),
        ({'void_label': 3_000_000}, 'void_label is 3000000'),
        ({'thing_ids': (3, -4)}, 'thing id is -4'),
    ],
)
def test_refuses_numbers_out_of_range(merge, wrong, message, error):
    with pytest.raises(error, match=message):
        merge([[[1]]], [[[1]]], **CITYSCAPES | wrong)


@pytest.mark.parametrize('error', [ValueError, tf.errors.InvalidArgumentError])
@pytest.mark.parametrize('shapes', [((1, 2, 3), (1, 3, 2)), ((2, 3), (2, 3))])
def test_refuses_shapes(merge, shapes, error):
    with pytest.raises(error, match=r'\(1, 3, 2\)|\(2, 3\)'):
        merge(*(np.zeros(shape, np.int32) for shape in shapes), **CITYSCAPES)


@pytest.mark.parametrize('use_op', [True, False])
def test_refuses_shapes_known_only_when_run(use_op):
    signature = [tf.TensorSpec(None, tf.int32)] * 2
    traced = tf.function(lambda *maps: kernels.merge(*maps, use_op=use_op, **CITYSCAPES), signature)
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(np.zeros((1, 2, 3), np.int32), np.zeros((1, 3, 2), np.int32))


@pytest.mark.parametrize('wrong', [{'label_divisor': 0}, {'stuff_area_limit': -1}, {'void_label': -2}])
def test_op_checks_its_attributes_itself(wrong):
    ops = library.load()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f'{next(iter(wrong))} is {next(iter(wrong.values()))}'
    ):
        ops.panpipe_merge(np.ones((1, 1, 1), np.int32), np.ones((1, 1, 1), np.int32), **CITYSCAPES | wrong)


def test_missing_op_is_told_once_and_the_twin_runs(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    maps = drawn.blobs(5, (1, 8, 9))
    with caplog.at_level(logging.WARNING, 'panpipe'):
        assert not kernels.op_available()
        kernels.merge(*maps, use_op=False, **CITYSCAPES)
        assert not caplog.records
        panoptic = [kernels.merge(*maps, **CITYSCAPES) for _ in range(2)]
    assert [record.name for record in caplog.records] == ['panpipe']
    assert 'python -m panpipe.custom_ops.build' in caplog.text
    np.testing.assert_array_equal(panoptic[1], expected(*maps, **CITYSCAPES))
