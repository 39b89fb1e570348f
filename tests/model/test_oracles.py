# SPDX-License-Identifier: Apache-2.0
"""Oracles restore what a broken head spoils, and leave the rest as it was."""

import functools
import json
import types

import numpy as np
import pytest
import tensorflow as tf

import experiments
import synthetic
from panpipe.model import build, checkpoints, inference, oracles, tensors
from panpipe.model.inputs import pipeline, records
from panpipe.model.metrics import oracle_results, results
from panpipe.model.training import evaluator

SPEC = experiments.SPEC.labels
POSTPROCESSING = inference.Postprocessing(0.1, 3, 200, 0, use_op=True)
PLAIN = inference.Views()


def _write(folder, count=3, size=(33, 65), **more):
    """Writes a file of random records, without crowd if nothing else is said; returns its path."""
    path = folder / 'val.tfrecord'
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(count):
            rng = np.random.default_rng(index)
            panoptic = synthetic.panoptic_map(rng, SPEC, *size, **{'crowd': False, 'instances': 4, **more})
            image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
            encoded = tf.io.encode_png(image).numpy()
            record = records.Record(f'image_{index}', encoded, 'png', *size, panoptic)
            writer.write(records.serialize(record))
    return str(path)


def _samples(folder, *more, **drawn):
    return pipeline.evaluation_samples(experiments.load(_write(folder, **drawn), 4, *more))


def _linear(images, training=False, pool_scale=1.0):
    """A network in miniature: every head is a fixed mix of the pixels at stride 4."""
    mix = tf.constant(np.random.default_rng(0).normal(size=(3, 22)), tf.float32)
    heads = tf.einsum('bhwc,cd->bhwd', images[:, ::4, ::4] / 255, mix)
    return tensors.Heads(*tf.split(heads, (19, 1, 2), axis=-1))


def _perfect(targets):
    logits = tf.one_hot(targets.semantic, 19)
    return tensors.Heads(logits, targets.center[..., None], targets.offset)


def _judge(samples, network, views=PLAIN, postprocessing=POSTPROCESSING):
    return oracles.judge(samples, SPEC, network, views, postprocessing, lambda number, note: None)


def _broken(folder, change):
    """Judges a network that knows the only image, but for a `change` of its heads: figures by oracle."""
    samples = _samples(folder, count=1)
    targets = next(iter(samples)).targets
    heads = change(_perfect(targets), targets)
    return oracles.figures(_judge(samples, lambda images, training=False, pool_scale=1.0: heads))


@pytest.mark.parametrize(
    'views',
    [PLAIN, pytest.param(inference.Views((0.5, 1.0), adds_flipped=True), marks=pytest.mark.slow)],
)
def test_the_baseline_is_the_evaluation(tmp_path, views):
    samples = _samples(tmp_path, crowd=True)
    predict = functools.partial(
        inference.predict, _linear, codec=SPEC, views=views, postprocessing=POSTPROCESSING
    )
    expected = evaluator.evaluate(samples, SPEC, predict, lambda heads, targets: {})
    found = _judge(samples, _linear, views)
    assert found['baseline'].panoptic == expected.panoptic
    assert found['baseline'].semantic == expected.semantic
    assert expected.panoptic.counts.any()


def test_a_poor_network_with_all_oracles_is_perfect(tmp_path):
    found = oracles.figures(_judge(_samples(tmp_path), _linear))
    assert found['baseline'].pq.all < 10
    assert found['all'].pq == results.Groups(100, 100, 100)
    assert found['all'].miou == found['semantic'].miou == 100
    gain = found['all'].gain
    assert gain.pq.all == 100 - found['baseline'].pq.all
    assert gain.miou == 100 - found['baseline'].miou
    assert found['baseline'].gain == oracle_results.Gain(results.Groups(0, 0, 0), 0)


def test_true_centers_are_not_cut(tmp_path):
    """Two centers at most would be kept of four, and of equal ones none."""
    few = inference.Postprocessing(0.1, 3, 2, 0, use_op=True)
    found = oracles.figures(_judge(_samples(tmp_path), _linear, postprocessing=few))
    assert found['all'].pq.things == 100


def test_resizing_has_its_price(tmp_path):
    """Images of 47 x 93 are seen at 33 x 65: outlines are lost that no head can bring back."""
    found = oracles.figures(_judge(_samples(tmp_path, size=(47, 93)), _linear))
    assert 60 < found['all'].pq.all < 100
    assert found['all'].pq.all > found['semantic'].pq.all


def test_broken_offsets_hurt_things_only(tmp_path):
    found = _broken(tmp_path, lambda heads, targets: heads._replace(offset=-heads.offset))
    for name in ('baseline', 'semantic', 'center'):
        assert found[name].pq.things < 100
        assert found[name].pq == found['baseline'].pq
    for name in ('offset', 'instances', 'all'):
        assert found[name].pq.all == 100
    assert all(one.pq.stuff == one.miou == 100 for one in found.values())


def test_missing_centers_hurt_things_only(tmp_path):
    found = _broken(
        tmp_path, lambda heads, targets: heads._replace(center_heatmap=heads.center_heatmap * 0.05)
    )
    for name in ('baseline', 'semantic', 'offset'):
        assert found[name].pq == found['baseline'].pq
        assert found[name].pq.things < 100
    for name in ('center', 'instances', 'all'):
        assert found[name].pq.all == 100
    assert all(one.pq.stuff == one.miou == 100 for one in found.values())


def test_confused_stuff_hurts_stuff_only(tmp_path):
    def confuse(heads, targets):
        """Calls the left half of every stuff class road."""
        is_stuff = targets.semantic < min(SPEC.thing_ids)
        is_wrong = is_stuff & (tf.range(65) < 33)
        road = tf.one_hot(tf.zeros_like(targets.semantic), 19)
        return heads._replace(semantic_logits=tf.where(is_wrong[..., None], road, heads.semantic_logits))

    found = _broken(tmp_path, confuse)
    for name in ('baseline', 'center', 'offset', 'instances'):
        assert found[name].pq == found['baseline'].pq
        assert found[name].pq.stuff < 100
        assert found[name].miou < 100
    for name in ('semantic', 'all'):
        assert found[name].pq.all == found[name].miou == 100
    assert all(one.pq.things == 100 for one in found.values())


def test_the_network_keeps_its_say_where_truth_is_silent():
    """Pixels: stuff, void, crowd, thing."""
    car = 13
    semantic = tf.constant([[[0, 255, car, car]]])
    known = tf.constant([[[1.0, 0, 0, 1]]])
    targets = tensors.Targets(
        semantic,
        tf.ones((1, 1, 4)),
        tf.constant([[[0.0, 0.1, 0.2, 0.9]]]),
        known,
        tf.constant([[[[0.0, 0], [0, 0], [0, 0], [2, 3]]]]),
        tf.constant([[[0.0, 0, 0, 1]]]),
    )
    logits = tf.one_hot([[[1, 2, 3, 4]]], 19)
    heads = tensors.Heads(logits, tf.fill((1, 1, 4, 1), 0.5), tf.fill((1, 1, 4, 2), 7.0))
    found = oracles.substitute(heads, targets, ('semantic', 'center', 'offset'), SPEC)
    assert tf.argmax(found.semantic_logits, -1).numpy().tolist() == [[[0, 2, car, car]]]
    np.testing.assert_allclose(found.center_heatmap[0, 0, :, 0], [0, 0.1, 0.5, 0.9])
    assert found.offset[0, 0].numpy().tolist() == [[7, 7], [7, 7], [7, 7], [2, 3]]
    assert oracles.substitute(heads, targets, (), SPEC) == heads
    with pytest.raises(ValueError, match='annotated'):
        oracles.substitute(heads, None, (), SPEC)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The folder of a run with a checkpoint of a fresh network."""
    folder = tmp_path_factory.mktemp('run')
    network = build.network(experiments.load('unused'))
    tf.train.CheckpointManager(tf.train.Checkpoint(**checkpoints.tree(network)), str(folder), 1).save()
    return folder


def _main(tmp_path, run, *more):
    sets = [f'--set={field}' for field in experiments.overrides(_write(tmp_path), 4, *more)]
    places = ['--checkpoint', str(run), '--output', str(tmp_path / 'out/oracles.json')]
    return oracles.main(['--config', str(experiments.CONFIG), *places, *sets])


def test_the_job_writes_and_shows_all_oracles(tmp_path, run, capsys):
    assert _main(tmp_path, run, 'evaluator_options.eval_steps=2') == 0
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['oracles.json']
    content = json.loads((tmp_path / 'out/oracles.json').read_text())
    assert (content['num_images'], content['dataset']) == (2, 'cityscapes_panoptic')
    content = content['oracles']
    assert set(oracles.ORACLES) == set(content)
    # At this size the configuration makes stuff of less than 64 pixels void.
    assert content['baseline']['pq']['all'] < 50 < content['all']['pq']['all']
    shown = capsys.readouterr()
    assert all(name in shown.out for name in oracles.ORACLES)
    assert 'oracles: 2/2' in shown.err


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        ('eval_dataset_options.decode_groundtruth_label=false', 'oracles know the ground truth'),
        ('eval_dataset_options.file_pattern=nowhere*', 'nowhere* matches no file; give records'),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, run, capsys, more, words):
    assert _main(tmp_path, run, more) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith('panpipe oracles: error: ')
    assert words in told
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_a_checkpoint_of_a_part_does_not_do(tmp_path, capsys):
    network = build.network(experiments.load('unused'))
    tf.train.Checkpoint(encoder=checkpoints.tree(network)['encoder']).save(str(tmp_path / 'ckpt'))
    assert _main(tmp_path, tmp_path / 'ckpt-1') == 2
    assert 'is it the checkpoint of another --config, or' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_a_checkpoint_of_meanwhile_changes_nothing(tmp_path, run, monkeypatch):
    """Weights, averages and step are of one checkpoint, though a training may go on in its folder."""
    newest = iter([str(run / 'ckpt-1'), str(run / 'ckpt-2')])
    monkeypatch.setattr(tf.train, 'latest_checkpoint', lambda folder: next(newest))
    assert _main(tmp_path, run, 'evaluator_options.eval_steps=1') == 0
    assert next(newest) == str(run / 'ckpt-2')


@pytest.mark.parametrize(('steps', 'number'), [(-1, 3), (-7, 3), (2, 2), (3, 3), (5, 3)])
def test_images_are_counted_without_reading_them(tmp_path, monkeypatch, steps, number):
    experiment = experiments.load(_write(tmp_path), 4, f'evaluator_options.eval_steps={steps}')
    assert sum(1 for _ in pipeline.evaluation_samples(experiment).take(steps)) == number
    monkeypatch.setattr(oracles.reading, 'ordered', lambda files: pytest.fail('read'))
    assert oracles._count(experiment) == number


def test_without_instances_there_is_nothing_to_gain():
    experiment = types.SimpleNamespace(model_options=types.SimpleNamespace(has_instances=False))
    with pytest.raises(ValueError, match='no instance branch'):
        oracles._check(experiment)
