# SPDX-License-Identifier: Apache-2.0
"""Files that other jobs wrote, as the report takes them: what it will need is looked for at once."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from panpipe.model import errors
from panpipe.model.metrics import data_statistics, oracle_results, result_files, results
from panpipe.model.storage import manifest
from panpipe.pipelines.scoring import evaluation

_NAMES = {'baseline': 'nothing: the network itself', 'instances': 'centers and offsets'}


class Inputs(NamedTuple):
    """Holds their contents, each None or empty where the file is not given.

    Attributes:
      score: of the score job, or of any other that judges.
      evaluation: of the evaluate job.
      oracles: by what was perfect.
      statistics: of the statistics job.
      config: text of the experiment.
      data: digest of the records' manifest, and the manifest.
    """

    score: results.Result | None
    evaluation: evaluation.Figures | None
    oracles: Mapping[str, oracle_results.Oracle]
    statistics: data_statistics.Statistics | None
    config: str
    data: Mapping[str, Any]


def read(paths: Mapping[str, pathlib.Path | None]) -> Inputs:
    """Reads files by the names of the report's options.

    Raises:
      errors.InputError: a file cannot be read, or is of another job; or --run_dir holds no training run.
    """
    _check_run(paths['run_dir'])
    score, config, statistics = paths['score'], paths['config'], paths['statistics']
    return Inputs(
        result_files.read(score, 'score') if score else None,
        _evaluation(paths['evaluation']),
        _oracles(paths['oracles']),
        result_files.read_typed(data_statistics.Statistics, statistics, 'statistics') if statistics else None,
        _text('config', config) if config else '',
        _data(paths['records']),
    )


def _check_run(folder: pathlib.Path | None) -> None:
    if folder and not any(folder.glob('train/*tfevents*')) and not any(folder.glob('eval/*tfevents*')):
        raise errors.InputError(
            f'--run_dir {folder} holds no summaries in train/ or eval/; give the folder of a run that '
            '`panpipe train` wrote'
        )


def _evaluation(path: pathlib.Path | None) -> evaluation.Figures | None:
    """Reads the figures of all images and of each, which the evaluation of train lacks."""
    if path is None:
        return None
    result = result_files.read(path, 'evaluate')
    if result.intervals is None:
        raise errors.InputError(
            f'--evaluation {path} has no intervals; give the file that `panpipe evaluate` wrote, or none'
        )
    return evaluation.Figures(result, tuple(result_files.read_images(path, 'evaluate')))


def _oracles(path: pathlib.Path | None) -> Mapping[str, oracle_results.Oracle]:
    """Reads the oracles, by what was perfect."""
    if path is None:
        return {}
    found = result_files.read_typed(oracle_results.OracleResult, path, 'oracles')
    return {_NAMES.get(name, name): oracle for name, oracle in found.oracles.items()}


def _data(records: pathlib.Path | None) -> dict[str, Any]:
    """Names the records that were trained on: the digest of their manifest, and the manifest."""
    if records is None:
        return {}
    found = manifest.read(records)
    if found is None:
        raise errors.InputError(
            f'--records {records} has no {manifest.NAME}; give a folder that convert wrote'
        )
    return {'digest': found.digest(), 'manifest': found}


def _text(option: str, path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding='utf-8-sig')  # some editors begin with a mark
    except OSError as error:
        raise errors.InputError(f'--{option}: cannot read {path}: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise errors.InputError(
            f'--{option} {path} is no text ({error.reason}); give another file'
        ) from error
