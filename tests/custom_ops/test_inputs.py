# SPDX-License-Identifier: Apache-2.0
"""The ops of the input pipeline refuse what does not fit, and threads change nothing.

That they equal TensorFlow's operations say tests/model/inputs/test_augment.py and test_targets.py.
"""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from panpipe.custom_ops import kernels, library
from panpipe.model.inputs import augment

CROP = (5, 6)
WINDOW = augment.Window([4, 9], [0, 3], [4, 6], [1, 0], False)
TARGETS = {
    'margin': 1,
    'thing_ids': [2, 3],
    'label_divisor': 100,
    'ignore_label': 255,
    'small_threshold': 0,
    'small_weight': 1.0,
}


@pytest.fixture(name='ops')
def _ops():
    if not library.available():
        pytest.fail('the compiled ops are missing: run `make op` first')
    return library.load()


@pytest.mark.parametrize(
    'change',
    [
        {'scaled': [3, 9]},
        {'scaled': [4, 0]},
        {'start': [-1, 3]},
        {'start': [0, 4]},
        {'visible': [-1, 6]},
        {'offset': [2, 0]},
        {'offset': [1]},
    ],
    ids=str,
)
def test_refuses_a_window_outside(ops, change):
    for cut, shape, dtype in (
        (ops.panpipe_cut_image, (7, 8, 3), np.uint8),
        (ops.panpipe_cut_label, (7, 8), np.int32),
    ):
        assert cut(np.zeros(shape, dtype), *WINDOW, crop_size=CROP, padding=7).shape[:2] == CROP
        with pytest.raises(tf.errors.InvalidArgumentError, match='window'):
            cut(np.zeros(shape, dtype), *WINDOW._replace(**change), crop_size=CROP, padding=7)


@pytest.mark.parametrize('shape', [(7, 8, 4), (7, 8), (0, 8, 3)])
def test_refuses_other_images(ops, shape):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        ops.panpipe_cut_image(np.zeros(shape, np.uint8), *WINDOW, crop_size=CROP, padding=0.0)


@pytest.mark.parametrize(
    ('shape', 'window', 'change'),
    [((4, 5), (3, 3), {}), ((1, 4, 5), (3, 2), {}), ((1, 4, 5), (3, 3), {'label_divisor': 0})],
)
def test_refuses_other_maps_and_numbers(ops, shape, window, change):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        ops.panpipe_targets(np.zeros(shape, np.int32), np.zeros(window, np.float32), **TARGETS | change)


def test_shapes_of_outputs_are_known_while_tracing(ops):
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2, None, 9])])
    def trace(image, panoptic):
        cut = ops.panpipe_cut_image(image, *WINDOW, crop_size=CROP, padding=0.0)
        maps = ops.panpipe_targets(tf.cast(panoptic, tf.int32), np.zeros((3, 3), np.float32), **TARGETS)
        assert cut.shape == (*CROP, 3)
        assert maps.offset.shape.as_list() == [2, None, 9, 2]
        assert maps.center.shape.as_list() == [2, None, 9]
        return cut

    assert trace(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 4, 9), np.float32)).shape == (*CROP, 3)


def test_merge_may_take_the_memory_of_an_input_that_is_not_read_again():
    """In a graph the op writes over a temporary input; one that is read later must stay what it is."""
    rng = np.random.default_rng(0)
    semantic, instance = (rng.integers(0, n, (1, 40, 50)).astype(np.int32) for n in (6, 9))
    rules = {'thing_ids': (2, 3), 'label_divisor': 100, 'stuff_area_limit': 0, 'void_label': 255}

    @tf.function
    def temporary(semantic, instance):
        return kernels.merge(semantic + 0 * instance, instance - 1, **rules)

    @tf.function
    def kept(semantic, instance):
        shifted = instance - 1
        merged = kernels.merge(semantic, shifted, **rules)
        return merged, semantic + 0 * merged, shifted + 0 * merged

    expected = kernels.merge(semantic, instance - 1, use_op=False, **rules)
    np.testing.assert_array_equal(temporary(semantic, instance), expected)
    for actual, wanted in zip(kept(semantic, instance), (expected, semantic, instance - 1), strict=True):
        np.testing.assert_array_equal(actual, wanted)


PROGRAM = """
import hashlib, numpy as np, tensorflow as tf
from panpipe.custom_ops import kernels
from panpipe.model import datasets
from panpipe.model.inputs import augment, targets
rng, labels = np.random.default_rng(0), datasets.find('cityscapes_panoptic').labels
image = rng.integers(0, 256, (400, 500, 3)).astype(np.uint8)
panoptic = np.kron(rng.integers(0, 19000, (20, 25)), np.ones((20, 20))).astype(np.int32)
window = augment.draw_window(tf.constant([1, 2], tf.int64), tf.constant([900, 1100]), (1025, 1025))
label = augment.cut_label(panoptic, window, (1025, 1025), labels.void)
results = [augment.cut_image(image, window, (1025, 1025)), *targets.targets(tf.stack([label, label]), labels)]
results.append(kernels.merge(label[None] // 1000, label[None] % 1000, thing_ids=labels.thing_ids,
                             label_divisor=1000, stuff_area_limit=500, void_label=255))
print(hashlib.sha256(b''.join(each.numpy().tobytes() for each in results)).hexdigest())
"""


@pytest.mark.slow
def test_number_of_threads_changes_nothing():
    digests = set()
    for threads in ('1', '4'):
        environment = os.environ | {'TF_NUM_INTRAOP_THREADS': threads, 'TF_CPP_MIN_LOG_LEVEL': '3'}
        done = subprocess.run(
            [sys.executable, '-c', PROGRAM], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == hashlib.sha256().digest_size * 2
