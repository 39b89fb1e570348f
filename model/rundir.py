# SPDX-License-Identifier: Apache-2.0
"""The folder of one training run: checkpoints, TensorBoard summaries, the last evaluation, the best weights.

<model_dir>/<experiment_name>/   checkpoint, ckpt-<step>.*, evaluation.json, train/ and eval/ (event files)
                     …/best/     checkpoint, ckpt-<step>.*, best.json
"""

import functools
import json
import os
from typing import Any

import tensorflow as tf

from panpipe.model import errors

# Files of a run that hold an evaluation: the last one, and that of the best weights.
LAST = 'evaluation.json'
BEST = os.path.join('best', 'best.json')


class RunDirectory:
    """Names and writes the files of a run; the folder may lie on any file system that TensorFlow reads."""

    def __init__(self, model_dir: str, experiment_name: str, checkpoints_to_keep: int = 5) -> None:
        """Raises InputError when the experiment has no name."""
        if not experiment_name:
            raise errors.InputError('experiment_name is empty; set it: --set experiment_name=first')
        self.path = os.path.join(model_dir, experiment_name)
        self._keep = checkpoints_to_keep

    @property
    def latest(self) -> str | None:
        """Prefix of the newest checkpoint, or None."""
        return tf.train.latest_checkpoint(self.path)

    def manager(self, checkpoint: tf.train.Checkpoint) -> tf.train.CheckpointManager:
        """Makes the manager that writes `ckpt-<step>` and keeps the newest ones."""
        return tf.train.CheckpointManager(
            checkpoint, self.path, max_to_keep=self._keep, checkpoint_name='ckpt'
        )

    def best_manager(self, checkpoint: tf.train.Checkpoint) -> tf.train.CheckpointManager:
        """Makes the manager that writes `best/ckpt-<step>` and keeps one."""
        return tf.train.CheckpointManager(
            checkpoint, os.path.join(self.path, os.path.dirname(BEST)), max_to_keep=1, checkpoint_name='ckpt'
        )

    def scalars(self, kind: str, values: dict[str, float], step: int) -> None:
        """Adds TensorBoard scalars to the event file of `kind`, 'train' or 'eval'."""
        with self._writer(kind).as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer(kind).flush()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes a JSON file whole: aside first, then renamed."""
        path = os.path.join(self.path, name)
        tf.io.gfile.makedirs(os.path.dirname(path))
        with tf.io.gfile.GFile(f'{path}.partial', 'w') as file:
            file.write(json.dumps(content, indent=2) + '\n')
        tf.io.gfile.rename(f'{path}.partial', path, overwrite=True)

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads what `write_json` wrote; nothing where there is no such file."""
        path = os.path.join(self.path, name)
        if not tf.io.gfile.exists(path):
            return {}
        with tf.io.gfile.GFile(path) as file:
            return json.loads(file.read())

    @functools.cache  # noqa: B019 (one run directory a process)
    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(os.path.join(self.path, kind))
