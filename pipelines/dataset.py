# SPDX-License-Identifier: Apache-2.0
"""Looks at a data set before any work is done on it: its description, and the files of each split.

`check` says what the description states, and with --raw_data of each split: how many images there are, what
is left out, what some of them show (classes, sizes, instances), and what is missing or wrong, with the cure.
Its exit status is 2 where there are faults.
"""

import argparse
import functools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich import console, table

from panpipe.model import datasets, errors, image_files
from panpipe.model.jobs import command_line, progress
from panpipe.model.metrics import data_statistics
from panpipe.model.storage import addresses, reach
from panpipe.pipelines import sources
from panpipe.pipelines.sources import listing, survey

_EXAMPLES = (
    'panpipe dataset check robots.json',
    'panpipe dataset check robots.json --raw_data robots',
    'panpipe dataset check cityscapes_panoptic --raw_data cityscapes --splits val --images 0',
    'panpipe dataset check vistas/config_v2.0.json --raw_data vistas',
)
_SAMPLE = 50
_MOST_FAULTS, _MOST_NAMES = 5, 8
_UNLABELLED = 'test'


class Split(NamedTuple):
    """Holds what was found of a split: its images, and what those that were read show."""

    found: listing.Listing
    seen: survey.Survey


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('dataset', __doc__ or '', _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar='check')
    check = actions.add_parser(
        'check',
        help='say what a description and its raw files hold, and what is wrong',
        epilog=parser.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument('dataset', help='name of a data set, or the .json description of one')
    check.add_argument('--raw_data', metavar='DIR', help='root folder of the raw data set')
    check.add_argument('--splits', help='comma-separated; all that the data set may have unless told')
    check.add_argument(
        '--images',
        type=int,
        default=_SAMPLE,
        metavar='N',
        help='images of a split that are read, evenly spaced (%(default)s); 0: all of them',
    )
    check.add_argument('--semantic_only', action='store_true', help='read semantic-only label maps')
    command_line.add_raw_data(check)
    arguments = parser.parse_args(argv)
    return command_line.run('dataset', functools.partial(_check, arguments))


def _check(arguments: argparse.Namespace) -> None:
    image_files.allow(arguments.max_megapixels)
    if arguments.images < 0:
        raise errors.InputError(f'--images is {arguments.images}; it must not be negative')
    spec = datasets.find(arguments.dataset)
    screen = console.Console(markup=False)
    screen.print(description_table(spec))
    for line in advice(spec):
        print(f'note: {line}')
    if not arguments.raw_data:
        return
    reach.check('--raw_data', arguments.raw_data)
    faults: dict[str, Sequence[str]] = {}
    splits: dict[str, Split] = {}
    for split in _splits(arguments, spec):
        try:
            splits[split] = look(split, spec, arguments)
            faults[split] = splits[split].seen.faults
        except errors.InputError as error:
            is_asked = arguments.splits is not None or split != _UNLABELLED
            faults[split] = [str(error)] if is_asked else []
    if splits:
        screen.print(splits_table(splits, spec))
        for line in findings(splits, spec):
            print(line)
    _refuse(faults)


def _splits(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> list[str]:
    if arguments.splits is None:
        return list(spec.splits)
    splits = [split for split in arguments.splits.split(',') if split]
    wrong = [split for split in splits if split not in spec.splits]
    if wrong or not splits:
        raise errors.InputError(
            f'--splits is {arguments.splits!r}; it must name some of {", ".join(spec.splits)}'
        )
    return splits


def look(split: str, spec: datasets.DatasetSpec, arguments: argparse.Namespace) -> Split:
    """Lists the images of a split, and reads some of them.

    Raises:
      errors.InputError: the split cannot be listed; or with --strict, something is left out.
    """
    found = sources.module(spec).list_images(
        addresses.absolute(arguments.raw_data), split, spec, semantic_only=arguments.semantic_only
    )
    if arguments.strict:
        listing.tell('dataset', split, found, is_strict=True)
    step = math.ceil(len(found) / arguments.images) if arguments.images else 1
    chosen = found[:: max(step, 1)]
    seen = survey.Survey()
    with progress.bar(f'panpipe dataset: {split}', len(chosen)) as advance:
        for number, entry in enumerate(chosen, 1):
            seen += survey.Survey.of(entry, spec)
            advance(number, '')
    return Split(found, seen)


def description_table(spec: datasets.DatasetSpec) -> table.Table:
    """Makes a table of what a description states."""
    grid = table.Table(title=spec.name, title_justify='left', show_header=False)
    things = [category.name for category in spec.categories if category.is_thing]
    stuff = [category.name for category in spec.categories if not category.is_thing]
    codec = spec.labels
    rows = {
        'layout': spec.layout,
        'things': f'{len(things)}: {_some(things)}' if things else 'none',
        'stuff': f'{len(stuff)}: {_some(stuff)}' if stuff else 'none',
        'num_classes': f'{codec.num_classes}',
        'label_divisor': f'{codec.label_divisor}: at most {codec.label_divisor - 1} instances of a class',
        'ignore_label': f'{codec.ignore_label}',
        'predictions': f'of the form {spec.format!r}',
    }
    for name, value in rows.items():
        grid.add_row(name, value)
    return grid


def advice(spec: datasets.DatasetSpec) -> Iterator[str]:
    """Yields what is allowed in a description, but seldom meant."""
    used = {category.id for category in spec.categories}
    free = [i for i in range(spec.labels.num_classes) if i not in used and i != spec.labels.ignore_label]
    if free:
        yield (
            f'num_classes is {spec.labels.num_classes}, but no category has the id {free[0]}: the network '
            'would learn a class that never occurs; number categories without gaps'
        )
    colors: dict[tuple[int, int, int], str] = {}
    for category in spec.categories:
        twin = colors.setdefault(category.color, category.name)
        if twin != category.name and spec.copied.description:
            yield f'{twin} and {category.name} have the same color; pictures cannot tell them apart'
    if spec.official_void in spec.from_official:
        yield (
            f'official_void {spec.official_void} is the official_id of '
            f'{spec.from_official[spec.official_void].name}: maps of classes cannot tell both apart; choose '
            'an official_void that no category has'
        )


def splits_table(splits: Mapping[str, Split], spec: datasets.DatasetSpec) -> table.Table:
    """Makes a table of the splits."""
    grid = table.Table(title='splits', title_justify='left')
    for name in ('split', 'images', 'official', 'left out', 'read', 'classes seen', 'sizes (h x w)', 'void'):
        grid.add_column(name, justify='left' if name == 'split' else 'right')
    grid.add_column('instances, most', justify='right')
    for name, (found, seen) in splits.items():
        official = str(spec.splits[name] or '–')
        left_out = str(sum(map(len, found.left_out.values())))
        classes = f'{len(seen.classes)} of {len(spec.categories)}' if seen.pixels else 'no labels'
        void = f'{seen.void / seen.pixels:.1%}' if seen.pixels else '–'
        figures = (str(len(found)), official, left_out, str(seen.images), classes, _sizes(seen), void)
        grid.add_row(name, *figures, str(seen.most_instances) if seen.pixels else '–')
    return grid


def _sizes(seen: survey.Survey) -> str:
    if not seen.sizes:
        return '–'
    smallest, largest = min(seen.sizes), max(seen.sizes)
    text = f'{smallest[0]} x {smallest[1]}'
    return text if len(seen.sizes) == 1 else f'{text} … {largest[0]} x {largest[1]}, {len(seen.sizes)} kinds'


def findings(splits: Mapping[str, Split], spec: datasets.DatasetSpec) -> Iterator[str]:
    """Yields what is left out, what was not seen, and what that suggests, in lines."""
    for name, (found, seen) in splits.items():
        if found.left_out:
            kinds = '; '.join(f'{kind}: {_some(listed)}' for kind, listed in found.left_out.items())
            yield f'{name}: left out ({kinds}); --strict makes that an error'
        unseen = [category.name for category in spec.categories if category.id not in seen.classes]
        if seen.pixels and unseen:
            where = 'any image' if seen.images == len(found) else f'the {seen.images} images that were read'
            yield f'{name}: not in {where}: {_some(unseen)}'
    largest = [split.seen.largest for split in splits.values()]
    sides = [data_statistics.crop_side(max(values)) for values in zip(*largest, strict=True)]
    yield f'the crop_size that holds every image that was read is {sides[0]} x {sides[1]}'


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(names[:_MOST_NAMES])
    return f'{shown}, … ({len(names)})' if len(names) > _MOST_NAMES else shown


def _refuse(faults: Mapping[str, Sequence[str]]) -> None:
    """Prints faults, and refuses the data set if there are any.

    Raises:
      errors.InputError: there are.
    """
    for split, found in faults.items():
        for fault in found[:_MOST_FAULTS]:
            told = ' '.join(fault.split()).removeprefix(f'{split}: ')
            print(f'panpipe dataset: {split}: {told}', file=sys.stderr)
        if len(found) > _MOST_FAULTS:
            print(f'panpipe dataset: {split}: … and {len(found) - _MOST_FAULTS} more', file=sys.stderr)
    number = sum(map(len, faults.values()))
    if number:
        noun = 'fault' if number == 1 else 'faults'
        raise errors.InputError(f'{number} {noun}, told above; correct the files, then check again')


if __name__ == '__main__':
    sys.exit(main())
