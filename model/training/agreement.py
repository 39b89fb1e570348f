# SPDX-License-Identifier: Apache-2.0
"""What workers of one training tell each other: the chief's state, whether to stop, that one is gone."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from panpipe.model import errors
from panpipe.model.jobs import workers

# What TensorFlow raises in a worker when it does not reach another one any more.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


def take_over(strategy: tf.distribute.Strategy, variables: Sequence[tf.Variable]) -> None:
    """Gives every worker the chief's values of variables, so that the chief alone has to read them.

    Args:
      strategy: of all workers; each calls this at the same time.
      variables: the same ones in the same order everywhere.
    """
    for dtype in dict.fromkeys(variable.dtype for variable in variables):
        alike = [variable for variable in variables if variable.dtype == dtype]
        # Collectives add up few integer types.
        values = [tf.cast(v.numpy(), tf.int64 if dtype.is_integer else dtype) for v in alike]
        for variable, value in zip(alike, _of_first(strategy, values), strict=True):
            variable.assign(tf.cast(value, dtype))


class Vote:
    """Asks all workers the same question; each asks at the same time."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Takes the strategy of all workers."""
        self._strategy = strategy
        self._traced = tf.function(self._added, autograph=False)

    def is_any(self, flag: bool) -> bool:
        """Returns whether the flag is set on any worker."""
        added = self._traced(tf.constant(float(flag)))
        return float(self._strategy.experimental_local_results(added)[0]) > 0.0

    def gather(self) -> None:
        """Waits until all workers are here."""
        self.is_any(False)

    def _added(self, flag: tf.Tensor) -> tf.Tensor:
        return self._strategy.run(_add, args=(flag,))


def _add(value: tf.Tensor) -> tf.Tensor:
    # An argument is on no device, and TensorFlow asks where the sum has to go.
    placed = tf.identity(value)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed)


@contextlib.contextmanager
def missing_told(cluster: workers.Cluster | None) -> Iterator[None]:
    """Turns what TensorFlow raises when another worker is gone into one line.

    Raises:
      errors.JobError: another worker is gone.
    """
    try:
        yield
    except _LOST as error:
        if cluster is None:
            raise
        raise errors.JobError(
            f'{cluster} lost another worker ({_reason(error)}); start all workers again: they go on from the '
            'newest checkpoint'
        ) from error


def _reason(error: tf.errors.OpError) -> str:
    return str(error.message).strip().splitlines()[0][:160] if error.message else type(error).__name__


def _of_first(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> list[np.ndarray]:
    """Returns the values of the first replica."""

    def chosen() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        kept = [tf.where(is_first, value, tf.zeros_like(value)) for value in values]
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, kept))

    found = tf.function(lambda: strategy.run(chosen), autograph=False)()
    return [strategy.experimental_local_results(value)[0].numpy() for value in found]
