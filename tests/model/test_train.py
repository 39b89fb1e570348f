# SPDX-License-Identifier: Apache-2.0
"""The train job: one step equals the reference's, a resumed run equals one that never stopped."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import experiments
import shared
from panpipe.model import build, checkpoints, config, datasets, export, oracles, tensors, train
from panpipe.model.losses import total
from panpipe.model.metrics import results
from panpipe.model.postprocess import upsample
from panpipe.model.training import loop, run_folder, train_step


@pytest.fixture(scope='module')
def pattern(tmp_path_factory):
    return experiments.write_records(tmp_path_factory.mktemp('records'))


def _arguments(pattern, tmp_path, mode, *more, steps=2):
    sets = [f'--set={field}' for field in experiments.overrides(pattern, steps, *more)]
    return ['--config', str(experiments.CONFIG), '--model_dir', str(tmp_path), '--mode', mode, *sets]


def test_first_step_equals_the_reference(monkeypatch):
    """From the same weights and batch: losses to 1e-5, gradient norms to 1 %."""
    golden = shared.golden('models') / 'mobilenet_v3_small_os32_train_step.npz'
    folder = shared.golden('checkpoints') / 'mobilenet_v3_small_os32'
    monkeypatch.setenv('EXPERIMENT_NAME', 'golden')
    for name in ('INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'unused')
    experiment = config.load(folder / 'config.textproto')
    with np.load(golden) as file:
        z = dict(file)
    network = build.network(experiment)
    checkpoints.restore(network, folder / 'ckpt-0')
    for layer in network._flatten_layers():
        if hasattr(layer, 'rate') and layer.name.startswith('dropout'):
            layer.rate = 0.0
    names = (
        'semantic_gt',
        'semantic_loss_weight',
        'instance_center_gt',
        'center_loss_weight',
        'instance_regression_gt',
        'regression_loss_weight',
    )
    floats = [z[name].astype(np.float32) for name in names[1:]]
    targets = tensors.Targets(tf.constant(z['semantic_gt'].astype(np.int32)), *map(tf.constant, floats))
    images = tf.constant(z['images'].astype(np.float32))
    spec = datasets.find('cityscapes_panoptic').labels

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            heads = upsample(network(images, training=True), 129, 257)
            losses = total.loss(heads, targets, experiment.trainer_options.loss_options, spec)
            losses = {name: tf.reduce_mean(value) for name, value in losses.items()}
        return losses, tape.gradient(losses['total'], [v.value for v in network.trainable_variables])

    losses, gradients = step()
    for name, value in losses.items():
        np.testing.assert_allclose(value, z[f'loss_{name}'], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(tf.linalg.global_norm(gradients), z['grad_global_norm'], rtol=1e-2)
    norms = {
        checkpoints.key(v): float(tf.norm(g))
        for v, g in zip(network.trainable_variables, gradients, strict=True)
    }
    expected = dict(zip(z['trainable_names'].tolist(), z['trainable_grad_norm'].tolist(), strict=True))
    expected = {name.split('/.ATTRIBUTES')[0]: value for name, value in expected.items()}
    assert norms.keys() == expected.keys()
    large = [name for name, value in expected.items() if value > 1e-4 * max(expected.values())]
    np.testing.assert_allclose([norms[n] for n in large], [expected[n] for n in large], rtol=0.05)


@pytest.mark.slow
def test_averages_begin_with_the_initial_checkpoint(pattern, tmp_path):
    weights = build.network(experiments.load('unused'))
    path = tf.train.Checkpoint(**checkpoints.tree(weights)).save(str(tmp_path / 'initial'))
    fields = (
        f'model_options.initial_checkpoint={path}',
        'trainer_options.solver_options.ema_momentum=0.9',
    )
    experiment = experiments.load(pattern, 2, *fields)
    run = loop.Training(experiment, run_folder.RunDirectory(str(tmp_path), 'run'))
    with run.evaluated():
        for value, expected in zip(run.network.weights, weights.weights, strict=True):
            np.testing.assert_array_equal(value, expected, err_msg=expected.path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'fields',
    [
        (),
        (
            'trainer_options.solver_options.ema_momentum=0.9',
            'trainer_options.solver_options.use_gradient_clipping=true',
            'trainer_options.loss_options.center_loss=',
        ),
    ],
)
def test_resumed_training_equals_uninterrupted(pattern, tmp_path, fields):
    """What goes on from the checkpoint of step 2 ends, at step 4, at the very same weights."""
    experiment = experiments.load(pattern, 4, *fields)
    whole = loop.Training(experiment, run_folder.RunDirectory(str(tmp_path / 'whole'), 'run'))
    whole.until(4)
    (tmp_path / 'parts/run').mkdir(parents=True)
    for file in (tmp_path / 'whole/run').glob('ckpt-2.*'):
        shutil.copy(file, tmp_path / 'parts/run')
    (tmp_path / 'parts/run/checkpoint').write_text('model_checkpoint_path: "ckpt-2"\n')
    resumed = loop.Training(experiment, run_folder.RunDirectory(str(tmp_path / 'parts'), 'run'))
    assert resumed.step == 2
    resumed.until(4)
    for value, expected in zip(resumed.network.weights, whole.network.weights, strict=True):
        np.testing.assert_array_equal(value, expected, err_msg=expected.path)
    with whole.evaluated(), resumed.evaluated():
        for value, expected in zip(resumed.network.weights, whole.network.weights, strict=True):
            np.testing.assert_array_equal(value, expected, err_msg=expected.path)


@pytest.mark.slow
def test_train_and_eval_leaves_what_it_promises(pattern, tmp_path, capsys):
    assert train.main(_arguments(pattern, tmp_path, 'train_and_eval')) == 0
    run = tmp_path / 'toy_cityscapes'
    assert {'ckpt-0.index', 'ckpt-2.index', 'checkpoint', 'evaluation.json'} <= {
        p.name for p in run.iterdir()
    }
    evaluation = json.loads((run / 'evaluation.json').read_text())
    assert evaluation['step'] == 2
    assert set(evaluation['pq']) == {'all', 'things', 'stuff'}
    assert json.loads((run / 'best/best.json').read_text()) == evaluation
    assert checkpoints.global_step(run / 'best') == 2
    assert {'semantic', 'center', 'regression', 'total'} == set(evaluation['losses'])
    tags = set()
    for file in run.glob('*/events*'):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {value.tag for value in event.summary.value}
    assert {'losses/train_total_loss', 'learning_rate', 'steps_per_second', 'evaluation/iou/IoU'} <= tags
    assert {f'evaluation/pq/{name}' for name in ('PQ', 'SQ', 'RQ', 'TP', 'FN', 'FP')} <= tags
    assert 'step 2: PQ' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('moment', ['before', 'within'])
def test_the_best_weights_outlive_a_stop(pattern, tmp_path, monkeypatch, moment):
    """A run that stopped before its best weights were kept, or before they got their evaluation."""

    def stop(run, evaluation):
        if moment == 'within':
            run._best.save(checkpoint_number=run.step)
        raise KeyboardInterrupt

    arguments = _arguments(pattern, tmp_path, 'train_and_eval')
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, 'save_best', stop)
        with pytest.raises(KeyboardInterrupt):
            train.main(arguments)
    run = tmp_path / 'toy_cityscapes'
    assert not (run / 'best/best.json').exists()
    assert train.main(arguments) == 0
    assert json.loads((run / 'best/best.json').read_text())['step'] == 2
    assert checkpoints.global_step(run / 'best') == 2
    # Once they are kept, nothing is left to do.
    monkeypatch.setattr(train, '_evaluate', lambda *_: pytest.fail('evaluated again'))
    assert train.main(arguments) == 0


def test_evaluations_are_due_at_multiples_and_at_the_end():
    steps = [0]
    while steps[-1] < 10:
        steps.append(train.next_evaluation(steps[-1], 10, 4))
    assert steps == [0, 4, 8, 10]
    assert train.next_evaluation(5, 10, 4) == 8


def test_the_best_evaluation_has_the_highest_quality():
    nothing = results.Result('e', 1, *[results.NOTHING] * 3, results.ClassCounts(), None, {})
    low, high = (
        dataclasses.replace(nothing, pq=results.Groups(value, None, None), miou=-value)
        for value in (10.0, 20.0)
    )
    assert train.is_better(low, None)
    assert train.is_better(high, low)
    assert not train.is_better(low, high)
    assert not train.is_better(high, high)


@pytest.mark.parametrize(
    ('name', 'message'), [('', 'is empty'), ('../evil', 'leads out of'), ('/evil', 'out of')]
)
def test_runs_stay_in_their_folder(pattern, tmp_path, capsys, name, message):
    assert train.main(_arguments(pattern, tmp_path, 'eval', f'experiment_name={name}')) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('job', 'option', 'message'),
    [
        (train, '--model_dir', 'is a file'),
        (export, '--output', 'exists'),
        (oracles, '--output', 'is no folder'),
    ],
)
def test_places_that_cannot_be_written_are_told_before_the_work(
    pattern, tmp_path, capsys, job, option, message
):
    file = tmp_path / 'file'
    file.write_bytes(b'')
    place = str(file / 'o.json') if job is oracles else str(file)
    arguments = ['--config', str(experiments.CONFIG), option, place]
    arguments += [f'--set={field}' for field in experiments.overrides(pattern, 2)]
    assert job.main(arguments if job is train else [*arguments, '--checkpoint', 'nowhere']) == 2
    assert message in capsys.readouterr().err


def test_evaluation_needs_a_checkpoint(pattern, tmp_path, capsys):
    files = 'evaluator_options.save_raw_predictions=true'
    assert train.main(_arguments(pattern, tmp_path, 'eval', files)) == 2
    error = capsys.readouterr().err
    assert 'holds no checkpoint; train first' in error
    assert (
        'note: evaluator_options.save_raw_predictions: prediction files are written by panpipe predict'
        in error
    )


@pytest.mark.parametrize('mode', ['eval', pytest.param('continuous_eval', marks=pytest.mark.slow)])
def test_evaluation_needs_a_whole_network(pattern, tmp_path, capsys, mode):
    """Not the encoder alone, beside which all weights would be random."""
    folder = tmp_path / 'toy_cityscapes'
    encoder = checkpoints.tree(build.network(experiments.load('unused')))['encoder']
    tf.train.CheckpointManager(tf.train.Checkpoint(encoder=encoder), str(folder), 1).save()
    timeout = 'evaluator_options.continuous_eval_timeout=1'
    assert train.main(_arguments(pattern, tmp_path, mode, timeout)) == 2
    assert 'or of an encoder alone?' in capsys.readouterr().err
    assert not (folder / 'evaluation.json').exists()


def test_a_gpu_that_is_not_there_is_an_error(pattern, tmp_path, capsys):
    if tf.config.list_physical_devices('GPU'):
        pytest.skip('this machine has a GPU')
    assert train.main([*_arguments(pattern, tmp_path, 'train'), '--devices', 'gpu']) == 2
    assert 'TensorFlow sees no GPU here' in capsys.readouterr().err


@pytest.mark.slow
def test_divergence_stops_with_step_and_loss(pattern, tmp_path, capsys):
    fields = (
        'trainer_options.solver_options.base_learning_rate=1e30',
        'trainer_options.solver_options.warmup_steps=0',
    )
    assert train.main(_arguments(pattern, tmp_path, 'train', *fields, steps=4)) == 1
    error = capsys.readouterr().err
    assert 'loss is nan at step' in error
    assert 'lower base_learning_rate' in error


def test_gradients_are_clipped_to_the_norm():
    trained = train_step.Trainer.__new__(train_step.Trainer)
    trained.clip_norm = 1.0
    clipped = trained._clip([tf.constant([3.0]), tf.constant([4.0])])
    np.testing.assert_allclose(clipped, [[0.6], [0.8]], rtol=1e-6)
    trained.clip_norm = 10.0
    np.testing.assert_allclose(trained._clip([tf.constant([3.0])]), [[3.0]], rtol=1e-6)


@pytest.mark.slow
def test_own_options_work_together(pattern, tmp_path):
    """Parts of a batch, averages and bfloat16: trained, evaluated again from the checkpoint, exported."""
    options = (
        'trainer_options.gradient_accumulation_steps=2',
        'trainer_options.mixed_precision=bfloat16',
        'trainer_options.solver_options.ema_momentum=0.9',
    )
    assert train.main(_arguments(pattern, tmp_path, 'train_and_eval', *options)) == 0
    run = tmp_path / 'toy_cityscapes'
    first = json.loads((run / 'evaluation.json').read_text())
    assert train.main(_arguments(pattern, tmp_path, 'eval', *options)) == 0
    again = json.loads((run / 'evaluation.json').read_text())
    # The second evaluation computes in float32.
    assert again['losses'] == pytest.approx(first['losses'], rel=0.05)

    arguments = ['--config', str(experiments.CONFIG), '--checkpoint', str(run / 'best')]
    sets = [f'--set={field}' for field in experiments.overrides(pattern, 2, *options)]
    assert export.main([*arguments, '--output', str(tmp_path / 'exported'), *sets]) == 0


@pytest.mark.slow
def test_a_whole_step_can_be_compiled(pattern, tmp_path):
    """XLA takes the step of MobileNetV3; first losses and changes are those of TensorFlow's kernels."""
    fields = ('trainer_options.solver_options.optimizer=sgd', 'trainer_options.solver_options.warmup_steps=0')
    experiment = experiments.load(pattern, 2, *fields)
    found = {}
    for is_compiled in (False, True):
        run = loop.Training(experiment, run_folder.RunDirectory(str(tmp_path / str(is_compiled)), 'run'))
        for layer in run.network._flatten_layers():
            if layer.name.startswith('dropout'):
                layer.rate = 0.0
        run._trainer.is_compiled_for_cpu &= not is_compiled  # as where there is a TPU
        before = [v.numpy() for v in run.network.trainable_variables]
        losses = tf.function(run._trainer._step, jit_compile=is_compiled)(*next(run._batches))
        after = [v.numpy() for v in run.network.trainable_variables]
        found[is_compiled] = losses, [b - a for a, b in zip(before, after, strict=True)]
    losses, changes = found[False]
    for name, value in losses.items():
        np.testing.assert_allclose(found[True][0][name], value, rtol=1e-4, err_msg=name)
    total = np.sqrt(sum(np.sum(change**2) for change in changes))
    differences = [a - b for a, b in zip(changes, found[True][1], strict=True)]
    assert np.sqrt(sum(np.sum(difference**2) for difference in differences)) < 1e-2 * total
