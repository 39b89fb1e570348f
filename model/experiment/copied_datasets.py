# SPDX-License-Identifier: Apache-2.0
"""Finds custom data sets whose description is gone: the folder of a run and records keep copies."""

import dataclasses

from panpipe.model import datasets
from panpipe.model.experiment import schema
from panpipe.model.storage import addresses, files


def settle(experiment: schema.Experiment, run: str) -> schema.Experiment:
    """Names what keeps a copy in place of descriptions that are not where the configuration says.

    Args:
      experiment: as it was read.
      run: folder of a run, or of several, or a checkpoint; empty if there is none.
    """
    runs = [run, addresses.join(run, experiment.experiment_name), *_above(run)] if run else []
    return dataclasses.replace(
        experiment,
        train_dataset_options=_settled(experiment.train_dataset_options, runs),
        eval_dataset_options=_settled(experiment.eval_dataset_options, runs),
    )


def _settled(options: schema.DatasetOptions, runs: list[str]) -> schema.DatasetOptions:
    if not options.dataset.endswith('.json') or files.exists(options.dataset):
        return options
    kept = datasets.kept_in(*runs, *map(addresses.parent, options.file_pattern))
    if kept and addresses.name(kept[1].name) == addresses.name(options.dataset):
        return dataclasses.replace(options, dataset=kept[0])
    return options


def _above(checkpoint: str) -> list[str]:
    """Names the folder of a checkpoint, and that of the run if those are its best weights."""
    return [addresses.parent(checkpoint), addresses.parent(addresses.parent(checkpoint))]
