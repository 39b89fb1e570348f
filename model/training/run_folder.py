# SPDX-License-Identifier: Apache-2.0
"""The folder of one training run: checkpoints, TensorBoard summaries, the last evaluation, the best weights.

<model_dir>/<experiment_name>/   dataset.json, checkpoint, ckpt-<step>.*, evaluation.json
                     …/train/    event files, so in …/eval/
                     …/vis/      000000_image.png, … where evaluator_options.save_predictions is set
                     …/slots/    slots.json, 000000.png, … of a mask transformer: what its slots hold
                     …/best/     checkpoint, ckpt-<step>.*, best.json
"""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorboard.plugins.image import metadata  # type: ignore[import-untyped]

from panpipe.model import datasets, errors
from panpipe.model.metrics import result_files, results
from panpipe.model.storage import files, typed_json

# Files of a run that hold an evaluation: the last one, and that of the best weights.
LAST = 'evaluation.json'
BEST = os.path.join('best', 'best.json')
# Its folder of pictures, as DeepLab2 calls it.
PICTURES = 'vis'
_QUALITY = 90  # of JPEG
_COMPRESSION = 3  # of PNG, 0 .. 9: half the time of the default, and hardly larger


class RunDirectory:
    """Names and writes the files of a run; the folder may lie on any file system that TensorFlow reads.

    Attributes:
      is_written: whether anything is read and written there, see `Onlooker`.
      path: the folder.
    """

    is_written = True

    def __init__(self, model_dir: str, experiment_name: str, checkpoints_to_keep: int = 5) -> None:
        """Raises InputError when the experiment has no name, or one that leads out of `model_dir`."""
        if not experiment_name:
            raise errors.InputError('experiment_name is empty; set it: --set experiment_name=first')
        if os.path.isabs(experiment_name) or '..' in experiment_name.split('/'):
            raise errors.InputError(
                f'experiment_name is {experiment_name!r}, which leads out of {model_dir}; name a folder in it'
            )
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

    @contextlib.contextmanager
    def cleaned(self) -> Iterator[None]:
        """Removes what TensorFlow began of a checkpoint where the block fails, as on a full disk."""
        try:
            yield
        except BaseException:
            folders = (self.path, os.path.join(self.path, os.path.dirname(BEST)))
            begun = (os.path.join(one, name) for one in folders for name in files.names(one))
            files.delete(path for path in begun if path.endswith('_temp'))
            raise

    def keep_dataset(self, spec: datasets.DatasetSpec) -> None:
        """Writes down the data set that the run is trained on, unless that is done."""
        path = os.path.join(self.path, datasets.RUN_COPY)
        if not files.exists(path):
            files.write_whole(path, json.dumps(typed_json.encode(spec.copied), indent=2).encode() + b'\n')

    def scalars(self, kind: str, values: dict[str, float], step: int) -> None:
        """Adds TensorBoard scalars to the event file of `kind`, 'train' or 'eval'."""
        with self._writer(kind).as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer(kind).flush()

    def pictures(self, kind: str, shown: Mapping[str, np.ndarray], step: int) -> None:
        """Adds pictures, uint8 [height, width, 3] by tag, to the event file of `kind`, as JPEG.

        `tf.summary.image` would write PNG, which takes six times the room for photos.
        """
        with self._writer(kind).as_default(step=step):
            for tag, picture in shown.items():
                encoded = tf.io.encode_jpeg(picture, quality=_QUALITY, chroma_downsampling=False)
                height, width = (str(side).encode() for side in picture.shape[:2])
                content = tf.stack([width, height, encoded])
                tf.summary.write(tag, content, metadata=metadata.create_summary_metadata(None, None))
        self._writer(kind).flush()

    def write_result(self, name: str, result: results.Result) -> None:
        """Writes an evaluation, whole; `name` is LAST or BEST."""
        result_files.write(os.path.join(self.path, name), result)

    def read_result(self, name: str) -> results.Result | None:
        """Reads what `write_result` wrote; None where there is no such file."""
        path = os.path.join(self.path, name)
        return result_files.read(path, 'train') if files.is_file(path) else None

    @functools.cache  # noqa: B019 (one run directory a process)
    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(os.path.join(self.path, kind))


class Onlooker(RunDirectory):
    """Stands for the folder in workers that are not the chief: nothing is found there, nothing is kept."""

    is_written = False

    @property
    def latest(self) -> str | None:
        """None: what the chief found reaches the other workers through it."""
        return None

    def manager(self, checkpoint: tf.train.Checkpoint) -> tf.train.CheckpointManager:
        """Makes a manager that saves nothing."""
        return _NoManager()

    best_manager = manager

    def keep_dataset(self, spec: datasets.DatasetSpec) -> None:
        """Does nothing."""

    def scalars(self, kind: str, values: dict[str, float], step: int) -> None:
        """Does nothing."""

    def pictures(self, kind: str, shown: Mapping[str, np.ndarray], step: int) -> None:
        """Does nothing."""

    def write_result(self, name: str, result: results.Result) -> None:
        """Does nothing."""

    def read_result(self, name: str) -> results.Result | None:
        """None."""
        return None


class _NoManager:
    def save(self, checkpoint_number: int) -> None:
        """Saves nothing."""


def check_dataset(run: str, spec: datasets.DatasetSpec, section: str) -> None:
    """Compares a data set with that of a run, as far as it is known.

    Args:
      run: the folder of the run, or a checkpoint in it.
      spec: the data set.
      section: of the configuration that names it.

    Raises:
      errors.InputError: the run was trained on another one.
    """
    above = os.path.dirname(run), os.path.dirname(os.path.dirname(run))
    kept = datasets.kept_in(run, *above)
    difference = kept[1].description.difference(spec.description) if kept else ''
    if kept and difference:
        raise errors.InputError(
            f'{kept[0]} was trained on {kept[1].name}, but {section}.dataset is {spec.name}: {difference}; '
            'name the same data set, or choose another experiment_name'
        )


def write_png(path: str, picture: np.ndarray) -> None:
    """Writes uint8 [height, width, 3] or [height, width] as a PNG file, whole, and its folder before."""
    pixels = picture if picture.ndim == 3 else picture[..., None]
    files.write_whole(path, tf.io.encode_png(pixels, compression=_COMPRESSION).numpy())
