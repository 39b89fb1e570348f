# SPDX-License-Identifier: Apache-2.0
"""A gallery of predictions: the worst, the best and some others, each in several pictures."""

import dataclasses
import pathlib
import random
from collections.abc import Mapping, Sequence

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.drawing import error_maps, overlays, pictures
from panpipe.model.inputs import records
from panpipe.model.metrics import tally
from panpipe.pipelines import sources
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import pairs
from panpipe.pipelines.sources import entries

_WIDTH = 640  # pixels: sharp at a third of a wide page, and still small
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Card:
    """Holds the pictures of one image as data URIs.

    Attributes:
      name: image id.
      group: 'worst', 'best' or 'random'.
      pq: panoptic quality of this image in per cent, None where it has no segment.
      layers: data URI by what the picture shows.
      classes: to be seen in the maps.
    """

    name: str
    group: str
    pq: float | None
    layers: Mapping[str, str]
    classes: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Finds images with ground truth and a prediction, and draws them.

    Attributes:
      spec: the data set.
      found: the predictions.
      images: where the images with ground truth are, by the name that predictions have.
    """

    spec: datasets.DatasetSpec
    found: prediction_files.Predictions
    images: Mapping[str, entries.ImageFile]

    @classmethod
    def open(
        cls, root: pathlib.Path, split: str, folder: pathlib.Path, spec: datasets.DatasetSpec
    ) -> 'Gallery':
        """Lists the images of a split of a raw data set that have a prediction.

        Raises:
          errors.InputError: there are none.
        """
        found = prediction_files.read(str(folder), spec)
        named: dict[str, entries.ImageFile] = {}
        for entry in sources.module(spec).list_images(str(root), split, spec):
            name = found.name_of(entry.image_id, entry.official_id)
            if name is not None:
                named[name] = entry
        if not named:
            raise errors.InputError(
                f'no prediction in {folder} is of an image of split {split!r} in {root}; check --split'
            )
        return cls(spec, found, named)

    def judge(self, name: str) -> tally.Tally:
        """Counts one image, as the evaluate job does."""
        return pairs.judge(pairs.from_entry(self.images[name])._replace(name=name), self.found)

    def card(self, name: str, group: str, pq: float | None) -> Card:
        """Draws one image."""
        record = entries.load(self.images[name])
        truth = pairs.labelled(record).panoptic
        drawn = self._draw(records.decode_image(record.encoded, name), truth, self._prediction(name))
        seen = frozenset(
            int(i) for panoptic in drawn[1] for i in np.unique(self.spec.labels.decode(panoptic)[0])
        )
        uris = {title: pictures.data_uri(picture) for title, picture in drawn[0].items()}
        return Card(name, group, pq, uris, seen)

    def _prediction(self, name: str) -> np.ndarray:
        """Reads panoptic ids; without panoptic files each class is one segment."""
        if self.found.has_panoptic:
            return self.found.panoptic(name)
        return prediction_files.as_panoptic(self.found.semantic(name, None), self.spec.labels)

    def _draw(
        self, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
    ) -> tuple[dict[str, np.ndarray], Sequence[np.ndarray]]:
        judge = error_maps.errors if self.found.has_panoptic else error_maps.class_errors
        wrong = judge(truth, prediction, self.spec.labels)
        small = pictures.fit(image, _WIDTH, is_label=False)
        truth, prediction, wrong = (
            pictures.fit(panoptic, _WIDTH, is_label=True) for panoptic in (truth, prediction, wrong)
        )
        layers = {
            'image': small,
            'prediction over image': overlays.picture(small, prediction, self.spec),
            'ground truth': pictures.panoptic_picture(truth, self.spec),
            'prediction': pictures.panoptic_picture(prediction, self.spec),
            'errors': error_maps.picture(small, wrong),
        }
        return layers, (truth, prediction)


def choose(quality: Mapping[str, float | None], number: int) -> list[tuple[str, str]]:
    """Chooses images for a gallery: the worst third, the best third, and random ones.

    Args:
      quality: of each image, None where it has none.
      number: images to choose, or fewer if there are fewer.

    Returns:
      Pairs (image, group) without repetition: the worst, worst first; the best, best first; random ones.
    """
    known = {name: value for name, value in quality.items() if value is not None}
    judged = sorted(known, key=lambda name: (known[name], name))
    share = min(number, len(quality)) // 3
    # The random third takes what the others leave of the number.
    worst, best = judged[:share], judged[::-1][:share]
    chosen = {**dict.fromkeys(worst, 'worst'), **{name: 'best' for name in best if name not in worst}}
    others = sorted(set(quality) - set(chosen))
    drawn = random.Random(_SEED).sample(others, min(number - len(chosen), len(others)))
    return [*chosen.items(), *((name, 'random') for name in sorted(drawn))]
