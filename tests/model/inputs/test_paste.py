# SPDX-License-Identifier: Apache-2.0
"""Panoptic copy-paste against the reference's outputs and its own rules."""

import json
from collections import Counter

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import shared
import synthetic
from panpipe.model import datasets, errors
from panpipe.model.inputs import paste

SMALL = synthetic.SMALL
KINDS = ('thing', 'stuff', 'void')


@pytest.mark.parametrize('name', ['20_paste_cityscapes_things', '21_paste_coco_all_but_void'])
def test_equals_reference(name):
    with np.load(shared.golden('kmax') / 'targets' / f'{name}.npz') as file:
        z = dict(file)
    args = json.loads(str(z['args_json']))
    labels = datasets.find(args['dataset']).labels
    assert paste.padding(labels) == args['padding_label']
    found = paste.paste(
        paste.Picture(z['image'], z['panoptic']),
        paste.Picture(z['paste_image'], z['paste_panoptic']),
        tf.constant([3, 4], tf.int64),
        labels,
        paste.Choice(*(args[f'{kind}_option'] for kind in KINDS)),
    )
    np.testing.assert_array_equal(found.image, z['out_image'])
    np.testing.assert_array_equal(found.panoptic, z['out_panoptic'])


def _pictures(seed):
    rng = np.random.default_rng(seed)
    under, over = (
        paste.Picture(np.full((17, 23, 3), value, np.float32), synthetic.panoptic_map(rng, crowd=value > 0))
        for value in (0, 1)
    )
    over.panoptic[:, :4] = paste.padding(SMALL)
    return under, over


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 2**31), options=st.tuples(*3 * [st.sampled_from(('random', 'all', 'none'))])
)
def test_whole_segments_are_pasted_as_the_options_say(seed, options):
    under, over = _pictures(seed)
    found = paste.paste(under, over, tf.constant([seed, 1], tf.int64), SMALL, paste.Choice(*options))
    is_pasted = found.image.numpy()[..., 0] == 1
    panoptic = found.panoptic.numpy()
    np.testing.assert_array_equal(panoptic[~is_pasted], under.panoptic[~is_pasted])
    semantic, instance = SMALL.decode(over.panoptic)
    renamed = SMALL.encode(semantic, np.where(instance > 0, 99 - instance, 0))
    np.testing.assert_array_equal(panoptic[is_pasted], renamed[is_pasted])
    assert not is_pasted[:, :4].any()
    for identity in np.unique(over.panoptic[:, 4:]):
        shares = np.unique(is_pasted[over.panoptic == identity])
        assert len(shares) == 1
        kind = _kind(identity)
        assert options[kind] == 'random' or shares[0] == (options[kind] == 'all')


def _kind(identity):
    semantic = identity // SMALL.label_divisor
    return 2 if identity == SMALL.void else 0 if semantic in SMALL.thing_ids else 1


def test_any_number_of_segments_is_equally_likely():
    under = paste.Picture(np.zeros((1, 3, 3), np.float32), np.full((1, 3), 400, np.int32))
    over = paste.Picture(np.ones((1, 3, 3), np.float32), np.array([[201, 301, 0]], np.int32))
    draw = tf.function(
        lambda key: tf.reduce_sum(paste.paste(under, over, key, SMALL, paste.Choice()).image[..., 0])
    )
    counts = Counter(int(draw(tf.constant([9, number], tf.int64))) for number in range(800))
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(150 < count < 250 for count in counts.values())


def test_numbers_that_would_clash_prevent_pasting():
    under = paste.Picture(np.zeros((1, 2, 3), np.float32), np.array([[250, 201]], np.int32))
    over = paste.Picture(np.ones((1, 2, 3), np.float32), np.array([[201, 0]], np.int32))
    everything = paste.Choice('all', 'all', 'all')
    for first, second in ((under, over), (over, under)):
        found = paste.paste(first, second, tf.constant([0, 0], tf.int64), SMALL, everything)
        np.testing.assert_array_equal(found.panoptic, first.panoptic)


def test_an_unknown_option_is_refused():
    with pytest.raises(errors.InputError, match="stuff_option is 'some'; it is one of random, all, none"):
        paste.Choice(stuff='some')
