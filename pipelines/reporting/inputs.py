# SPDX-License-Identifier: Apache-2.0
"""Files that other jobs wrote, as the report takes them: what it will need is looked for at once."""

import hashlib
import json
import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from panpipe.model import errors

_EVALUATED = ('per_image', 'by_size', 'intervals')  # which the evaluation of train has not
_SCORED = ('evaluator', 'pq', 'miou', 'per_class')
_JOBS = {'evaluation': 'evaluate', 'records': 'convert'}
_NAMES = {'baseline': 'nothing: the network itself', 'instances': 'centers and offsets'}


class Inputs(NamedTuple):
    """Holds their contents, each empty where the file is not given.

    Attributes:
      score: of the score job.
      evaluation: of the evaluate job.
      oracles: what was perfect, PQ by group and mIoU, and what they gained: (value, gain) in per cent.
      statistics: of the statistics job.
      config: text of the experiment.
      data: digest of the records' manifest, and the manifest.
    """

    score: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    oracles: list[dict[str, Any]]
    statistics: Mapping[str, Any]
    config: str
    data: Mapping[str, Any]


def read(paths: Mapping[str, pathlib.Path | None]) -> Inputs:
    """Reads files by the names of the report's options.

    Raises:
      errors.InputError: a file cannot be read, or is of another job; or --run_dir holds no training run.
    """
    _check_run(paths['run_dir'])
    config = paths['config']
    return Inputs(
        _content('score', paths['score'], _score),
        _content('evaluation', paths['evaluation'], _evaluation),
        _content('oracles', paths['oracles'], _oracles) or [],
        _content('statistics', paths['statistics'], _statistics),
        _text('config', config) if config else '',
        _data(paths['records']),
    )


def _check_run(folder: pathlib.Path | None) -> None:
    if folder and not any(folder.glob('train/*tfevents*')) and not any(folder.glob('eval/*tfevents*')):
        raise errors.InputError(
            f'--run_dir {folder} holds no summaries in train/ or eval/; give the folder of a run that '
            '`panpipe train` wrote'
        )


def _content(job: str, path: pathlib.Path | None, check: Callable[[Any], Any]) -> Any:
    """Reads a JSON file, and returns what `check` makes of it, which fails if it is of another job."""
    return {} if path is None else _checked(job, path, _text(job, path), check)


def _checked(job: str, path: pathlib.Path, text: str, check: Callable[[Any], Any]) -> Any:
    """Does the same with the text of the file."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.InputError(
            f'--{job} {path} is not JSON ({error}); give a file that a job wrote'
        ) from error
    if not isinstance(content, dict):
        raise errors.InputError(f'--{job} {path} holds no JSON object; give a file that a job wrote')
    try:
        return check(content)
    except (LookupError, TypeError, AttributeError) as error:
        raise errors.InputError(
            f'--{job} {path} is of another form ({type(error).__name__}: {error}); give the file that '
            f'`panpipe {_JOBS.get(job, job)}` wrote, or leave it out'
        ) from error


def _score(content: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(content, _SCORED)
    for figures in content['per_class'].values():
        figures.get('iou')
    return content


def _evaluation(content: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(content, (*_EVALUATED, *_SCORED))
    _ = [(image['image_id'], image['pq']) for image in content['per_image']]
    _ = content['intervals']['level'], content['intervals']['pq'].keys(), content['intervals']['miou']
    return content


def _oracles(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [
        {
            'name': _NAMES.get(name, name),
            'pairs': [(one['pq'][group], one['gain']['pq'][group]) for group in ('all', 'things', 'stuff')]
            + [(one['miou'], one['gain']['miou'])],
        }
        for name, one in content.items()
        if isinstance(one, dict)
    ]
    if not found:
        raise LookupError('no oracle')
    return found


def _statistics(content: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(content, ('images',))
    _ = [content[side][end] for side in ('height', 'width') for end in ('min', 'max')]
    _ = content['instances']['total'], 100 * content['void_share']
    for line in content['classes']:
        _ = operator.itemgetter('name', 'pixels', 'images', 'instances', 'is_thing')(line)
        _ = 100 * line['share'], 1 * line['weight']
    return content


def _data(records: pathlib.Path | None) -> dict[str, Any]:
    """Names the records that were trained on: a digest of their manifest, and what it says of splits."""
    if records is None:
        return {}
    path = records / 'manifest.json'
    text = _text('records', path)
    manifest = _checked('records', path, text, _manifest)
    return {'digest': hashlib.sha256(text.encode()).hexdigest(), 'manifest': manifest}


def _manifest(content: Mapping[str, Any]) -> Mapping[str, Any]:
    _ = content['dataset'], [told['images'] for told in content['splits'].values()]
    return content


def _require(content: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in content]
    if missing:
        raise LookupError(f'it lacks {", ".join(missing)}')


def _text(option: str, path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise errors.InputError(f'--{option}: cannot read {path}: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise errors.InputError(
            f'--{option} {path} is no text ({error.reason}); give another file'
        ) from error
