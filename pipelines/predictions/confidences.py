# SPDX-License-Identifier: Apache-2.0
"""How sure a model was of the things of one image, read back from its instance files."""

import numpy as np

from panpipe.model import errors
from panpipe.pipelines.predictions import prediction_files


def read(found: prediction_files.Predictions, name: str, panoptic: np.ndarray) -> dict[int, float]:
    """Returns the score of each thing of a panoptic map, int32 [height, width], by its id.

    A thing that the instance files do not list has none, and nothing has where there are no such files.

    Args:
      found: the folder.
      name: of the image, as `found.names` has it.
      panoptic: from `found.panoptic(name)`.

    Raises:
      errors.InputError: the instance files are damaged.
    """
    annotation = found.annotations[name]
    image_id = annotation.image_id if annotation else name
    scores: dict[int, float] = {}
    try:
        for mask, score in found.form.read_things(found.folder, name, image_id):
            ids, counts = np.unique(panoptic[mask], return_counts=True)
            if len(ids):
                scores[int(ids[counts.argmax()])] = score
    except errors.InputError:
        raise
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise errors.InputError(
            f'the instance files of {name} in {found.folder} are damaged ({error}); run `panpipe validate`'
        ) from error
    return scores
