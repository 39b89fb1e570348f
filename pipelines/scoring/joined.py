# SPDX-License-Identifier: Apache-2.0
"""The choice of images to judge, joined with their predictions.

Where a split was downloaded in part, its annotations are whole all the same. Then the images that are there
count, and those that were predicted.
"""

import sys
import types
from collections.abc import Callable, Collection, Sequence

from panpipe.model import errors
from panpipe.pipelines.predictions import joining
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
    prediction: panoptic_files.Panoptic,
    form: types.ModuleType,
    there: Collection[documents.ImageId],
) -> list[own_score.Pair]:
    """Joins annotations of the ground truth with those of the predictions, none of which may be missing.

    Args:
      truth: all images of the split.
      prediction: as the model saw them.
      form: module of `formats`.
      there: names and ids of the images that were downloaded; none where nobody knows.

    Raises:
      errors.InputError: an image has no prediction, or an ambiguous one.
    """
    by_name = {
        form.key({'image_id': one.image_id, 'file_name': one.file_name}): one
        for one in prediction.document.annotations
    }
    ids = {name: one.image_id for name, one in by_name.items()}
    if len(ids) < len(prediction.document.annotations):
        raise errors.InputError(
            f'{prediction.document.path} names a file of two images; run `panpipe validate`, which names it'
        )
    index = joining.Index(prediction.document.path, ids, form)
    found = {name: index.find(name, one.image_id) for name, one in truth.by_name.items()}
    chosen = part(
        list(found),
        lambda name: found[name] is not None or name in there or truth.by_name[name].image_id in there,
        bool(there),
    )
    missing = [name for name in chosen if found[name] is None]
    if missing:
        raise errors.InputError(
            f'{prediction.document.path} lacks {len(missing)} of {len(chosen)} images of the ground truth, '
            f'the first is {names.last(missing[0])}; predict all images of the split'
        )
    joined = [(truth.by_name[name], by_name[found[name] or '']) for name in chosen]
    _refuse_missing([one for _, one in joined], prediction)
    return joined


def _refuse_missing(annotations: Sequence[documents.Annotation], prediction: panoptic_files.Panoptic) -> None:
    missing = [one.file_name for one in annotations if prediction.lacks(one)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(annotations)} predicted PNGs are missing in {prediction.folder}, first '
            f'{missing[0]}; predict again'
        )
