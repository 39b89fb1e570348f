# SPDX-License-Identifier: Apache-2.0
"""Pictures that a real training leaves: of its first batch and of its evaluations."""

import re
import types
import warnings

import numpy as np
import pytest
import tensorflow as tf

import experiments
import small
import synthetic
from panpipe.model import config, tensors, train
from panpipe.model.drawing import evaluated
from panpipe.model.inputs import pipeline, targets
from panpipe.model.training import evaluator, loop, run_folder, snapshots

SPEC = experiments.SPEC


@pytest.fixture(scope='module')
def pattern(tmp_path_factory):
    return experiments.write_records(tmp_path_factory.mktemp('records'))


def _run(pattern, folder, mode, *more, steps=2):
    sets = [f'--set={field}' for field in experiments.overrides(pattern, steps, *more)]
    arguments = ['--config', str(experiments.CONFIG), '--model_dir', str(folder), *sets]
    assert train.main([*arguments, '--mode', mode]) == 0
    return folder / 'toy_cityscapes'


def _pictures(folder):
    """Reads the pictures of event files: {tag: [(step, width, height, pixels), …]}."""
    found = {}
    for path in sorted(folder.glob('events*')):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    if value.metadata.plugin_data.plugin_name == 'images':
                        width, height, encoded = tf.make_ndarray(value.tensor)
                        pixels = tf.io.decode_image(encoded).numpy()
                        found.setdefault(value.tag, []).append((event.step, int(width), int(height), pixels))
    return found


@pytest.fixture(scope='module')
def run(pattern, tmp_path_factory):
    """A training of four steps, evaluated twice, that shows three of four samples."""
    fields = ('num_vis_samples=3', 'save_predictions=true', 'eval_interval=2')
    options = [f'evaluator_options.{field}' for field in fields]
    return _run(pattern, tmp_path_factory.mktemp('runs'), 'train_and_eval', *options, steps=4)


@pytest.mark.slow
def test_evaluations_leave_pictures_at_their_step(run):
    found = _pictures(run / 'eval')
    expected = {
        f'sample_{number:06d}_image_{number}/{place}_{kind}'
        for number in range(3)
        for place, kind in enumerate(evaluated.CHOICE, 1)
    }
    assert set(found) == expected
    for shown in found.values():
        assert [step for step, *_ in shown] == [2, 4]
        for _, width, height, pixels in shown:
            assert pixels.shape == (height, width, 3) == (33, 65, 3)
    first, last = (pixels for *_, pixels in found['sample_000000_image_0/1_image'])
    np.testing.assert_array_equal(first, last)


@pytest.mark.slow
def test_training_leaves_its_first_batch_once(run):
    found = _pictures(run / 'train')
    names = ('1_image', '2_classes', '3_centers', '4_offsets', '5_losses')
    assert set(found) == {f'first_batch_{number:02d}/{name}' for number in range(2) for name in names}
    assert all([step for step, *_ in shown] == [0] for shown in found.values())


@pytest.mark.slow
def test_files_have_the_names_of_deeplab2_and_the_size_of_the_image(run):
    names = {path.name for path in (run / run_folder.PICTURES).iterdir()}
    assert names == {f'{number:06d}_{kind}.png' for number in range(3) for kind in evaluated.Kind}
    assert {
        '000000_image.png',
        '000000_semantic_prediction.png',
        '000000_semantic_label.png',
        '000000_center_prediction.png',
        '000000_center_label.png',
        '000000_offset_prediction_rgb.png',
        '000000_offset_label.png',
        '000000_instance_prediction.png',
        '000000_panoptic_prediction.png',
        '000000_panoptic_label.png',
        '000000_semantic_error.png',
    } <= names
    for name in names:
        pixels = tf.io.decode_png((run / run_folder.PICTURES / name).read_bytes())
        assert pixels.shape == (33, 65, 1 if name.endswith('semantic_error.png') else 3)


def _sample(height=33, width=65):
    """Makes a sample of another size than the network's input, which is padded."""
    panoptic = synthetic.panoptic_map(np.random.default_rng(0), SPEC.labels, height, width)
    raw = tensors.Sample(tf.constant(b'name'), tf.zeros((height, width, 3), tf.uint8), tf.constant(panoptic))
    padded = np.full((1, 65, 129), SPEC.labels.void, np.int32)
    padded[0, :40, :79] = 0
    found = targets.targets(tf.constant(padded), SPEC.labels, sigma=8)
    image = tf.zeros((1, 65, 129, 3))
    return pipeline.EvaluationSample(image, found, tf.constant([40, 79]), raw)


def _found(sample, has_instances=True):
    """Makes what a network finds: a center inside, and one in the padding."""
    semantic, instance = SPEC.labels.decode(sample.raw.panoptic)
    semantic = tf.where(semantic == SPEC.labels.ignore_label, 0, semantic)
    maps = (sample.raw.panoptic, semantic, instance, tf.zeros(instance.shape))
    prediction = tensors.Prediction(*(each[None] for each in maps))
    if not has_instances:
        return evaluator.Found(prediction, None, None)
    center = np.zeros((1, 65, 129, 1), np.float32)
    center[0, [10, 60], [20, 100]] = 0.9
    return evaluator.Found(prediction, tf.constant(center), tf.zeros((1, 65, 129, 2)))


def _snapshots(folder, **options):
    directory = run_folder.RunDirectory(str(folder), 'run')
    return snapshots.Snapshots(directory, SPEC, config.EvaluatorOptions(**options), 7)


def test_files_go_to_a_folder_of_ones_own(tmp_path):
    vis = tmp_path / 'mine'
    watch = _snapshots(tmp_path, save_predictions=True, override_save_dir=str(vis), num_vis_samples=2)
    for number in range(3):
        watch(number, _sample(), _found(_sample()))
    assert len(list(vis.iterdir())) == 2 * len(evaluated.Kind)
    assert not (tmp_path / 'run' / run_folder.PICTURES).exists()
    assert {tag.split('/')[0] for tag in _pictures(tmp_path / 'run' / 'eval')} == {
        'sample_000000_name',
        'sample_000001_name',
    }


def test_centers_in_the_padding_are_left_out(tmp_path):
    seen = _snapshots(tmp_path)._as_arrays(_sample(), _found(_sample()))
    assert seen.instances.points.tolist() == [[10, 20]]
    assert seen.instances.center.shape == (40, 79)
    assert seen.instances.targets.offset.shape == (40, 79, 2)
    assert seen.image.shape == (33, 65, 3)


def test_networks_without_instances_have_pictures_of_classes(tmp_path):
    _snapshots(tmp_path, save_predictions=True)(0, _sample(), _found(_sample(), has_instances=False))
    kinds = {re.fullmatch(r'000000_(.*)\.png', path.name)[1] for path in (tmp_path / 'run/vis').iterdir()}
    assert kinds == {*evaluated.SEMANTIC_CHOICE, evaluated.Kind.SEMANTIC_ERROR}
    shown = {tag.split('/')[1][2:] for tag in _pictures(tmp_path / 'run' / 'eval')}
    assert shown == set(evaluated.SEMANTIC_CHOICE)


def test_no_samples_no_pictures(tmp_path):
    _snapshots(tmp_path, num_vis_samples=0, save_predictions=True)(0, None, None)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('limit', [0, 1])
def test_the_batch_that_is_shown_is_trained_on(tmp_path, limit):
    batches = [small.batch(seed=seed) for seed in range(3)]
    run = loop.Training.__new__(loop.Training)
    run._batches, run._num_shown, run._spec = iter(batches), limit, SPEC
    run._directory = run_folder.RunDirectory(str(tmp_path), 'run')
    run._trainer = types.SimpleNamespace(strategy=tf.distribute.get_strategy())
    run._show_first_batch()
    assert len(_pictures(tmp_path / 'run' / 'train')) == 5 * limit
    for batch, expected in zip(run._batches, batches, strict=True):
        assert batch is expected


def test_pictures_of_large_images_are_small(tmp_path):
    directory = run_folder.RunDirectory(str(tmp_path), 'run')
    zeros = np.zeros((1, 65, 1000), np.float32)
    blank = tensors.Targets(
        np.full((1, 65, 1000), 255, np.int32), zeros, zeros, zeros, np.zeros((1, 65, 1000, 2)), zeros
    )
    snapshots.show_batch(directory, np.full((1, 65, 1000, 3), 300.0), blank, SPEC, 5)
    found = _pictures(tmp_path / 'run' / 'train')
    assert len(found) == 5
    for tag, ((step, width, height, pixels),) in found.items():
        assert (step, width, height) == (0, 512, 33), tag
        assert pixels.shape == (33, 512, 3)
    assert (found['first_batch_00/1_image'][0][-1] == 255).all()


def test_defaults_are_those_of_deeplab2(pattern):
    options = experiments.load(pattern).evaluator_options
    assert (options.save_predictions, options.num_vis_samples) == (False, 10)
