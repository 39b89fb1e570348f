# SPDX-License-Identifier: Apache-2.0
"""The training step of a configuration, for the benchmarks that time one."""

from typing import Any


def trainer(experiment: Any, network: Any, **options: bool) -> Any:
    """Makes a `train_step.Trainer` with the optimizers and losses of an experiment; options are its own."""
    import tensorflow as tf

    from panpipe.model.training import loop, solver, train_step

    return train_step.Trainer(
        network,
        solver.optimizers(experiment.trainer_options.solver_options, network),
        loop.loss_function(experiment, experiment.train_dataset_options),
        tf.distribute.get_strategy(),
        clip_norm=0.0,
        global_step=tf.Variable(0, dtype=tf.int64),
        **options,
    )
