# SPDX-License-Identifier: Apache-2.0
"""What a network is trained on: processors, GPUs, several machines, or a TPU."""

import dataclasses
import os
import socket
import sys
from collections.abc import Callable

import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model.jobs import workers
from panpipe.model.training import tpu


@dataclasses.dataclass(frozen=True)
class Place:
    """Says where replicas run.

    Attributes:
      strategy: runs them.
      cluster: all workers, where there are several.
    """

    strategy: tf.distribute.Strategy
    cluster: workers.Cluster | None = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what training leaves."""
        return self.cluster is None or self.cluster.is_chief


def start(name: str, tpu_name: str = 'local', *, trains: bool = True) -> Place:
    """Chooses the devices; call it before TensorFlow computes anything.

    Args:
      name: one of `NAMES`.
      tpu_name: as `tpu.strategy` takes it.
      trains: evaluation never runs on several machines.

    Raises:
      errors.InputError: what the name asks for is not here.
    """
    if name == 'multi_worker' and not trains:
        raise errors.InputError('--strategy multi_worker trains only; evaluate on one machine')
    if name == 'auto' and trains:
        found = workers.find(os.environ, socket.gethostname())
        if found is not None:
            return _joined(found)
    return _STARTS[name](tpu_name)


def check(experiment: config.Experiment, num_replicas: int) -> None:
    """Checks that a batch can be dealt out in equal shares, so that losses are those of one replica.

    Raises:
      errors.InputError: the replicas do not divide the part of a batch that is computed at once.
    """
    parts = experiment.trainer_options.gradient_accumulation_steps
    batch_size = experiment.train_dataset_options.batch_size
    if batch_size // parts % num_replicas:
        raise errors.InputError(
            f'train_dataset_options.batch_size is {batch_size}, which {num_replicas} replicas do not divide '
            f'equally in {parts} part(s); set it to a multiple of {parts * num_replicas}'
        )


def _everything(tpu_name: str) -> Place:
    """Chooses all GPUs of this machine if there are several, else the one device that there is."""
    del tpu_name
    several = len(tf.config.get_visible_devices('GPU')) > 1
    return Place(tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy())


def _processors(tpu_name: str) -> Place:
    del tpu_name
    if tf.config.list_physical_devices('GPU'):
        tf.config.set_visible_devices([], 'GPU')
    return Place(tf.distribute.get_strategy())


def _gpus(tpu_name: str) -> Place:
    if not tf.config.list_physical_devices('GPU'):
        raise errors.InputError('--strategy gpu, but TensorFlow sees no GPU here; try panpipe doctor')
    return _everything(tpu_name)


def _mirrored(tpu_name: str) -> Place:
    number = len(tf.config.list_physical_devices('GPU'))
    if number < 2:
        raise errors.InputError(
            f'--strategy mirrored wants two GPUs or more on this machine, but TensorFlow sees {number}; '
            'try panpipe doctor'
        )
    return _everything(tpu_name)


def _several_machines(tpu_name: str) -> Place:
    del tpu_name
    found = workers.find(os.environ, socket.gethostname())
    if found is None:
        raise errors.InputError(
            '--strategy multi_worker, but the environment names no other workers; set TF_CONFIG, or start '
            'it as a JobSet or TrainJob (manifests/)'
        )
    return _joined(found)


def _joined(found: workers.Cluster) -> Place:
    """Joins the other workers, and waits until all are there."""
    print(f'panpipe train: {found}: waits for the others', file=sys.stderr, flush=True)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({'worker': list(found.addresses)}),
        task_type='worker',
        task_id=found.index,
        rpc_layer='grpc',
    )
    try:
        return Place(tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver), found)
    except tf.errors.OpError as error:
        raise errors.JobError(
            f'{found} cannot join the others ({error.message.splitlines()[0]}); its port must be free, and '
            'its address be that of this machine'
        ) from error


def _tpu(tpu_name: str) -> Place:
    strategy = tpu.strategy(tpu_name)
    tf.distribute.experimental_set_strategy(strategy)
    return Place(strategy)


_STARTS: dict[str, Callable[[str], Place]] = {
    'auto': _everything,
    'cpu': _processors,
    'gpu': _gpus,
    'mirrored': _mirrored,
    'multi_worker': _several_machines,
    'tpu': _tpu,
}
NAMES = tuple(_STARTS)
