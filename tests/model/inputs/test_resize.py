# SPDX-License-Identifier: Apache-2.0
"""Sizes, resizing and the preprocessing of evaluation, against the reference's outputs and numbers."""

import json

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import shared
from panpipe.model import datasets
from panpipe.model.inputs import resize, targets

DRAWN = hypothesis.settings(max_examples=40, deadline=None)
SIDE = st.integers(1, 40)


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((480, 640), (481, 641)),
        ((640, 480), (641, 481)),
        ((427, 640), (428, 641)),
        ((426, 640), (426, 641)),
        ((425, 640), (425, 641)),
        ((500, 375), (641, 481)),
        ((333, 500), (427, 641)),
        ((612, 612), (641, 641)),
        ((361, 640), (361, 641)),
        ((640, 429), (641, 429)),
        ((224, 640), (224, 641)),
    ],
)
def test_sizes_of_the_reference(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert tuple(resize.fit(*size, (641, 641), (641, 641)).numpy()) == expected


def test_fit_never_enlarges_to_max_size_alone() -> None:
    assert resize.fit(30, 50, None, (100, 100)).numpy().tolist() == [30, 50]
    assert resize.fit(200, 50, None, (100, 100)).numpy().tolist() == [100, 25]


def test_fit_without_limits_keeps_the_size() -> None:
    assert resize.fit(30, 50, None, None).numpy().tolist() == [30, 50]


@DRAWN
@hypothesis.given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([8, 16, 32]))
def test_fit_to_a_factor_stays_within_the_limit(height: int, width: int, factor: int) -> None:
    size = resize.fit(height, width, (500, 500), (641, 900), factor).numpy()
    assert ((size - 1) % factor == 0).all()
    assert (size <= (641, 900)).all()


def _bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes in float64, as the module says it: pixel i lies at i * (n - 1) / (m - 1)."""
    result = image.astype(np.float64)
    for axis, count in enumerate((height, width)):
        source = np.linspace(0, image.shape[axis] - 1, count) if count > 1 else np.zeros(1)
        low = np.minimum(np.floor(source).astype(int), image.shape[axis] - 1)
        high = np.minimum(low + 1, image.shape[axis] - 1)
        share = (source - low).reshape([-1 if i == axis else 1 for i in range(image.ndim)])
        result = result.take(low, axis) * (1 - share) + result.take(high, axis) * share
    return result


@DRAWN
@hypothesis.given(st.integers(0, 2**32 - 1), SIDE, SIDE, SIDE, SIDE)
def test_bilinear_aligns_corners(seed: int, h: int, w: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (h, w, 3)).astype(np.uint8)
    actual = resize.bilinear(image, height, width).numpy()
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, _bilinear(image, height, width), atol=2e-3)


@DRAWN
@hypothesis.given(st.integers(0, 2**32 - 1), SIDE, SIDE, SIDE, SIDE)
def test_chosen_pixels_equal_those_of_the_whole(seed: int, h: int, w: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    first, last = np.sort(rng.integers(0, height, 2))
    rows = np.arange(first, last + 1, dtype=np.int32)
    left, right = np.sort(rng.integers(0, width, 2))
    columns = np.arange(left, right + 1, dtype=np.int32)
    image = rng.integers(0, 256, (h, w, 3)).astype(np.uint8)
    label = rng.integers(0, 255000, (h, w)).astype(np.int32)
    np.testing.assert_array_equal(
        resize.bilinear_at(image, rows, columns, height, width).numpy(),
        resize.bilinear(image, height, width).numpy()[rows][:, columns],
    )
    columns = rng.permutation(width).astype(np.int32)
    np.testing.assert_array_equal(
        resize.nearest_at(label, rows, columns, height, width).numpy(),
        resize.nearest(label, height, width).numpy()[rows][:, columns],
    )


@pytest.mark.parametrize('use_op', [True, False], ids=['op', 'twin'])
@pytest.mark.parametrize(
    'name', ['06_eval_exact', '07_eval_pad_crowd', '08_eval_half_centres', '13_eval_semantic_only']
)
def test_places_like_the_reference(name: str, use_op: bool) -> None:
    with np.load(shared.golden('targets') / f'{name}.npz') as golden:
        arguments = json.loads(str(golden['args_json']))
        labels = datasets.find(arguments['dataset']).labels
        crop = tuple(arguments['crop_size'])
        image, resized = resize.place(golden['in_image'], crop, use_op=use_op)
        height, width = resized.numpy()
        np.testing.assert_array_equal(image.numpy(), golden['out_image'], strict=True)
        np.testing.assert_array_equal(
            image[:height, :width].numpy(), golden['out_resized_image'], strict=True
        )
        label = resize.place_label(golden['in_label'], resized, crop, labels.void).numpy()
        np.testing.assert_array_equal(labels.decode(label)[0], golden['out_semantic_gt'], strict=True)
        if 'out_panoptic_gt' in golden:
            np.testing.assert_array_equal(label, golden['out_panoptic_gt'], strict=True)


def _disc(y: int, x: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:120, :200]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_numbers_of_the_reference() -> None:
    y, x = np.mgrid[:120, :200]
    image = np.stack([(3 * x + y) % 256, 5 * y % 256, x * y % 256], -1).astype(np.uint8)
    panoptic = np.full((120, 200), 130 * 256, np.int32)
    panoptic[60:] = 90 * 256
    for disc, identity in ((_disc(40, 60, 30), 769), (_disc(80, 150, 20), 257), (_disc(90, 140, 15), 258)):
        panoptic[disc] = identity
    panoptic[0:10, 0:20] = 0
    panoptic[100:, 0:30] = 17 * 256
    labels = datasets.find('coco_panoptic').labels
    size = (161, 161)
    placed, resized = resize.place(image, size, min_size=size, max_size=size)
    label = resize.place_label(panoptic, resized, size, labels.void)
    result = targets.targets(label, labels, small_instance_threshold=4096, small_instance_weight=3)
    assert resized.numpy().tolist() == [96, 161]
    expected = {  # mean, standard deviation
        'image': (placed, 123.69604, 50.672583),
        'resized': (placed[:96], 121.12045, 65.496821),
        'semantic': (result.semantic, 52.023649, 56.039563),
        'semantic_weight': (result.semantic_weight, 1.2139578, 0.61817283),
        'center_weight': (result.center_weight, 0.57652097, 0.49410985),
        'offset_weight': (result.offset_weight, 0.1069789, 0.30908642),
        'center': (result.center, 0.041312531, 0.14229204),
        'offset': (result.offset, 0.0070020447, 3.43763),
    }
    for name, (tensor, mean, deviation) in expected.items():
        values = tensor.numpy().astype(np.float64)
        np.testing.assert_allclose([values.mean(), values.std()], [mean, deviation], rtol=1e-6, err_msg=name)
    pixels = {
        (0, 0): (0, 0, 0),
        (10, 20): (87.151314, 62.631577, 55.592102),
        (50, 100): (179.75658, 57.157883, 109.80233),
        (95, 160): (204, 83, 129),
        (96, 5): (127.5, 127.5, 127.5),
    }
    for position, values in pixels.items():
        np.testing.assert_allclose(placed.numpy()[position], values, atol=3e-5)
    assert np.argwhere(result.center.numpy() == 1).tolist() == [[32, 48], [61, 124], [72, 113]]
    for position, offset in {(40, 50): (-8, -2), (64, 120): (8, -7), (75, 110): (-3, 3)}.items():
        assert tuple(result.offset.numpy()[position]) == offset
    ids, counts = np.unique(label, return_counts=True)
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {
        0: 10593, 257: 509, 258: 457, 769: 1807, 4352: 384, 23040: 6166, 33280: 6005,
    }  # fmt: skip


def test_place_shrinks_what_is_larger_than_the_crop() -> None:
    image, resized = resize.place(np.full((80, 40, 3), 9, np.uint8), (33, 65))
    assert resized.numpy().tolist() == [33, 16]
    assert image.shape == (33, 65, 3)
    assert (image[:, :16].numpy() == 9).all()
    assert (image[:, 16:].numpy() == resize.IMAGE_PADDING).all()


def test_place_in_a_saved_graph(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Placer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
        def __call__(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return resize.place(image, (33, 65), min_size=(20, 20), max_size=(33, 65))

    tf.saved_model.save(Placer(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for height, width in ((10, 30), (33, 65), (100, 20)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
        eager = resize.place(image, (33, 65), min_size=(20, 20), max_size=(33, 65), use_op=False)
        for ours, theirs in zip(eager, loaded(image), strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), strict=True)


def test_place_refuses_a_limit_beyond_the_crop() -> None:
    with pytest.raises(ValueError, match=r'max_size \(65, 65\)'):
        resize.place(np.zeros((4, 4, 3), np.uint8), (33, 65), max_size=(65, 65))
