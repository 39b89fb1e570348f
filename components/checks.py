# SPDX-License-Identifier: Apache-2.0
"""Checks a run before it costs money: parameters, configuration against data, addresses, image."""

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from panpipe.components import experiment, steps
from panpipe.components.findings import Finding
from panpipe.model import config, datasets, errors
from panpipe.model.experiment.checks import data
from panpipe.model.metrics import data_statistics, result_files
from panpipe.model.storage import addresses, files, reach

MODES = ('train', 'train_and_eval')
# Registry with port, path, and a tag or a digest, as the distribution project's reference grammar has them.
_IMAGE = re.compile(
    r'(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?'
)


def examine(values: Mapping[str, Any], images: Sequence[str], statistics: str = '') -> list[Finding]:
    """Runs all checks that are possible on this machine.

    Args:
      values: parameters of the pipeline; `config` is the text of the experiment.
      images: container images of the steps; none where the run is here.
      statistics: file of the statistics job, '' for none.
    """
    return [
        *(named(image) for image in dict.fromkeys(images)),
        _looked('parameters', lambda: _parameters(values)),
        *_configuration(values, statistics),
        *_places(values),
    ]


def named(image: str) -> Finding:
    """Checks the form of an image's name; only a registry knows whether it exists."""
    if not _IMAGE.fullmatch(image):
        return Finding('image', 'bad', f'{image!r} is no name of an image; write REGISTRY/panpipe:TAG')
    if image == steps.IMAGE:
        return Finding(
            'image', 'bad', f'{image} is in no registry; push it, and give --image REGISTRY/panpipe:TAG'
        )
    tag = image.rpartition('/')[2].partition(':')[2]
    if '@' not in image and tag in ('', 'latest'):
        return Finding('image', 'warn', f'{image} means another image tomorrow; name a tag or a digest')
    return Finding('image', 'ok', image)


def _parameters(values: Mapping[str, Any]) -> str:
    mode, min_pq = values.get('mode', MODES[0]), values.get('min_pq', 0.0)
    if mode not in MODES:
        raise errors.InputError(f'mode is {mode!r}; it is one of {", ".join(MODES)}')
    experiment.devices(values.get('strategy', 'auto'))
    if not 0 <= min_pq <= 100:
        raise errors.InputError(f'min_pq is {min_pq:g}; PQ is in per cent, 0 to 100')
    spec = datasets.find(values.get('dataset', 'cityscapes_panoptic'))
    for name in ('train_split', 'val_split'):
        split = values.get(name, name.partition('_')[0])
        if split not in spec.splits:
            raise errors.InputError(f'{name} is {split!r}; {spec.name} has {", ".join(spec.splits)}')
    return f'data set {spec.name}, mode {mode}'


def _configuration(values: Mapping[str, Any], statistics: str) -> Iterator[Finding]:
    dataset = values.get('dataset', 'cityscapes_panoptic')
    splits = (values.get('train_split', 'train'), values.get('val_split', 'val'))
    overrides = [*experiment.patterns(dataset, 'records', *splits), *values.get('overrides', ())]
    try:
        settings = experiment.read(values['config'], overrides, 'config')
    except errors.InputError as error:
        yield Finding('configuration', 'bad', str(error))
        return
    yield Finding('configuration', 'ok', 'can be read, and its values agree')
    for line in config.advice(settings):
        yield Finding('advice', 'warn', line)
    if statistics:
        yield _looked('data', lambda: _fits(settings, statistics, dataset))


def _fits(settings: config.Experiment, statistics: str, dataset: str) -> str:
    """Compares a configuration with what the records hold.

    Raises:
      errors.InputError: evaluation would cut the largest image, an image has more instances than the panoptic
        codec has numbers, or the records are of another data set; or the file is of another form.
    """
    spec = datasets.find(dataset)
    found = result_files.read_typed(data_statistics.Statistics, statistics, 'statistics')
    kept = datasets.of_copy(found.named)
    if kept is None:
        raise errors.InputError(f'the statistics are of {found.dataset}, which is not known here')
    difference = kept.description.difference(spec.description)
    if difference:
        raise errors.InputError(
            f'the statistics are of {kept.name}, but dataset is {spec.name}: {difference}'
        )
    height, width = found.height.max, found.width.max
    data.check_eval_crop(settings, height, width)
    most, divisor = found.instances.per_image.max, spec.labels.label_divisor
    if most >= divisor:
        raise errors.InputError(f'an image has {most} instances, label_divisor {divisor} tells fewer apart')
    missing = [one.name for one in found.classes if not one.pixels]
    rest = f'; no pixel of {", ".join(missing)}' if missing else ''
    return f'largest image {height} x {width}, at most {most} instances an image{rest}'


def _places(values: Mapping[str, Any]) -> Iterator[Finding]:
    if raw_data := values.get('raw_data', ''):
        yield _place('raw_data', raw_data, _readable)
    if work := values.get('work', ''):
        yield _place('work', work, _writable)


def _place(name: str, address: str, look: Callable[[str], str]) -> Finding:
    """Checks an address; a missing path may be on a volume, and the cluster may have other rights."""
    try:
        addresses.check(name, address)
    except errors.InputError as error:
        return Finding(name, 'bad', str(error))
    if not addresses.is_remote(address):
        if not os.path.isabs(address):
            return Finding(name, 'bad', f'{address} is relative, but every step has a folder of its own')
        if not os.path.isdir(address):
            return Finding(
                name, 'warn', f'{address} is not on this machine; a volume of the steps must have it'
            )
    found = _looked(name, lambda: look(address))
    return found if found.state == 'ok' else Finding(name, 'warn', f'{found.detail} (as seen from here)')


def _readable(address: str) -> str:
    reach.check('raw_data', address)
    if not files.names(address):
        raise errors.InputError(f'{address} is empty; give the root of the raw data set')
    return f'{address} can be listed'


def _writable(address: str) -> str:
    reach.check('work', address)
    probe = addresses.join(address, f'.probe-{uuid.uuid4().hex[:8]}')
    try:
        files.write_whole(probe, b'')
        files.delete([probe])
    except Exception as error:
        raise errors.InputError(f'{address} cannot be written: {files.reason(error)}') from error
    return f'{address} can be written'


def _looked(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, 'ok', look())
    except errors.InputError as error:
        return Finding(subject, 'bad', str(error))
