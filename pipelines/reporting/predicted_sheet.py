# SPDX-License-Identifier: Apache-2.0
"""A sheet of one image's prediction: segments with names and scores, and errors where the truth is known."""

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.drawing import error_maps, keys, overlays, panels, pictures, sheet
from panpipe.model.inputs import records
from panpipe.model.storage import files
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import confidences, loading, photos, prediction_files
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.sources import listing

_COLUMNS = 2


def official_name(image_id: str, spec: datasets.DatasetSpec) -> str:
    """Returns what the prediction files call an image."""
    form = registry.FORMATS[spec.format]
    key: str = form.key({'image_id': form.image_id(image_id), 'file_name': f'{image_id}.png'})
    return key


def make(
    found: prediction_files.Predictions, name: str, spec: datasets.DatasetSpec, photos_at: str | None
) -> sheet.Sheet:
    """Lays out the sheet of a prediction.

    Args:
      found: the predictions.
      name: of the image, one of `found.names`.
      spec: the data set.
      photos_at: folder of image files, or glob pattern of records, or None.

    Raises:
      errors.InputError: the prediction is damaged, or the photo is not there or of another size.
    """
    panoptic = found.panoptic(name) if found.has_panoptic else None
    semantic = found.semantic(name, panoptic)
    photo, truth = _photo(photos_at, name, spec) if photos_at else (None, None)
    for given in (photo, truth):
        _check_size(name, semantic, given)
    height, width = semantic.shape
    size = sheet.panel_size(height, width, _COLUMNS)
    drawn: list[panels.Panel] = []
    if photo is not None:
        photo = pictures.scale(photo, size, is_label=False)
        drawn.append(panels.Panel('image', photo))
    classes_alone = prediction_files.as_panoptic(semantic, spec.labels)
    legend = [keys.classes(classes_alone, spec)]
    if panoptic is not None:
        sure = confidences.read(found, name, panoptic)
        drawn += _panoptic(panoptic, photo, sure, spec, size)
        legend = [keys.classes(panoptic, spec), keys.segments(panoptic, sure, spec)]
    classes = pictures.class_colors(pictures.scale(semantic, size, is_label=True), spec)
    drawn.append(panels.Panel('classes', classes))
    if truth is not None and photo is not None:
        if panoptic is None:
            wrong = error_maps.class_errors(truth, classes_alone, spec.labels)
        else:
            wrong = error_maps.errors(truth, panoptic, spec.labels)
        drawn += _errors(photo, truth, wrong, spec)
        legend.append(keys.errors())
    rows = [drawn[i : i + _COLUMNS] for i in range(0, len(drawn), _COLUMNS)]
    title = f'{name}    {semantic.shape[1]} x {semantic.shape[0]} px    {spec.name}'
    return sheet.Sheet(title, rows, legend)


def _check_size(name: str, semantic: np.ndarray, given: np.ndarray | None) -> None:
    if given is not None and given.shape[:2] != semantic.shape:
        raise errors.InputError(
            f'the prediction of {name} is {semantic.shape} (height, width), the photo {given.shape[:2]}; '
            'check --photos'
        )


def _panoptic(
    panoptic: np.ndarray,
    photo: np.ndarray | None,
    sure: dict[int, float],
    spec: datasets.DatasetSpec,
    size: panels.Size,
) -> list[panels.Panel]:
    """Draws the segments: over the photo, if there is one, and in their colours; things with their scores."""
    small = pictures.scale(panoptic, size, is_label=True)
    names = {i: f'{spec.by_id[spec.labels.decode(i)[0]].name} {score:.2f}' for i, score in sure.items()}
    plain = pictures.panoptic_picture(small, spec)
    if photo is None:
        return [panels.Panel('panoptic prediction', overlays.write_names(plain, small, spec, names))]
    over = overlays.picture(photo, small, spec, names)
    return [panels.Panel('prediction over image', over), panels.Panel('panoptic prediction', plain)]


def _errors(
    photo: np.ndarray, truth: np.ndarray, wrong: np.ndarray, spec: datasets.DatasetSpec
) -> list[panels.Panel]:
    """Draws the ground truth, and where the prediction differs."""
    size = photo.shape[0], photo.shape[1]
    wrong = pictures.scale(wrong, size, is_label=True)
    small = pictures.scale(truth, size, is_label=True)
    label = overlays.write_names(pictures.panoptic_picture(small, spec), small, spec)
    return [panels.Panel('ground truth', label), panels.Panel('errors', error_maps.picture(photo, wrong))]


def _photo(place: str, name: str, spec: datasets.DatasetSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """Finds the photo of an image, uint8 [height, width, 3], and its ground truth where that is stored."""
    paths = lookup.match(place)
    if not paths or all(map(listing.is_image, paths)):
        return _photo_file(place, name, spec), None
    for serialized in lookup.read(paths):
        if official_name(records.image_id(serialized), spec) == name:
            record = records.parse(serialized)
            return records.decode_image(record.encoded, record.image_id), record.panoptic
    raise errors.InputError(f'--photos {place} holds no image {name}; name records of that split')


def _photo_file(place: str, name: str, spec: datasets.DatasetSpec) -> np.ndarray:
    """Finds the photo of an image among the image files of a folder: uint8 [height, width, 3]."""
    if not files.exists(place):
        raise errors.InputError(f'--photos {place}: there is no such folder or file; check the path')
    for entry in photos.image_files(place):
        if official_name(entry.image_id, spec) == name:
            return records.decode_image(loading.load(entry).encoded, entry.path)
    raise errors.InputError(f'--photos {place} holds no image {name}; check the folder')
