# SPDX-License-Identifier: Apache-2.0
"""The ops on masks say bit for bit what their twins say, and both what numpy says."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import drawn
from panpipe.custom_ops import library, mask_oracle, rules
from panpipe.custom_ops import masks as ops_masks
from panpipe.model.postprocess import mask_pixels, pasting


@pytest.fixture(autouse=True)
def _op_is_built():
    if not library.available():
        pytest.fail('the compiled op is missing: run `make op` first')


SIZES = st.one_of(
    st.tuples(st.integers(1, 7), st.integers(1, 9)).map(lambda s: (s, (4 * s[0] - 3, 4 * s[1] - 3))),
    st.tuples(st.integers(1, 7), st.integers(1, 9)).map(lambda s: (s, (2 * s[0] - 1, 2 * s[1] - 1))),
    st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda s: (s, s)),
    st.tuples(*[st.tuples(st.integers(1, 9), st.integers(1, 9))] * 2),
    st.tuples(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(*[st.integers(1, 45)] * 2)),
)
KINDS = st.sampled_from([drawn.plain, drawn.stepped, drawn.close, drawn.leading, drawn.wild])


@st.composite
def logits(draw, batch=1, sizes=SIZES):
    (h, w), size = draw(sizes)
    slots = draw(st.one_of(st.integers(1, 9), st.sampled_from([16, 17, 40])))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = draw(KINDS)(generator, (batch, h, w, slots))
    with np.errstate(over='ignore'):
        values = np.float32(draw(st.sampled_from([1, 3, 12]))) * np.float32(values)
    return values, size, generator


@st.composite
def cases(draw):
    batch = draw(st.integers(1, 2))
    values, size, generator = draw(logits(batch))
    shape = (batch, values.shape[-1])
    living, pasting_ = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0])), draw(st.sampled_from([0.3, 0.8, 1.0]))
    label = generator.integers(0, draw(st.sampled_from([1, 3, 30])), shape)
    masks = ops_masks.Masks(
        values,
        np.int32(label),
        np.int32(generator.permuted(np.tile(1 + np.arange(shape[1]), (batch, 1)), axis=1)),
        label % 2 == 1,
        generator.random(shape) < living,
        generator.random(shape) < pasting_,
    )
    numbers = rules.MaskRules(
        is_maskwise=draw(st.booleans()),
        pixel_threshold=draw(st.sampled_from([0.0, 0.02, 0.2, 0.4, 0.5, 0.9, 1.0])),
        overlap_threshold=draw(st.sampled_from([0.0, 0.5, 0.8, 1.0])),
        thing_area_limit=draw(st.sampled_from([-1, 0, 3, 30])),
        stuff_area_limit=draw(st.sampled_from([0, 5, 60])),
        label_divisor=draw(st.sampled_from([41, 1000])),
        void_label=draw(st.sampled_from([0, 255])),
    )
    return masks, size, numbers


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(case=cases())
def test_equals_twin_and_numpy(case):
    masks, size, numbers = case
    found = ops_masks.panoptic(masks, size, numbers)
    twin = pasting.predict(masks, size, numbers)
    for image in range(len(masks.logits)):
        slots = list(zip(*(part[image].tolist() for part in masks[1:]), strict=True))
        wanted = mask_oracle.panoptic(masks.logits[image], slots, size, numbers)
        for name, one, other, third in zip(found._fields, found, twin, wanted, strict=True):
            np.testing.assert_array_equal(one[image], third, err_msg=f'op, {name}')
            np.testing.assert_array_equal(other[image], third, err_msg=f'twin, {name}')


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=logits(), threshold=st.sampled_from([0.0, 0.02, 0.4, 0.5, 1.0]))
def test_confidences_equal_twin_and_numpy(case, threshold):
    values, _, _ = case
    wanted = mask_oracle.confidences(values[0], threshold)
    np.testing.assert_array_equal(ops_masks.confidences(values, threshold)[0], wanted)
    np.testing.assert_array_equal(mask_pixels.confidences(tf.constant(values[0]), threshold), wanted)
