# SPDX-License-Identifier: Apache-2.0
"""The losses of a mask transformer equal the reference's, values and gradients."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import shared
from panpipe.model import config, labels, tensors
from panpipe.model.losses import mask_transformer, matching, total

NAMES = ('00_slots_more_than_truths', '01_slots_fewer_than_truths', '02_no_thing', '03_crowd_max_deeplab')
HEADS = ('pixel_space_mask_logits', 'transformer_class_logits', 'pixel_space_normalized_feature')


def options(weights, top_k=1.0):
    """Makes loss options of the reference's weights, by kind."""
    return config.LossOptions(
        semantic_loss=config.SingleLossOptions('softmax_cross_entropy', weights['semantic'], top_k),
        pq_style_loss=config.SingleLossOptions('pq_style', weights['pq_style']),
        mask_id_cross_entropy_loss=config.SingleLossOptions('softmax_cross_entropy', weights['mask_id']),
        instance_discrimination_loss=config.SingleLossOptions('', weights['instance_discrimination']),
    )


class _Golden:
    """A golden's inputs and outputs, and what our losses of them are."""

    def __init__(self, name, match=matching.exact):
        with np.load(shared.golden('kmax') / 'losses' / f'{name}.npz') as file:
            self.z = dict(file)
        self.args = json.loads(str(self.z['args_json']))
        self.matched = None
        layers = ('', *(f'aux_{i}_' for i in range(self.args['auxiliary_outputs'])))
        self.names = [*(f'{layer}{head}' for layer in layers for head in HEADS), 'semantic_logits']
        self.heads = [tf.Variable(self.z[f'pred_{name}']) for name in self.names]
        drawn = iter(self.z.get('sample_indices', ()))

        def recorded(similarity, is_real):
            self.similarity, self.is_real = similarity, is_real
            self.matched = match(similarity, is_real)
            return self.matched

        choices = mask_transformer.Choices(
            self.args['instance_discrimination_sample_k'],
            self.args['instance_discrimination_sample_temperature'],
            recorded,
            lambda logits, number, key: self._draw(logits, next(drawn)),
        )
        spec = labels.LabelSpec(
            self.args['num_classes'],
            tuple(self.args['thing_class_ids']),
            self.args['label_divisor'],
            self.args['ignore_label'],
        )
        targets = tensors.MaskTargets(
            *(
                tf.constant(self.z[f'in_{name}'])
                for name in ('semantic_gt', 'semantic_loss_weight', 'thing_id_mask_gt', 'thing_id_class_gt')
            )
        )
        with tf.GradientTape(persistent=True) as tape:
            values = [tf.convert_to_tensor(head) for head in self.heads]
            triples = [
                tensors.MaskHeads(*values[i : i + 3], None) for i in range(0, len(values) - 1, len(HEADS))
            ]
            heads = tensors.MaskTrainingHeads(
                triples[0]._replace(semantic_logits=values[-1]), tuple(triples[1:])
            )
            self.losses = total.loss(
                heads, targets, options(self.args['weights'], self.args['semantic_top_k']), spec, choices
            )
            objectives = {name: tf.reduce_mean(value) for name, value in self.losses.items()}
        self.gradients = tape.gradient(objectives['total'], self.heads)
        self.only = {
            name: tape.gradient(objectives[name], self.heads[0])
            for name in ('pq_style_loss_mask_dice_term', 'mask_id_cross_entropy_loss')
        }

    def _draw(self, logits, indices):
        self.logits = logits
        return tf.constant(indices)


@pytest.mark.parametrize('name', NAMES)
def test_equals_reference(name):
    golden = _Golden(name)
    z = golden.z
    for key, value in golden.losses.items():
        theirs = f'loss_{key}_loss' if key in ('semantic', 'total') else f'loss_{key}'
        np.testing.assert_allclose(value, z[theirs], rtol=1e-5, err_msg=key)
    assert len(golden.losses) == sum(key.startswith('loss_') for key in z)
    np.testing.assert_array_equal(golden.matched, np.maximum(z['matched_slot'], -1))
    is_real = z['matched_slot'] != -2
    np.testing.assert_array_equal(golden.is_real, is_real)
    ours = np.where(is_real[..., None], golden.similarity, 0)
    np.testing.assert_allclose(ours, z['similarity'], rtol=1e-5, atol=1e-9)
    if 'sample_logits' in z:
        np.testing.assert_allclose(golden.logits, z['sample_logits'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_gradients_equal_reference(name):
    golden = _Golden(name)
    pairs = [(f'grad_{name}', value) for name, value in zip(golden.names, golden.gradients, strict=True)]
    pairs += [(f'grad_only_{name}', value) for name, value in golden.only.items()]
    for name, ours in pairs:
        theirs = golden.z[name]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max(), err_msg=name)


def test_the_form_for_xla_matches_alike():
    golden = _Golden(NAMES[1], matching.static)
    np.testing.assert_array_equal(golden.matched, np.maximum(golden.z['matched_slot'], -1))


SPEC = labels.LabelSpec(4, (2, 3), 100, 255)
CHOICES = mask_transformer.Choices(sample_k=9)


def _drawn_case(num_slots=6, side=9, num_things=8, seed=0):
    """Draws heads at stride 4 and targets with eight things of one pixel at that stride."""
    rng = np.random.default_rng(seed)
    rows = (side - 1) // 4 + 1
    heads = tensors.MaskHeads(
        tf.constant(rng.normal(size=(1, rows, rows, num_slots)), tf.float32),
        tf.constant(rng.normal(size=(1, num_slots, 5)), tf.float32),
        tf.math.l2_normalize(tf.constant(rng.normal(size=(1, rows, rows, 4)), tf.float32), -1),
        tf.constant(rng.normal(size=(1, rows, rows, 4)), tf.float32),
    )
    things = np.full((1, side, side), -1, np.int32)
    things[0, ::4, ::4].flat[:] = -1
    small = np.arange(rows * rows) - 1
    small[small >= num_things] = -1
    things[0, ::4, ::4] = small.reshape(rows, rows)
    semantic = np.where(things >= 0, 2, 0).astype(np.int32)
    targets = tensors.MaskTargets(
        tf.constant(semantic),
        tf.ones(semantic.shape),
        tf.constant(things),
        tf.fill([1, num_things], 2),
    )
    return heads, targets


def _losses(heads, targets, choices=CHOICES):
    weights = {'semantic': 1.0, 'pq_style': 3.0, 'mask_id': 0.3, 'instance_discrimination': 1.0}
    return total.loss(heads, targets, options(weights), SPEC, choices)


def test_segments_beyond_the_slots_count_as_void():
    """With four slots for nine segments, five segments of one pixel get none, and nothing explodes."""
    heads, targets = _drawn_case(num_slots=4)
    losses = _losses(heads, targets)
    assert all(np.isfinite(value).all() and (value.numpy() < 20).all() for value in losses.values())
    # The four largest rows: equal areas, so those of the smallest index.
    kept = tf.where(targets.thing_id_mask < 4, targets.thing_id_mask, -1)
    fewer = targets._replace(
        thing_id_mask=kept,
        semantic=tf.where((targets.thing_id_mask >= 4) | (targets.thing_id_mask < 0), 255, targets.semantic),
    )
    expected = _losses(heads, fewer)
    for name in ('pq_style_loss_mask_dice_term', 'pq_style_loss_class_term', 'mask_id_cross_entropy_loss'):
        np.testing.assert_allclose(losses[name], expected[name], rtol=1e-6)


def test_renaming_things_changes_nothing():
    heads, targets = _drawn_case(num_slots=12)
    expected = _losses(heads, targets)
    renamed = targets._replace(
        thing_id_mask=tf.where(targets.thing_id_mask >= 0, 7 - targets.thing_id_mask, -1)
    )
    for name, value in _losses(heads, renamed).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5)


def test_an_image_of_void_costs_little_and_gives_no_nan():
    heads, targets = _drawn_case()
    void = targets._replace(
        semantic=tf.fill(targets.semantic.shape, 255), thing_id_mask=tf.fill(targets.semantic.shape, -1)
    )
    with tf.GradientTape() as tape:
        tape.watch(heads.mask_logits)
        losses = _losses(heads, void)
    assert float(losses['mask_id_cross_entropy_loss'][0]) == 0
    assert float(losses['pq_style_loss_mask_dice_term'][0]) == 0
    assert np.isfinite(tape.gradient(losses['total'], heads.mask_logits)).all()


def test_evaluation_without_auxiliary_heads_has_the_main_losses():
    heads, targets = _drawn_case()
    expected = set(_losses(tensors.MaskTrainingHeads(heads, (heads,)), targets))
    assert {name for name in expected if not name.startswith('aux_0')} == set(_losses(heads, targets))


def test_a_sample_larger_than_the_mask_is_refused():
    heads, targets = _drawn_case()
    with pytest.raises(ValueError, match='sample_k is 10, but masks have 9 pixels'):
        _losses(heads, targets, dataclasses.replace(CHOICES, sample_k=10))


def test_targets_of_another_network_are_refused():
    heads, targets = _drawn_case()
    other = tensors.Targets(*6 * [targets.semantic_weight])
    with pytest.raises(ValueError, match='MaskHeads cannot learn from Targets'):
        _losses(heads, other)
