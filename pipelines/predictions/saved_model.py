# SPDX-License-Identifier: Apache-2.0
"""A SavedModel of `panpipe export` as a model of Beam's RunInference."""

import concurrent.futures
import gc
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.ml.inference import base
from apache_beam.utils import shared

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.jobs import quiet
from panpipe.model.storage import addresses, cache, files
from panpipe.pipelines.formats.maps import Maps

# So many are decoded, predicted and written side by side, and done again after an interruption.
_BATCH = 4
_DECODERS = 2
_SHOWN = 120  # characters of what TensorFlow says
_FACTS = 'assets.extra/panpipe.json'


class Image(NamedTuple):
    """Holds an image file.

    Attributes:
      name: without the folder of its split and without extension.
      encoded: its bytes, PNG or JPEG.
      official_id: what the annotation file calls it by, if anything tells.
    """

    name: str
    encoded: bytes
    official_id: str | int | None = None


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

            from panpipe.custom_ops import library

            quiet.find_devices()

        noted = facts(folder)
        if noted['uses_op'] and library.load() is None:
            raise errors.InputError(
                f'{folder} was exported with the compiled merge op, which is not built for TensorFlow '
                f'{tf.__version__} here; run `python -m panpipe.custom_ops.build`, or export with --pure_tf'
            )
        self._tensorflow = tf
        self._has_instances = noted['has_instances']
        self._model = tf.saved_model.load(cache.tree('--saved_model', folder))
        gc.freeze()  # what TensorFlow keeps need not be looked through again and again

    def predict(self, images: Sequence[Image]) -> list[Maps]:
        """Predicts images one by one, because their sizes differ; the next ones are decoded meanwhile.

        Raises:
          errors.InputError: an image cannot be decoded.
        """
        with concurrent.futures.ThreadPoolExecutor(_DECODERS) as ahead:
            decoded = ahead.map(self._decode, images)
            return [self._predict(image, pixels) for image, pixels in zip(images, decoded, strict=True)]

    def _decode(self, image: Image) -> Any:
        """Returns pixels, uint8 [height, width, 3]. TensorFlow's decoders are those of training."""
        tf = self._tensorflow
        try:
            return tf.io.decode_image(image.encoded, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            records.decode_image(image.encoded, f'image {image.name}')  # tells whose fault it is
            raise

    def _predict(self, image: Image, pixels: Any) -> Maps:
        try:
            found = self._model.signatures['pixels'](image=pixels)
        except self._tensorflow.errors.OpError as error:
            raise errors.InputError(_refused(image.name, pixels.shape, error)) from error
        ids, sure = found['instance_ids'].numpy().tolist(), found['instance_scores'].numpy().tolist()
        scores = dict(zip(ids, sure, strict=True)) if self._has_instances else None
        maps = found['panoptic'].numpy(), found['semantic'].numpy()
        return Maps(image.name, *maps, scores, image.official_id)


def _refused(name: str, shape: Sequence[int], error: Exception) -> str:
    """Says that the model cannot predict an image, and why: what TensorFlow says, the first line of it."""
    reason = ' '.join(str(getattr(error, 'message', error)).partition('\n')[0].split())
    return (
        f'image {name}, {shape[0]} x {shape[1]} pixels (height x width), cannot be predicted '
        f'({reason[:_SHOWN]}); make it larger or less narrow, or leave it out'
    )


class Handler(base.ModelHandler[Image, Maps, Predictor]):
    """Tells RunInference how to load and call a SavedModel: a few images at a time."""

    def __init__(self, folder: str, *, is_shared: bool) -> None:
        """Remembers the folder of the SavedModel; workers load it.

        Args:
          folder: of the SavedModel.
          is_shared: worker processes of a machine use one copy, in a process of its own. Images and maps
            then travel between processes, which takes time.
        """
        super().__init__(min_batch_size=_BATCH, max_batch_size=_BATCH)
        self._folder, self._is_shared = folder, is_shared

    def load_model(self) -> Predictor:
        """Loads the model."""
        return Predictor(self._folder)

    def run_inference(
        self, batch: Sequence[Image], model: Predictor, inference_args: Mapping[str, Any] | None = None
    ) -> list[Maps]:
        """Predicts images."""
        del inference_args
        return model.predict(batch)

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
    """Lets go of the model that Beam keeps in this process until it is asked for another thing.

    TensorFlow complains if it is left to be freed while the interpreter ends.
    """
    shared.Shared().acquire(set)


def facts(folder: str) -> Mapping[str, Any]:
    """Reads what the exporter noted beside a SavedModel: `dataset`, `uses_op` and `has_instances`.

    Raises:
      errors.InputError: the folder is no SavedModel of panpipe.
    """
    if not files.is_file(addresses.join(folder, 'saved_model.pb')):
        raise errors.InputError(f'{folder} holds no saved_model.pb; make one with `panpipe export`')
    try:
        noted = json.loads(files.read(addresses.join(folder, _FACTS)))
        return {key: noted[key] for key in ('dataset', 'uses_op', 'has_instances')}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.InputError(
            f'{addresses.join(folder, _FACTS)} cannot be read ({type(error).__name__}: {error}); '
            'export the model again with `panpipe export`'
        ) from error


def dataset(folder: str) -> datasets.DatasetSpec:
    """Finds the data set that the SavedModel was trained on."""
    return datasets.find(facts(folder)['dataset'])
