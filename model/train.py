# SPDX-License-Identifier: Apache-2.0
"""Trains a network, evaluates it, or both in turn. A run that stopped goes on from its newest checkpoint."""

import argparse
import contextlib
import functools
import sys
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from panpipe.model import build, checkpoints, config, datasets, errors, inference, labels
from panpipe.model.inputs import pipeline
from panpipe.model.jobs import command_line, outputs
from panpipe.model.metrics import results
from panpipe.model.storage import addresses, lock, mirror
from panpipe.model.training import (
    agreement,
    averages,
    evaluator,
    loop,
    run_folder,
    slot_watch,
    snapshots,
    solver,
    strategies,
    tpu,
)

_EXAMPLES = (
    'panpipe train --config resnet50_os32.textproto --model_dir runs',
    'panpipe train --config resnet50_os32.textproto --model_dir runs --mode eval',
    'panpipe train --config c.textproto --model_dir runs --set train_dataset_options.batch_size=8',
    'panpipe train --config c.textproto --model_dir gs://bucket/runs --strategy tpu',
    'TF_CONFIG=... panpipe train --config c.textproto --model_dir gs://bucket/runs --strategy multi_worker',
)


def learning_rate(solver_options: config.SolverOptions) -> Callable[[int], float]:
    """Makes the function from a step (0 is the first) to its learning rate."""
    schedule = solver.schedule(solver_options)
    return lambda step: float(schedule(step))


def parser() -> argparse.ArgumentParser:
    """Makes the job's argument parser."""
    made = command_line.parser('train', __doc__ or '', _EXAMPLES)
    command_line.add_configuration(made)
    made.add_argument(
        '--model_dir', required=True, help='folder of runs; this one is MODEL_DIR/EXPERIMENT_NAME'
    )
    made.add_argument(
        '--mode', choices=_MODES, default='train_and_eval', help='what to do (default: %(default)s)'
    )
    made.add_argument(
        '--strategy',
        '--devices',
        choices=strategies.NAMES,
        default='auto',
        help='what to train on; auto: the machines that TF_CONFIG or a cluster names, else all GPUs, else '
        'the CPU (--devices is its older name)',
    )
    made.add_argument(
        '--tpu', default='', help='which TPU: local (the default) on a TPU VM, or the name of a TPU node'
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    return command_line.run('train', functools.partial(_run, parser().parse_args(argv)))


def _run(arguments: argparse.Namespace) -> None:
    experiment = config.load(arguments.config, arguments.set, arguments.model_dir)
    place = _place(arguments, experiment)
    with agreement.missing_told(place.cluster):
        if place.is_chief:
            _run_chief(arguments, experiment, place)
        else:
            name = experiment.experiment_name
            _MODES[arguments.mode](experiment, run_folder.Onlooker(arguments.model_dir, name), place)
        if place.cluster:
            # Who left while others are still at work would be missed.
            agreement.Vote(place.strategy).gather()


def _run_chief(arguments: argparse.Namespace, experiment: config.Experiment, place: strategies.Place) -> None:
    outputs.check_folder('--model_dir', arguments.model_dir)
    for line in (*config.advice(experiment), *_unserved(experiment.evaluator_options)):
        print(f'panpipe train: note: {line}', file=sys.stderr)
    with mirror.served(arguments.model_dir, experiment.experiment_name) as model_dir:
        directory = run_folder.RunDirectory(
            model_dir, experiment.experiment_name, experiment.trainer_options.num_checkpoints_to_keep
        )
        _check_dataset(experiment, directory)
        with _locked(arguments, experiment.experiment_name), directory.cleaned():
            _MODES[arguments.mode](experiment, directory, place)


def _place(arguments: argparse.Namespace, experiment: config.Experiment) -> strategies.Place:
    """Starts what is trained on."""
    name = 'tpu' if arguments.tpu else arguments.strategy
    if arguments.strategy not in ('auto', name):
        raise errors.InputError(
            f'--tpu {arguments.tpu} and --strategy {arguments.strategy} exclude each other; leave one out'
        )
    place = strategies.start(name, arguments.tpu or 'local', trains=arguments.mode in _TRAINING)
    if name == 'tpu' and not experiment.trainer_options.mixed_precision:
        print(
            'panpipe train: note: a TPU is made for trainer_options.mixed_precision=bfloat16', file=sys.stderr
        )
    return place


def _locked(arguments: argparse.Namespace, name: str) -> contextlib.AbstractContextManager[None]:
    """Locks the folder of a run where weights are trained; evaluation may look on meanwhile."""
    if arguments.mode not in _TRAINING:
        return contextlib.nullcontext()
    return lock.held(lock.within(addresses.join(arguments.model_dir, name)), 'train')


def _check_dataset(experiment: config.Experiment, directory: run_folder.RunDirectory) -> None:
    for section in ('train_dataset_options', 'eval_dataset_options'):
        name = getattr(experiment, section).dataset
        if name:
            run_folder.check_dataset(directory.path, datasets.find(name), section)


def _unserved(options: config.EvaluatorOptions) -> list[str]:
    """Notes DeepLab2 fields that have no effect here, and what replaces them."""
    if not options.save_raw_predictions:
        return []
    return ['evaluator_options.save_raw_predictions: prediction files are written by panpipe predict']


def _training(
    experiment: config.Experiment, directory: run_folder.RunDirectory, place: strategies.Place
) -> loop.Training:
    made = loop.Training(experiment, directory, place)
    directory.keep_dataset(datasets.find(experiment.train_dataset_options.dataset))
    return made


def _train(
    experiment: config.Experiment, directory: run_folder.RunDirectory, place: strategies.Place
) -> None:
    steps = experiment.trainer_options.solver_options.training_number_of_steps
    _training(experiment, directory, place).until(steps)


def _train_and_eval(
    experiment: config.Experiment, directory: run_folder.RunDirectory, place: strategies.Place
) -> None:
    run = _training(experiment, directory, place)
    steps = experiment.trainer_options.solver_options.training_number_of_steps
    interval = experiment.evaluator_options.eval_interval
    # A run may have stopped between the checkpoint of a step and its evaluation.
    was_due = run.step > 0 and run.step == next_evaluation(run.step - 1, steps, interval)
    if was_due and not _is_evaluated(directory, run.step):
        _evaluate_and_keep(experiment, directory, run)
    while run.step < steps:
        run.until(next_evaluation(run.step, steps, interval))
        _evaluate_and_keep(experiment, directory, run)


def _is_evaluated(directory: run_folder.RunDirectory, step: int) -> bool:
    """Returns whether a step was evaluated and, if it was the best so far, its weights are kept.

    They are not if the run stopped in between, or if the mode `eval` judged the step.
    """
    last = directory.read_result(run_folder.LAST)
    if last is None or (last.step or 0) < step:
        return False
    return not is_better(last, directory.read_result(run_folder.BEST))


def next_evaluation(step: int, last: int, interval: int) -> int:
    """Returns the first step after `step` that is evaluated: a multiple of `interval`, or the last one."""
    return min(last, (step // interval + 1) * interval)


def is_better(found: results.Result, best: results.Result | None) -> bool:
    """Returns whether an evaluation has a higher panoptic quality than the best one; None is for none yet.

    A semantic-only network has none, and the mean intersection over union is compared.
    """
    return best is None or _worth(found) > _worth(best)


def _worth(evaluation: results.Result) -> float:
    worth = evaluation.miou if evaluation.pq.all is None else evaluation.pq.all
    return worth or 0.0


def _evaluate_and_keep(
    experiment: config.Experiment, directory: run_folder.RunDirectory, run: loop.Training
) -> None:
    """Evaluates a training, and keeps its weights if they are the best so far; other workers wait."""
    if not directory.is_written:
        return
    with run.evaluated():
        found = _evaluate(experiment, directory, run.network, run.step)
    if is_better(found, directory.read_result(run_folder.BEST)):
        run.save_best(found)


def _eval(experiment: config.Experiment, directory: run_folder.RunDirectory, place: strategies.Place) -> None:
    del place
    path = directory.latest or experiment.model_options.initial_checkpoint
    if not path:
        raise errors.InputError(
            f'{directory.path} holds no checkpoint; train first, or set model_options.initial_checkpoint'
        )
    _evaluate_checkpoint(experiment, directory, build.network(experiment), path)


def _continuous_eval(
    experiment: config.Experiment, directory: run_folder.RunDirectory, place: strategies.Place
) -> None:
    del place
    seconds = experiment.evaluator_options.continuous_eval_timeout
    network = build.network(experiment)
    for path in tf.train.checkpoints_iterator(directory.path, timeout=None if seconds < 0 else seconds):
        _evaluate_checkpoint(experiment, directory, network, path)


_MODES: dict[str, Callable[[config.Experiment, run_folder.RunDirectory, strategies.Place], None]] = {
    'train': _train,
    'eval': _eval,
    'train_and_eval': _train_and_eval,
    'continuous_eval': _continuous_eval,
}
_TRAINING = ('train', 'train_and_eval')


def _evaluate_checkpoint(
    experiment: config.Experiment, directory: run_folder.RunDirectory, network: keras.Model, path: str
) -> None:
    checkpoint = averages.restore_whole(network, path)
    _evaluate(experiment, directory, network, checkpoints.global_step(checkpoint))


def _evaluate(
    experiment: config.Experiment, directory: run_folder.RunDirectory, network: keras.Model, step: int
) -> results.Result:
    """Evaluates the network, writes TensorBoard summaries and evaluation.json, whose content it returns."""
    if not experiment.eval_dataset_options.decode_groundtruth_label:
        raise errors.InputError(
            'eval_dataset_options.decode_groundtruth_label is false, so there is nothing to evaluate '
            'against; use panpipe predict'
        )
    options = experiment.evaluator_options
    dataset = datasets.find(experiment.eval_dataset_options.dataset)
    slots = slot_watch.SlotWatch(directory, dataset, options.num_vis_samples, step)
    evaluation = evaluator.evaluate(
        pipeline.evaluation_samples(experiment).take(options.eval_steps),
        dataset.labels,
        _predictor(network, dataset.labels, experiment),
        loop.loss_function(experiment, experiment.eval_dataset_options),
        has_instances=experiment.model_options.has_instances,
        watches=(snapshots.Snapshots(directory, dataset, options, step), slots),
    )
    slots.write()
    scalars = evaluation.scalars(all_precisions=options.detailed_ap_metrics)
    directory.scalars('eval', scalars, step)
    found = evaluation.result({category.name: category.id for category in dataset.categories}, step)
    directory.write_result(run_folder.LAST, found)
    print(f'panpipe train: step {step}: {_line(found)}')
    return found


def _line(found: results.Result) -> str:
    """Tells the means in a line, as far as there are any."""
    means = {'PQ': found.pq.all, 'SQ': found.sq.all, 'RQ': found.rq.all}
    means |= {'AP': found.instance.ap if found.instance else None, 'mIoU': found.miou}
    return ', '.join(f'{name} {value:.1f}' for name, value in means.items() if value is not None)


def _predictor(
    network: keras.Model, spec: labels.LabelSpec, experiment: config.Experiment
) -> evaluator.Predict:
    """Makes what evaluation predicts with, compiled where the device wants that."""
    views = inference.Views.from_options(experiment.evaluator_options)
    postprocessing = inference.postprocessing(experiment)
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return tpu.Predictor(network, spec, views, postprocessing)
    return functools.partial(
        inference.predict, network, codec=spec, views=views, postprocessing=postprocessing
    )


if __name__ == '__main__':
    sys.exit(main())
