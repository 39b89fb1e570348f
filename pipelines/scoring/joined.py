# SPDX-License-Identifier: Apache-2.0
"""The choice of images to judge, joined with their predictions.

Where a split was downloaded in part, its annotations are whole all the same. Then the images that are there
count, and those that were predicted.
"""

import sys
from collections.abc import Callable, Collection, Sequence

from panpipe.model import errors
from panpipe.model.storage import addresses
from panpipe.pipelines.formats import layout
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import own_score, panoptic_files
from panpipe.pipelines.sources import documents, names


def part(every: Sequence[str], is_wanted: Callable[[str], bool], has_images: bool) -> list[str]:
    """Chooses the images to judge by their names, and says so where they are not all.

    Args:
      every: images of the ground truth.
      is_wanted: whether an image, or a prediction of it, is there.
      has_images: any image is there; else all count.

    Raises:
      errors.InputError: there is none.
    """
    if not every:
        raise errors.InputError('the ground truth annotates no image; check --ground_truth and --split')
    chosen = [name for name in every if is_wanted(name)] if has_images else list(every)
    if not chosen:
        raise errors.InputError(
            f'none of the {len(every)} images of the ground truth, such as {every[0]}, is there or '
            'predicted; check --ground_truth, --split and --predictions'
        )
    if len(chosen) < len(every):
        print(
            f'panpipe score: judges {len(chosen)} of {len(every)} images of the ground truth: of the others '
            'neither the image is there nor a prediction',
            file=sys.stderr,
        )
    return chosen


def pairs(
    truth: panoptic_files.Panoptic,
    found: prediction_files.Predictions,
    there: Collection[documents.ImageId],
) -> list[own_score.Pair]:
    """Joins annotations of the ground truth with those of the predictions, none of which may be missing.

    Args:
      truth: all images of the split.
      found: the predictions.
      there: names and ids of the images that were downloaded; none where nobody knows.

    Raises:
      errors.InputError: an image has no prediction, or an ambiguous one.
    """
    called = {name: found.name_of(name, one.image_id) for name, one in truth.by_name.items()}
    chosen = part(
        list(called),
        lambda name: called[name] is not None or name in there or truth.by_name[name].image_id in there,
        bool(there),
    )
    missing = [name for name in chosen if called[name] is None]
    if missing:
        raise errors.InputError(
            f'{found.document} lacks {len(missing)} of {len(chosen)} images of the ground truth, the first '
            f'is {names.last(missing[0])}; predict all images of the split'
        )
    joined = [own_score.Pair(truth.by_name[name], called[name] or '') for name in chosen]
    _refuse_missing([pair.name for pair in joined], found)
    return joined


def _refuse_missing(predicted: Sequence[str], found: prediction_files.Predictions) -> None:
    missing = [found.annotation(name).file_name for name in predicted if found.lacks(name)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(predicted)} predicted PNGs are missing in '
            f'{addresses.join(found.folder, layout.PANOPTIC)}, first {missing[0]}; predict again'
        )
