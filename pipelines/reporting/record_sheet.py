# SPDX-License-Identifier: Apache-2.0
"""A sheet of one record: image, labels, targets, augmented crops."""

import dataclasses

import numpy as np

from panpipe.model import config, datasets, errors
from panpipe.model.drawing import keys, overlays, panels, pictures, sheet
from panpipe.model.inputs import records
from panpipe.model.jobs import quiet

_COLUMNS = 3
_SECTION = 'train_dataset_options'


@dataclasses.dataclass(frozen=True)
class Options:
    """Sets how a record is shown.

    Attributes:
      dataset: of the record, or None for that of the configuration.
      experiment_path: of a configuration, or None.
      overrides: of its fields.
      crops: number of augmented crops, which need a configuration.
      seed: of the crops.
    """

    dataset: datasets.DatasetSpec | None
    experiment_path: str | None = None
    overrides: tuple[str, ...] = ()
    crops: int = 0
    seed: int = 0

    def experiment(self) -> config.Experiment:
        """Reads the configuration, or takes the defaults; without need of the names of files.

        Raises:
          errors.InputError: it cannot be read, contradicts itself or the data set, or there is no data set.
        """
        if self.experiment_path is None:
            return config.Experiment()
        unused = (
            'experiment_name=show',
            'model_options.initial_checkpoint=',
            f'{_SECTION}.file_pattern=show',
            'eval_dataset_options.file_pattern=show',
        )
        return config.load(self.experiment_path, (*unused, *self.overrides))


def make(serialized: bytes, options: Options) -> sheet.Sheet:
    """Lays out the sheet of a record.

    Args:
      serialized: the record.
      options: how to show it.

    Raises:
      errors.InputError: the record is damaged or not of the data set, or there is none named.
    """
    experiment = options.experiment()
    spec = _spec(options, experiment)
    record = records.parse(serialized)
    image = records.decode_image(record.encoded, record.image_id)
    title = f'{record.image_id}    {record.width} x {record.height} px    {spec.name}'
    size = sheet.panel_size(record.height, record.width, _COLUMNS)
    photo = panels.Panel('image', pictures.scale(image, size, is_label=False))
    if record.panoptic is None:
        if options.crops:
            raise errors.InputError(f'the record {record.image_id} has no label; --crops needs one')
        return sheet.Sheet(f'{title}    no label', [[photo]], [])
    _check_classes(record, spec)
    rows = _rows(photo, image, record.panoptic, spec, experiment)
    rows += _crops(serialized, spec, experiment, options)
    found = [keys.classes(record.panoptic, spec)]
    if not experiment.model_options.has_masks:
        found += [keys.targets(), keys.uses()]
    return sheet.Sheet(title, rows, found)


def _rows(
    photo: panels.Panel,
    image: np.ndarray,
    panoptic: np.ndarray,
    spec: datasets.DatasetSpec,
    experiment: config.Experiment,
) -> list[list[panels.Panel]]:
    """Draws the label and its targets at the record's own size."""
    # TensorFlow takes seconds to import; listing images does not need it.
    with quiet.start():
        from panpipe.model.inputs import previews

        targets = previews.targets(
            panoptic, spec, experiment.train_dataset_options, experiment.model_options.has_masks
        )
    size = photo.picture.shape[0], photo.picture.shape[1]
    small = pictures.scale(panoptic, size, is_label=True)
    label = overlays.write_names(pictures.panoptic_picture(small, spec), small, spec)
    classes, *others = panels.of_targets(image, targets, spec, size)
    return [[photo, panels.Panel('panoptic label', label), classes], others]


def _crops(
    serialized: bytes, spec: datasets.DatasetSpec, experiment: config.Experiment, options: Options
) -> list[list[panels.Panel]]:
    """Draws augmented crops and their targets, one crop a row."""
    from panpipe.model.inputs import previews

    if not options.crops:
        return []
    rows = []
    known = experiment.train_dataset_options.dataset or spec.name
    named = dataclasses.replace(experiment.train_dataset_options, dataset=known)
    experiment = dataclasses.replace(experiment, train_dataset_options=named)
    for number, crop in enumerate(previews.crops(serialized, experiment, options.crops, options.seed), 1):
        height, width = crop.targets.semantic.shape
        drawn = panels.of_targets(crop.image, crop.targets, spec, size := sheet.panel_size(height, width, 5))
        photo = pictures.scale(crop.image, size, is_label=False)
        rows.append([panels.Panel(f'training crop {number}: {width} x {height} px', photo), *drawn])
    return rows


def _spec(options: Options, experiment: config.Experiment) -> datasets.DatasetSpec:
    named = experiment.train_dataset_options.dataset
    spec = options.dataset or (datasets.find(named) if named else None)
    if spec is None:
        raise errors.InputError('no manifest.json beside the records names their data set; give --dataset')
    difference = datasets.find(named).description.difference(spec.description) if named else ''
    if difference:
        raise errors.InputError(
            f'the records are of {spec.name}, but {options.experiment_path} has {_SECTION}.dataset '
            f'{named}: {difference}; give the configuration of that data set, or '
            f'--set {_SECTION}.dataset={spec.name}'
        )
    return spec


def _check_classes(record: records.Record, spec: datasets.DatasetSpec) -> None:
    found = np.unique(spec.labels.decode(record.panoptic)[0])
    foreign = [int(i) for i in found if i not in spec.by_id and i != spec.labels.ignore_label]
    if foreign:
        raise errors.InputError(
            f'{record.image_id} holds class {foreign[0]}, which {spec.name} lacks; check --dataset'
        )
