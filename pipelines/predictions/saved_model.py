# SPDX-License-Identifier: Apache-2.0
"""A SavedModel of `panpipe export` as a model of Beam's RunInference."""

import concurrent.futures
import functools
import gc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.ml.inference import base
from apache_beam.utils import shared

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.jobs import quiet
from panpipe.model.storage import exported
from panpipe.pipelines.formats.maps import Maps
from panpipe.pipelines.running import failures

# So many are decoded, predicted and written side by side, and done again after an interruption.
_BATCH = 4
_DECODERS = 2
_SHOWN = 120  # characters of what TensorFlow says
_FAIL = failures.Policy()


class Image(NamedTuple):
    """Holds an image file.

    Attributes:
      name: without the folder of its split and without extension.
      encoded: its bytes, PNG or JPEG.
      official_id: its id in the annotation file, if that is known.
    """

    name: str
    encoded: bytes
    official_id: str | int | None = None


Predicted = Maps | failures.DeadLetter


class Predictor:
    """Holds a loaded SavedModel. It may live in another process: its methods take and return plain values."""

    def __init__(self, folder: str) -> None:
        """Loads the SavedModel, after the library of compiled ops if the model needs it.

        Raises:
          errors.InputError: the model needs the compiled ops, and they are not built here.
        """
        # TensorFlow takes ten seconds to import, and only the process that holds the model needs it.
        with quiet.start():
            import tensorflow as tf

            from panpipe.model import predictor

            quiet.find_devices()

        noted = exported.read(folder)
        self._tensorflow = tf
        self._has_instances = noted.has_instances
        self._model, self._run = predictor.load(folder, noted), predictor.predict
        gc.freeze()  # what TensorFlow keeps need not be looked through again and again

    def predict(self, images: Sequence[Image], policy: failures.Policy = _FAIL) -> list[Predicted]:
        """Predicts images one by one, because their sizes differ; the next ones are decoded meanwhile.

        Args:
          images: some of any sizes.
          policy: of those that cannot be decoded or predicted.

        Raises:
          errors.InputError: there is such an image, and the policy is to fail.
        """
        with concurrent.futures.ThreadPoolExecutor(_DECODERS) as ahead:
            decoded = [ahead.submit(self._decode, image) for image in images]
            return [
                policy.attempt(image.name, functools.partial(self._predict, image, pixels))
                for image, pixels in zip(images, decoded, strict=True)
            ]

    def _decode(self, image: Image) -> Any:
        """Returns pixels, uint8 [height, width, 3]. TensorFlow's decoders are those of training."""
        tf = self._tensorflow
        try:
            return tf.io.decode_image(image.encoded, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            records.decode_image(image.encoded, f'image {image.name}')  # tells whose fault it is
            raise

    def _predict(self, image: Image, decoded: concurrent.futures.Future[Any]) -> Maps:
        pixels = decoded.result()
        try:
            panoptic, semantic, scores = self._run(self._model, pixels)
        except self._tensorflow.errors.OpError as error:
            raise errors.InputError(_refused(image.name, pixels.shape, error)) from error
        told = scores if self._has_instances else None
        return Maps(image.name, panoptic, semantic, told, image.official_id)


def _refused(name: str, shape: Sequence[int], error: Exception) -> str:
    """Says that the model cannot predict an image, and why: TensorFlow's last line but for nodes' names."""
    lines = [' '.join(line.split()) for line in str(getattr(error, 'message', error)).splitlines()]
    reason = next((line for line in reversed(lines) if line and not line.startswith('[[')), '')
    is_memory = type(error).__name__ == 'ResourceExhaustedError'
    cure = 'make it smaller, or take a larger machine' if is_memory else 'make it larger or less narrow'
    return (
        f'image {name}, {shape[0]} x {shape[1]} pixels (height x width), cannot be predicted '
        f'({reason[:_SHOWN]}); {cure}, or leave it out (--on_error skip)'
    )


class Handler(base.ModelHandler[Image, Predicted, Predictor]):
    """Tells RunInference how to load and call a SavedModel: a few images at a time."""

    def __init__(self, folder: str, policy: failures.Policy, *, is_shared: bool) -> None:
        """Remembers the folder of the SavedModel; workers load it.

        Args:
          folder: of the SavedModel.
          policy: of images that cannot be predicted.
          is_shared: worker processes of a machine use one copy, in a process of its own. Images and maps
            then travel between processes, which takes time.
        """
        super().__init__(min_batch_size=_BATCH, max_batch_size=_BATCH)
        self._folder, self._policy, self._is_shared = folder, policy, is_shared

    def load_model(self) -> Predictor:
        """Loads the model."""
        return Predictor(self._folder)

    def run_inference(
        self, batch: Sequence[Image], model: Predictor, inference_args: Mapping[str, Any] | None = None
    ) -> list[Predicted]:
        """Predicts images."""
        del inference_args
        return model.predict(batch, self._policy)

    def get_num_bytes(self, batch: Sequence[Image]) -> int:
        """Counts the bytes of the image files."""
        return sum(len(image.encoded) for image in batch)

    def get_metrics_namespace(self) -> str:
        """Names the group of Beam's own counters."""
        return 'panpipe'

    def share_model_across_processes(self) -> bool:
        """Returns whether all worker processes of a machine use one copy."""
        return self._is_shared


def release() -> None:
    """Releases the model that Beam keeps in this process until it loads another one.

    TensorFlow complains if it is left to be freed while the interpreter ends.
    """
    shared.Shared().acquire(set)


def dataset(folder: str) -> datasets.DatasetSpec:
    """Finds the data set that the SavedModel was trained on.

    Raises:
      errors.InputError: the folder is no SavedModel of panpipe; or an earlier version wrote it, without the
        description of a custom data set, which is not where it was.
    """
    return datasets.named(exported.read(folder).kept)
