# SPDX-License-Identifier: Apache-2.0
"""A training in progress: what it trains with, its loop, and what it leaves in the folder of the run."""

import contextlib
import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import build, checkpoints, config, datasets, errors
from panpipe.model.inputs import pipeline, reading
from panpipe.model.jobs import progress
from panpipe.model.losses import mask_transformer, matching, total
from panpipe.model.metrics import results
from panpipe.model.training import (
    agreement,
    averages,
    interruption,
    run_folder,
    snapshots,
    solver,
    strategies,
    train_step,
)


class Training:
    """A training in progress: restored from the run's newest checkpoint, or begun anew."""

    def __init__(
        self,
        experiment: config.Experiment,
        directory: run_folder.RunDirectory,
        place: strategies.Place | None = None,
    ) -> None:
        """Builds the network where `place` says, by default on all GPUs that there are."""
        self._options = experiment.trainer_options
        self._directory = directory
        # Fresh weights and dropout follow from the seed, as the order of the samples does.
        keras.utils.set_random_seed(self._options.seed)
        place = place or strategies.start('auto', trains=False)
        strategy = place.strategy
        strategies.check(experiment, strategy.num_replicas_in_sync)
        with strategy.scope(), _precision(self._options.mixed_precision):
            self.network = build.network(experiment)
            if directory.is_written and not directory.latest:
                _begin(experiment, self.network)
            # Averages start with the weights as they are now.
            self._trainer = _trainer(experiment, self.network, strategy)
        checkpoint = self._trainer.checkpoint()
        self._manager, self._best = directory.manager(checkpoint), directory.best_manager(checkpoint)
        if directory.latest:
            _resume(checkpoint, directory.latest)
        self._vote = agreement.Vote(strategy) if place.cluster else None
        if place.cluster:
            agreement.take_over(strategy, self._trainer.state)
        self._batches: Iterator[Any] = iter(_batches(experiment, strategy, self.step))
        self._spec = datasets.find(experiment.train_dataset_options.dataset)
        self._num_shown = experiment.evaluator_options.num_vis_samples if directory.is_written else 0

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._trainer.global_step.numpy())

    def until(self, last: int) -> None:
        """Trains until step `last`, with summaries after each loop and checkpoints when they are due."""
        if self.step == 0:
            self._manager.save(checkpoint_number=0)
            self._show_first_batch()
        saved = self.step
        rate = solver.schedule(self._options.solver_options)
        steps = self._options.solver_options.training_number_of_steps
        with interruption.Watch() as watch, self._progress(steps) as advance:
            while self.step < last:
                begin, num_steps = time.perf_counter(), min(self._options.steps_per_loop, last - self.step)
                losses = self._loop(num_steps, advance, watch)
                scalars = {f'losses/train_{total.tag(name)}': value for name, value in losses.items()}
                scalars['learning_rate'] = float(rate(self.step))
                scalars['steps_per_second'] = num_steps / (time.perf_counter() - begin)
                self._directory.scalars('train', scalars, self.step)
                if self.step - saved >= self._options.save_checkpoints_steps or self.step == last:
                    saved = self.step
                    self._manager.save(checkpoint_number=saved)
                    if self._is_over(watch):
                        watch.leave(self._gather, saved)

    def evaluated(self) -> contextlib.AbstractContextManager[None]:
        """Lends the network the weights that evaluation is of: the averaged ones, where there are any."""
        return self._trainer.average.applied() if self._trainer.average else contextlib.nullcontext()

    def save_best(self, evaluation: results.Result) -> None:
        """Keeps the weights of this step as the best so far, and what they were found to be worth."""
        self._best.save(checkpoint_number=self.step)
        self._directory.write_result(run_folder.BEST, evaluation)

    def _progress(self, steps: int) -> contextlib.AbstractContextManager[Callable[[int, str], None]]:
        if self._directory.is_written:
            return progress.bar('train', steps, self.step)
        return contextlib.nullcontext(lambda number, note: None)

    def _is_over(self, watch: interruption.Watch) -> bool:
        """Returns whether any worker was told to stop, so that all stop after the same step."""
        return self._vote.is_any(watch.is_over) if self._vote else watch.is_over

    def _save_together(self) -> None:
        self._manager.save(checkpoint_number=self.step)
        self._gather()

    def _gather(self) -> None:
        """Waits until all workers are here: one that leaves would be missed by a chief who still saves."""
        if self._vote:
            self._vote.gather()

    def _show_first_batch(self) -> None:
        """Draws what the first replica is going to learn from first; the batch is trained on all the same."""
        batch = next(self._batches)
        self._batches = itertools.chain([batch], self._batches)
        if self._num_shown > 0:
            images, targets = tf.nest.map_structure(
                lambda each: self._trainer.strategy.experimental_local_results(each)[0], batch
            )
            snapshots.show_batch(self._directory, images, targets, self._spec, self._num_shown)

    def _loop(
        self, num_steps: int, advance: Callable[[int, str], None], watch: interruption.Watch
    ) -> dict[str, float]:
        """Takes some steps; returns the mean of each loss over them. Ends the process early if it has to."""
        sums: dict[str, float] = {}
        for _ in range(num_steps):
            losses = self._take_step()
            _refuse_nan(losses, self.step)
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            advance(self.step, f'loss {losses["total"]:.3f}')
            if self._is_over(watch):
                watch.leave(self._save_together, self.step)
        return {name: value / num_steps for name, value in sums.items()}

    def _take_step(self) -> dict[str, float]:
        *first, last = (next(self._batches) for _ in range(self._options.gradient_accumulation_steps))
        parts = [self._trainer.accumulate(*part) for part in first] + [self._trainer.step(*last)]
        return {name: sum(float(losses[name]) for losses in parts) for name in parts[0]}


def loss_function(experiment: config.Experiment, options: config.DatasetOptions) -> train_step.LossFunction:
    """Makes (heads, targets) → losses [batch] by name, for the classes of a data set."""
    return functools.partial(
        total.loss,
        loss_options=experiment.trainer_options.loss_options,
        labels=datasets.find(options.dataset).labels,
        choices=_choices(experiment.model_options.max_deeplab),
    )


def _choices(options: config.MaXDeepLabOptions | None) -> mask_transformer.Choices:
    """Says what the losses of a mask transformer choose, in the form that the devices need."""
    if options is None:
        return mask_transformer.DEFAULT
    is_compiled = isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
    return mask_transformer.Choices(
        options.instance_discrimination_sample_k,
        options.instance_discrimination_sample_temperature,
        matching.static if is_compiled else matching.exact,
    )


def _batches(
    experiment: config.Experiment, strategy: tf.distribute.Strategy, step: int
) -> tf.distribute.DistributedDataset:
    """Makes the parts of batches that follow after `step`, a share for each replica.

    A batch is of the same samples on any number of replicas and workers.
    """
    batch_size = experiment.train_dataset_options.batch_size
    part = batch_size // experiment.trainer_options.gradient_accumulation_steps

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return pipeline.training_samples(
            experiment,
            batch_size=part // context.num_replicas_in_sync,
            seed=experiment.trainer_options.seed,
            start=step * batch_size,
            share=reading.Share(context.input_pipeline_id, context.num_input_pipelines, part),
        )

    return strategy.distribute_datasets_from_function(of_worker)


def _trainer(
    experiment: config.Experiment, network: keras.Model, strategy: tf.distribute.Strategy
) -> train_step.Trainer:
    solver_options = experiment.trainer_options.solver_options
    return train_step.Trainer(
        network,
        solver.optimizers(solver_options, network),
        loss_function(experiment, experiment.train_dataset_options),
        strategy,
        solver_options.clip_gradient_norm if solver_options.use_gradient_clipping else 0.0,
        tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        ),
        experiment.trainer_options.gradient_accumulation_steps,
        averages.Averages(network, solver_options.ema_momentum) if solver_options.ema_momentum else None,
        experiment.trainer_options.recompute,
        library.available() and _is_on_cpus(strategy),
    )


def _is_on_cpus(strategy: tf.distribute.Strategy) -> bool:
    is_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    return not is_tpu and not tf.config.get_visible_devices('GPU')


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Makes layers that compute in bfloat16, with weights in float32, where asked to."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f'mixed_{name}' if name else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _begin(experiment: config.Experiment, network: keras.Model) -> None:
    """Gives a fresh network the encoder's pretrained weights and those of the initial checkpoint, if any."""
    pretrained = experiment.model_options.backbone.pretrained_weights
    if pretrained:
        print(checkpoints.restore(network, pretrained).table(), file=sys.stderr)
    if experiment.model_options.initial_checkpoint:
        report = checkpoints.restore(
            network, experiment.model_options.initial_checkpoint, skip=_fresh_roots(experiment)
        )
        print(report.table(), file=sys.stderr)


def _resume(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Restores everything from a checkpoint of the same run."""
    try:
        checkpoint.restore(path).assert_consumed()
    except (AssertionError, ValueError) as error:
        raise errors.InputError(
            f'{path} is of another network, optimizer or ema_momentum than this configuration says; go on '
            'with the configuration that it was trained with, or set another experiment_name'
        ) from error
    print(f'panpipe train: going on from {path}', file=sys.stderr)


def _fresh_roots(experiment: config.Experiment) -> tuple[str, ...]:
    """Names the last layers that the initial checkpoint must not fill."""
    options = experiment.model_options
    semantic: tuple[str, ...] = ()
    if not options.restore_semantic_last_layer_from_initial_checkpoint:
        semantic = ('semantic_last_layer', 'transformer_class_head')
    if options.restore_instance_last_layer_from_initial_checkpoint:
        return semantic
    return (*semantic, 'instance_center_head_last_layer', 'instance_regression_head_last_layer')


def _refuse_nan(losses: dict[str, float], step: int) -> None:
    wrong = [f'{name} loss is {value}' for name, value in losses.items() if not math.isfinite(value)]
    if wrong:
        raise errors.JobError(
            f'{", ".join(wrong)} at step {step}; lower base_learning_rate, lengthen warmup_steps or set '
            'use_gradient_clipping. If it stops again at once, the newest checkpoint is broken too: set '
            'initial_checkpoint to an older one, and another experiment_name'
        )
