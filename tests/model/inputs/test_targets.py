# SPDX-License-Identifier: Apache-2.0
"""Targets against the reference's outputs, a worked example, and a slow oracle."""

import json
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import shared
import synthetic
from panpipe.custom_ops import library
from panpipe.model import datasets, labels, tensors
from panpipe.model.inputs import targets

GOLDENS = [
    '00_train_no_crowd',
    '01_train_crowd',
    '03_train_scale_aug_small',
    '06_eval_exact',
    '07_eval_pad_crowd',
    '08_eval_half_centres',
    '13_eval_semantic_only',
]
# Our field → the reference's key.
KEYS = {
    'semantic': 'semantic_gt',
    'semantic_weight': 'semantic_loss_weight',
    'center': 'instance_center_gt',
    'center_weight': 'center_loss_weight',
    'offset': 'instance_regression_gt',
    'offset_weight': 'regression_loss_weight',
}
SMALL = synthetic.SMALL
DRAWN = hypothesis.settings(max_examples=40, deadline=None)


@pytest.fixture(params=['op', 'twin'], scope='module', autouse=True)
def _version(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs every test with the compiled op and without."""
    if request.param == 'op' and not library.available():
        pytest.fail('the compiled op is missing: run `make op` first')
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'twin':
            patch.setattr(library, 'load', lambda: None)
        yield


def _numpy(result: tensors.Targets) -> tensors.Targets:
    return tensors.Targets(*(field.numpy() for field in result))


def _assert_equal(actual: tensors.Targets, expected: tensors.Targets) -> None:
    for name, mine, theirs in zip(tensors.Targets._fields, actual, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=name, strict=True)


@pytest.mark.parametrize('name', GOLDENS)
def test_equals_the_reference_bit_for_bit(name: str) -> None:
    with np.load(shared.golden('targets') / f'{name}.npz') as golden:
        arguments = json.loads(str(golden['args_json']))
        # Without an instance branch the reference keeps no panoptic map; that image is not resized either.
        panoptic = golden['out_panoptic_gt'] if 'out_panoptic_gt' in golden else golden['in_label']
        small = arguments.get('focus_small_instances') or {'threshold': 0, 'weight': 1.0}
        actual = targets.targets(
            tf.constant(panoptic),
            datasets.find(arguments['dataset']).labels,
            sigma=arguments.get('sigma', 8),
            small_instance_threshold=small['threshold'],
            small_instance_weight=small['weight'],
        )
        compared = 0
        for field, key in KEYS.items():
            if f'out_{key}' in golden:
                np.testing.assert_array_equal(
                    getattr(actual, field).numpy(), golden[f'out_{key}'], err_msg=field, strict=True
                )
                compared += 1
    assert compared == (2 if 'semantic_only' in name else 6)


def test_worked_example() -> None:
    panoptic = np.zeros((5, 9), np.int32)
    panoptic[1:3, 1:3] = 11001
    panoptic[0:4, 5:9] = 13001
    panoptic[4, 0] = 255000
    panoptic[4, 1] = 12000
    cityscapes = datasets.find('cityscapes_panoptic').labels
    actual = _numpy(
        targets.targets(
            panoptic, cityscapes, sigma=1.0, small_instance_threshold=5, small_instance_weight=3.0
        )
    )
    near, far = 0.607, 0.135
    np.testing.assert_allclose(actual.center[2], [far, near, 1, near, far, near, 1, near, far], atol=5e-4)
    assert actual.semantic[4].tolist() == [255, 12, 0, 0, 0, 0, 0, 0, 0]
    assert actual.offset[1, 1].tolist() == [1, 1]
    assert actual.offset[2, 2].tolist() == [0, 0]
    assert actual.offset[0:4, 5, 0].tolist() == [2, 1, 0, -1]
    assert actual.offset[0, 5:9, 1].tolist() == [1, 0, -1, -2]
    assert np.argwhere(actual.semantic_weight == 3).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert np.argwhere(actual.center_weight == 0).tolist() == [[4, 0], [4, 1]]
    np.testing.assert_array_equal(actual.offset_weight, panoptic % 1000 > 0)


def _oracle(
    panoptic: np.ndarray, spec: labels.LabelSpec, sigma: float, threshold: int, weight: float
) -> tensors.Targets:
    """Computes targets instance by instance and pixel by pixel."""
    height, width = panoptic.shape
    semantic, instance = spec.decode(panoptic)
    is_thing = np.isin(semantic, spec.thing_ids)
    is_counted = ~(is_thing & (instance == 0)) & (semantic != spec.ignore_label)
    semantic_weight = np.ones((height, width), np.float32)
    center = np.zeros((height, width), np.float32)
    offset = np.zeros((height, width, 2), np.float32)
    reach = int(3 * sigma + 1)
    for identity in np.unique(panoptic[(instance > 0) & (semantic != spec.ignore_label)]):
        mask = panoptic == identity
        where = np.argwhere(mask)
        peak = np.round(where.mean(0).astype(np.float32)).astype(int)
        if len(where) < threshold:
            semantic_weight[mask] = weight
        offset[mask] = peak - where
        for y in range(max(0, peak[0] - reach), min(height, peak[0] + reach + 1)):
            for x in range(max(0, peak[1] - reach), min(width, peak[1] + reach + 1)):
                square = (y - peak[0]) ** 2 + (x - peak[1]) ** 2
                center[y, x] = max(center[y, x], np.float32(np.exp(-square / (2 * sigma**2))))
    return tensors.Targets(
        semantic,
        semantic_weight,
        center,
        is_counted.astype(np.float32),
        offset,
        (is_thing & is_counted).astype(np.float32),
    )


@DRAWN
@hypothesis.given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 21),
    st.integers(1, 21),
    st.sampled_from([1, 2]),
    st.integers(0, 9),
)
def test_equals_the_oracle(seed: int, height: int, width: int, sigma: float, instances: int) -> None:
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed), SMALL, height, width, instances=instances)
    actual = targets.targets(
        panoptic, SMALL, sigma=sigma, small_instance_threshold=12, small_instance_weight=2.5
    )
    _assert_equal(_numpy(actual), _oracle(panoptic, SMALL, sigma, 12, 2.5))


@DRAWN
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_flipping_the_map_flips_the_targets(seed: int) -> None:
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed), SMALL, 15, 20)
    plain = _numpy(targets.targets(panoptic, SMALL, small_instance_threshold=9, small_instance_weight=2))
    flipped = _numpy(
        targets.targets(panoptic[:, ::-1], SMALL, small_instance_threshold=9, small_instance_weight=2)
    )
    for field in ('semantic', 'semantic_weight', 'center_weight', 'offset_weight'):
        np.testing.assert_array_equal(getattr(flipped, field), getattr(plain, field)[:, ::-1])
    np.testing.assert_array_equal(flipped.offset[..., 0], plain.offset[:, ::-1, 0])
    # A center between two columns is rounded to an even one, which may be the other one after flipping.
    assert np.abs(flipped.offset[..., 1] + plain.offset[:, ::-1, 1]).max() <= 1


@pytest.mark.parametrize(('seed', 'count'), [(0, 0), (1, 1), (2, 3)])
def test_a_batch_is_its_images(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    maps = np.array([synthetic.panoptic_map(rng, SMALL, 9, 11) for _ in range(count)]).reshape(count, 9, 11)
    batch = _numpy(targets.targets(tf.constant(maps, tf.int32), SMALL, small_instance_threshold=9))
    for number, each in enumerate(maps):
        alone = _numpy(targets.targets(each, SMALL, small_instance_threshold=9))
        _assert_equal(tensors.Targets(*(field[number] for field in batch)), alone)
    assert batch.offset.shape == (count, 9, 11, 2)


@DRAWN
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_renaming_instances_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    panoptic = synthetic.panoptic_map(rng, SMALL, 15, 20)
    semantic, instance = SMALL.decode(panoptic)
    renamed = SMALL.encode(semantic, np.append(0, 1 + rng.permutation(99))[instance]).astype(np.int32)
    _assert_equal(_numpy(targets.targets(renamed, SMALL)), _numpy(targets.targets(panoptic, SMALL)))


@pytest.mark.parametrize('fill', [0, SMALL.void, SMALL.encode(2, 0)], ids=['stuff', 'void', 'crowd'])
def test_without_instances(fill: int) -> None:
    actual = _numpy(targets.targets(np.full((4, 6), fill, np.int32), SMALL))
    assert not actual.center.any()
    assert not actual.offset.any()
    assert not actual.offset_weight.any()
    assert (actual.semantic == fill // 100).all()
    assert (actual.center_weight == float(fill == 0)).all()
    assert (actual.semantic_weight == 1).all()


def test_the_area_limit_is_strict() -> None:
    panoptic = np.zeros((4, 6), np.int32)
    panoptic[0, :3] = 201
    for threshold, expected in ((3, 1), (4, 5)):
        actual = targets.targets(panoptic, SMALL, small_instance_threshold=threshold, small_instance_weight=5)
        assert actual.semantic_weight.numpy()[0, 0] == expected


def test_values_of_the_gaussian() -> None:
    panoptic = np.zeros((61, 61), np.int32)
    panoptic[30, 30] = 201
    center = targets.targets(panoptic, SMALL, sigma=8).center.numpy()
    np.testing.assert_allclose(
        [center[30, 30], center[38, 30], center[55, 30], center[5, 5]],
        [1, 0.60653, 0.0075757, 5.739e-5],
        rtol=1e-4,
    )
    assert center[56, 30] == 0
    assert center[4, 30] == 0


@pytest.mark.parametrize('name', sorted(datasets.SPECS))
def test_every_id_has_its_class(name: str) -> None:
    spec = datasets.find(name).labels
    last = max(spec.num_classes - 1, spec.ignore_label)
    panoptic = np.arange((last + 1) * spec.label_divisor, dtype=np.int32)[None]
    traced = tf.function(lambda panoptic: targets.targets(panoptic, spec, sigma=0.1).semantic)
    np.testing.assert_array_equal(traced(tf.constant(panoptic)), panoptic // spec.label_divisor)


def test_an_instance_may_reach_from_border_to_border() -> None:
    panoptic = np.full((6, 7), 201, np.int32)
    panoptic[0, :3] = 202
    panoptic[5, 2:] = 0
    _assert_equal(_numpy(targets.targets(panoptic, SMALL)), _oracle(panoptic, SMALL, 8.0, 0, 1.0))


def test_traced_equals_eager() -> None:
    traced = tf.function(
        lambda panoptic: targets.targets(panoptic, SMALL),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
    )
    for seed in range(3):
        panoptic = synthetic.panoptic_map(np.random.default_rng(seed), SMALL, 10 + seed, 12)
        _assert_equal(_numpy(traced(tf.constant(panoptic))), _numpy(targets.targets(panoptic, SMALL)))


def test_refuses_a_sigma_of_zero() -> None:
    with pytest.raises(ValueError, match='sigma is 0'):
        targets.targets(np.zeros((2, 2), np.int32), SMALL, sigma=0)


def test_refuses_other_ranks() -> None:
    with pytest.raises(ValueError, match='must be'):
        targets.targets(np.zeros(4, np.int32), SMALL)


def test_any_integer_is_a_label() -> None:
    """The op must not depend on labels being in range: a floor, below 0 too, and no id may leave int32."""
    panoptic = np.array([[-1, -100, -101, 2**31 - 1, -(2**31), 201]], np.int32)
    actual = _numpy(targets.targets(panoptic, SMALL))
    if library.load() is not None:  # the twin's shortcut is for labels in range
        assert actual.semantic.tolist() == (panoptic // 100).tolist()
    assert actual.offset_weight.tolist() == [[0, 0, 0, 0, 0, 1]]
