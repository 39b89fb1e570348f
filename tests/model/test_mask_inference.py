# SPDX-License-Identifier: Apache-2.0
"""A mask transformer all the way: from images to maps with scores, in evaluation and in a SavedModel."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import experiments
import synthetic
from panpipe.model import config, datasets, errors, export, inference, oracles, tensors
from panpipe.model.experiment import schema
from panpipe.model.inputs import pipeline
from panpipe.model.metrics import result_files, slot_use
from panpipe.model.training import evaluator, run_folder, slot_watch
from panpipe.pipelines import predict, score, validate

SPEC = datasets.SPECS['cityscapes_panoptic'].labels
SLOTS = 6


class Masks(keras.Model):
    """Has random masks that follow the image's colours, and slots that are sure of a class each."""

    def __init__(self):
        super().__init__()
        self.masks = keras.layers.Dense(
            SLOTS, kernel_initializer=keras.initializers.RandomNormal(0, 9, seed=1)
        )
        self.classes = np.full((1, SLOTS, 20), -4, np.float32)
        self.classes[0, range(SLOTS), [2, 0, 11, 14, 18, 19]] = (
            4  # things 13 and 11, three kinds of stuff, and void
        )

    def call(self, images, training=False):
        masks = self.masks(images[:, ::4, ::4] / 127.5 - 1)
        return tensors.MaskHeads(masks, tf.constant(self.classes), tf.zeros_like(masks), None)


def experiment(**options):
    loaded = experiments.load('unused')
    masks = schema.MaskwisePostProcessingOptions(reorder_mask_weight=1.0)
    return dataclasses.replace(
        loaded,
        model_options=config.ModelOptions(max_deeplab=schema.MaXDeepLabOptions()),
        evaluator_options=dataclasses.replace(
            loaded.evaluator_options, **{'maskwise_postprocessing': masks, **options}
        ),
    )


@pytest.fixture(scope='module')
def network():
    made = Masks()
    made(tf.zeros((1, 5, 5, 3)))
    return made


@pytest.mark.parametrize('method', ['pixelwise', 'maskwise'])
def test_saved_model_equals_the_network_and_scores_its_things(network, method, tmp_path):
    options = experiment(transformer_post_processing=method)
    export.save(options, network, str(tmp_path / 'exported'), use_op=True)
    image = np.random.default_rng(0).integers(0, 256, (33, 65, 3)).astype(np.uint8)
    image = np.repeat(np.repeat(image[::8, ::8], 8, 0), 8, 1)[:33, :65]
    served = tf.saved_model.load(str(tmp_path / 'exported')).signatures['serving_default'](
        image_bytes=tf.io.encode_png(image)
    )
    found = inference.predict(
        network, tf.cast(image[None], tf.float32), SPEC, inference.Views(), inference.postprocessing(options)
    )
    for name, value in found.prediction._asdict().items():
        np.testing.assert_allclose(served[name], value[0], atol=1e-5, err_msg=name)
    panoptic, score = served['panoptic'].numpy(), served['score'].numpy()
    things = [i for i in np.unique(panoptic) if i // SPEC.label_divisor in SPEC.thing_ids]
    assert things
    assert served['instance_ids'].numpy().tolist() == things
    confidence = dict(
        zip([13, 11], np.float32(tf.nn.softmax(network.classes[0])[:2].numpy().max(1)), strict=True)
    )
    wanted = [confidence[i // SPEC.label_divisor] * score[panoptic == i].mean() for i in things]
    np.testing.assert_allclose(served['instance_scores'], wanted, rtol=1e-5)


def test_post_processing_that_there_is_not_is_refused():
    with pytest.raises(errors.InputError, match="'both'; it is one of pixelwise, maskwise"):
        inference.postprocessing(experiment(transformer_post_processing='both'))
    lacking = experiment(transformer_post_processing='maskwise', maskwise_postprocessing=None)
    with pytest.raises(errors.InputError, match='lacks maskwise_postprocessing'):
        inference.postprocessing(lacking)


def test_oracles_refuse_a_mask_transformer():
    with pytest.raises(errors.InputError, match='mask transformer'):
        oracles._check(experiment())


def test_evaluation_tells_what_the_slots_hold(network, tmp_path):
    """The slots of the network are sure of one class each; those that hold pixels are counted under it."""
    image = np.random.default_rng(0).integers(0, 256, (5, 9, 3)).repeat(8, 0).repeat(8, 1)[:33, :65]
    targets = tensors.MaskTargets(*(tf.zeros((1, 1, 1), tf.int32) for _ in range(4)))
    raw = tensors.Sample(tf.constant(b'street'), tf.constant(image, tf.uint8), np.zeros((33, 65), np.int32))
    sample = pipeline.EvaluationSample(
        tf.constant(image[None], tf.float32), targets, tf.constant([33, 65]), raw
    )
    predict = functools.partial(
        inference.predict,
        network,
        codec=SPEC,
        views=inference.Views(),
        postprocessing=inference.postprocessing(experiment(transformer_post_processing='maskwise')),
    )
    watch = slot_watch.SlotWatch(
        run_folder.RunDirectory(str(tmp_path), 'run'), datasets.SPECS['cityscapes_panoptic'], 1, 0
    )
    evaluator.evaluate([sample], SPEC, predict, lambda heads, targets: {}, watches=[watch])
    watch.write()
    told = result_files.read_typed(slot_use.SlotResult, tmp_path / 'run/slots/slots.json', 'train')
    assert told.num_slots == SLOTS
    found = {one.slot: dict(one.images) for one in told.slots}
    panoptic = predict(sample.image).prediction.panoptic[0].numpy()
    classes = {SPEC.decode(int(i))[0] for i in np.unique(panoptic)} - {SPEC.ignore_label}
    by_id = datasets.SPECS['cityscapes_panoptic'].by_id
    assert classes
    assert {name for images in found.values() for name in images} == {by_id[i].name for i in classes}
    assert all(len(images) == 1 for images in found.values())
    assert told.pictures == (slot_use.Shown('street', '000000.png'),)


@pytest.mark.parametrize('method', [pytest.param('pixelwise', marks=pytest.mark.slow), 'maskwise'])
def test_its_official_files_are_valid_and_scored(network, method, tmp_path):
    """Prediction files of a mask transformer, whose things bear the numbers of their slots."""
    raw = synthetic.toy(tmp_path / 'raw', images=6)
    areas = {'thing_area_limit': 0, 'stuff_area_limit': 0}
    export.save(
        experiment(transformer_post_processing=method, **areas), network, str(tmp_path / 'model'), use_op=True
    )
    found = str(tmp_path / 'found')
    given = ['--input', str(raw), '--split', 'val']
    assert predict.main(['--saved_model', str(tmp_path / 'model'), *given, '--output', found]) == 0
    truth = ['--ground_truth', str(raw), '--predictions', found]
    assert validate.main(['--format', 'cityscapes', *truth]) == 0
    scored = str(tmp_path / 'score.json')
    assert score.main(['--format', 'cityscapes', *truth, '--output', scored]) == 0
    result = result_files.read(scored, 'score')
    assert result.num_images == 2
    assert result.difference is not None
    assert abs(result.difference.pq.all) < 1e-6
    assert 0 <= result.instance.ap <= 100
