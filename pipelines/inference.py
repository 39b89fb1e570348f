# SPDX-License-Identifier: Apache-2.0
"""A SavedModel of `panpipe export` as a model of Beam's RunInference."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.ml.inference import base

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.pipelines.formats.maps import Maps

_FACTS = os.path.join('assets.extra', 'panpipe.json')


class Image(NamedTuple):
    """Holds an image file: its name without folder and extension, and its bytes (PNG or JPEG)."""

    name: str
    encoded: bytes


class Predictor:
    """Holds a loaded SavedModel. It may live in another process: its methods take and return plain values."""

    def __init__(self, folder: str) -> None:
        """Loads the SavedModel, after the library of compiled ops if the model needs it.

        Raises:
          errors.InputError: the model needs the compiled ops, and they are not built here.
        """
        # TensorFlow takes ten seconds to import, and only the process that holds the model needs it.
        import tensorflow as tf

        from panpipe.custom_ops import library

        noted = facts(folder)
        if noted['uses_op'] and library.load() is None:
            raise errors.InputError(
                f'{folder} was exported with the compiled merge op, which is not built for TensorFlow '
                f'{tf.__version__} here; run `python -m panpipe.custom_ops.build`, or export with --pure_tf'
            )
        self._tensorflow = tf
        self._has_instances = noted['has_instances']
        self._model = tf.saved_model.load(folder)

    def predict(self, image: Image) -> Maps:
        """Predicts one image.

        Raises:
          errors.InputError: the image cannot be decoded.
        """
        tf = self._tensorflow
        try:
            found = self._model.signatures['serving_default'](image_bytes=tf.constant(image.encoded))
        except tf.errors.InvalidArgumentError:
            records.decode_image(image.encoded, f'image {image.name}')  # tells whose fault it is
            raise
        ids, sure = found['instance_ids'].numpy().tolist(), found['instance_scores'].numpy().tolist()
        scores = dict(zip(ids, sure, strict=True)) if self._has_instances else None
        return Maps(image.name, found['panoptic'].numpy(), found['semantic'].numpy(), scores)


class Handler(base.ModelHandler[Image, Maps, Predictor]):
    """Tells RunInference how to load and call a SavedModel: one copy a machine, one image at a time."""

    def __init__(self, folder: str) -> None:
        """Remembers the folder of the SavedModel; workers load it."""
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._folder = folder

    def load_model(self) -> Predictor:
        """Loads the model."""
        return Predictor(self._folder)

    def run_inference(
        self, batch: Sequence[Image], model: Predictor, inference_args: Mapping[str, Any] | None = None
    ) -> Iterator[Maps]:
        """Predicts the images one by one, because their sizes differ."""
        del inference_args
        return map(model.predict, batch)

    def get_num_bytes(self, batch: Sequence[Image]) -> int:
        """Counts the bytes of the image files."""
        return sum(len(image.encoded) for image in batch)

    def get_metrics_namespace(self) -> str:
        """Names the group of Beam's own counters."""
        return 'panpipe'

    def share_model_across_processes(self) -> bool:
        """Lets all worker processes of a machine use one copy."""
        return True


def facts(folder: str) -> Mapping[str, Any]:
    """Reads what the exporter noted beside a SavedModel: `dataset`, `uses_op` and `has_instances`.

    Raises:
      errors.InputError: the folder is no SavedModel of panpipe.
    """
    if not os.path.isfile(os.path.join(folder, 'saved_model.pb')):
        raise errors.InputError(f'{folder} holds no saved_model.pb; make one with `panpipe export`')
    try:
        with open(os.path.join(folder, _FACTS)) as file:
            noted = json.load(file)
        return {key: noted[key] for key in ('dataset', 'uses_op', 'has_instances')}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.InputError(
            f'{os.path.join(folder, _FACTS)} cannot be read ({type(error).__name__}: {error}); '
            'export the model again with `panpipe export`'
        ) from error


def dataset(folder: str) -> datasets.DatasetSpec:
    """Finds the data set that the SavedModel was trained on."""
    return datasets.find(facts(folder)['dataset'])
