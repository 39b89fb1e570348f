# SPDX-License-Identifier: Apache-2.0
"""The validate job: checks a folder of predictions before it is scored or uploaded.

The folder is what `panpipe predict` writes: panoptic.json with panoptic/*.png, semantic/*.png and
instance/*.txt of Cityscapes, else instances.json; or semantic/*.png alone.
With --images or --ground_truth it also checks that every image is there, at its own size.

With --records it checks files of records instead: against their manifest, and by decoding all they hold.
"""

import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panpipe.model import datasets, errors, image_files
from panpipe.model.jobs import command_line
from panpipe.model.storage import copies
from panpipe.pipelines import sources
from panpipe.pipelines.faults import fault, instance_files, panoptic_json, pngs, record_files
from panpipe.pipelines.formats import layout, registry
from panpipe.pipelines.sources import annotations, entries, listing
from panpipe.pipelines.sources import images as sources_images

_SHOWN = 10
_EXAMPLES = (
    'panpipe validate --format cityscapes --predictions predictions --ground_truth cityscapes --split test',
    'panpipe validate --format coco --predictions predictions --images test2017',
    "panpipe validate --records 'records/train*'",
)
Entries = Mapping[str, Mapping[str, Any]]
Sizes = Mapping[str, pngs.Size]
Ids = Mapping[str, str | int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status: 0 sound, 2 faults found."""
    parser = command_line.parser('validate', __doc__ or '', _EXAMPLES)
    parser.add_argument('--format', choices=registry.FORMATS, help='form of the predictions')
    parser.add_argument('--predictions', help='folder to check')
    parser.add_argument('--records', help='glob patterns of records to check, separated by commas')
    parser.add_argument('--dataset', help='data set of the predictions (default: FORMAT_panoptic)')
    images = parser.add_mutually_exclusive_group()
    images.add_argument('--images', help='folder of the images that should be predicted')
    images.add_argument('--ground_truth', help='root of the raw data set; only its images are used')
    parser.add_argument('--split', default='val', help='split of the raw data set (default: val)')
    command_line.add_raw_data(parser)
    arguments = parser.parse_args(argv)
    if arguments.records:
        return command_line.run('validate', functools.partial(_check_records, arguments))
    if not arguments.format or not arguments.predictions:
        parser.error('give --format and --predictions, or --records')
    inputs = ('predictions', 'images', 'ground_truth')
    return command_line.run('validate', functools.partial(copies.run, _run, arguments, inputs))


def _check_records(arguments: argparse.Namespace) -> None:
    if arguments.format or arguments.predictions:
        raise errors.InputError('--records stands alone; leave --format and --predictions out')
    image_files.allow(arguments.max_megapixels)
    _tell(arguments.records, *record_files.check(arguments.records))


def _run(arguments: argparse.Namespace) -> None:
    spec = datasets.find(arguments.dataset or f'{arguments.format}_panoptic')
    if spec.format != arguments.format:
        raise errors.InputError(f'{spec.name} has --format {spec.format}, not {arguments.format}')
    if not os.path.isdir(arguments.predictions):
        raise errors.InputError(f'the folder --predictions {arguments.predictions} does not exist')
    image_files.allow(arguments.max_megapixels)
    images = _images(arguments, spec)
    if images is not None:
        split = arguments.split if arguments.ground_truth else arguments.images
        listing.tell('validate', split, images, is_strict=arguments.strict)
    sizes, ids = (None, {}) if images is None else _expected(images, registry.FORMATS[arguments.format])
    _tell(arguments.predictions, *check(arguments.predictions, spec, sizes, ids))


def _tell(what: str, found: Sequence[fault.Fault], summary: str) -> None:
    for one in found[:_SHOWN]:
        print(' '.join(str(one).split()), file=sys.stderr)
    if found:
        raise errors.InputError(
            f'{what} has {len(found)} faults'
            + (f', the first {_SHOWN} are above; cure them' if len(found) > _SHOWN else '; cure them')
        )
    print(f'panpipe validate: {summary}')


def check(
    folder: str, spec: datasets.DatasetSpec, sizes: Sizes | None, ids: Ids | None = None
) -> tuple[list[fault.Fault], str]:
    """Looks at all files of a folder of predictions.

    Args:
      folder: of the predictions.
      spec: the data set.
      sizes: (height, width) of each image that must be predicted, or None where these are not known.
      ids: of those images, as far as an annotation file states them.

    Returns:
      The faults, and a line that sums up what there is.
    """
    semantic = pathlib.Path(folder, layout.SEMANTIC)
    if [path.name for path in pathlib.Path(folder).iterdir() if path.name != layout.ARCHIVES] == [
        layout.SEMANTIC
    ]:
        return _classes_alone(folder, spec, sizes)
    content, found = _read(folder)
    if found:
        return found, ''
    named, found = _document(content['annotations'], spec, sizes, ids or {})
    is_sound = not found
    found += _panoptic(folder, named, sizes or {})
    if semantic.is_dir():
        found += _semantic(folder, sizes or {}, named, spec)
    files, wrong = _instances(folder, named if is_sound else {}, sizes or {}, spec)
    found += wrong
    if is_sound and not wrong:  # otherwise files may seem strange only because they are listed wrongly
        wanted = _wanted(named, named if semantic.is_dir() else ())
        found += pngs.strangers(folder, wanted | files)
    return found, _summary(folder, named, sizes, semantic.is_dir(), bool(files))


def _classes_alone(
    folder: str, spec: datasets.DatasetSpec, sizes: Sizes | None
) -> tuple[list[fault.Fault], str]:
    """Checks the files of a semantic-only model."""
    there = {path.stem for path in pathlib.Path(folder, layout.SEMANTIC).glob('*.png')}
    found = _semantic(folder, sizes or {}, sizes or sorted(there), spec)
    names = [os.path.join(layout.SEMANTIC, f'{name}.png') for name in (there if sizes is None else sizes)]
    found += pngs.strangers(folder, names)
    told = '' if sizes else ', compared with no images'
    return found, f'{folder} is sound: {len(there)} label-id PNGs{told}'


def _instances(
    folder: str, named: Entries, sizes: Sizes, spec: datasets.DatasetSpec
) -> tuple[set[str], list[fault.Fault]]:
    """Checks the instance files, if there are any; returns their paths and the faults."""
    if not named:  # the document lists images wrongly, by which the instances are joined to them
        return set(), []
    if os.path.isdir(os.path.join(folder, layout.INSTANCE)):

        def look(name: str) -> tuple[set[str], list[fault.Fault]]:
            return instance_files.text(folder, name, sizes.get(name), spec)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            looked = list(pool.map(look, named))
        return {path for files, _ in looked for path in files}, [
            fault for _, wrong in looked for fault in wrong
        ]
    if not os.path.exists(os.path.join(folder, layout.INSTANCES)):
        return set(), []
    ids = {name: entry['image_id'] for name, entry in named.items()}
    known = {ids[name]: size for name, size in sizes.items() if name in ids}
    return {layout.INSTANCES}, instance_files.document(folder, ids.values(), known, spec)


def _document(
    listed: Sequence[Any], spec: datasets.DatasetSpec, sizes: Sizes | None, ids: Ids
) -> tuple[dict[str, Mapping[str, Any]], list[fault.Fault]]:
    """Checks the annotations; returns by image those that can be read, and the faults."""
    reader = registry.FORMATS[spec.format]
    found = [fault for index, entry in enumerate(listed) for fault in panoptic_json.annotation(index, entry)]
    sound = [entry for index, entry in enumerate(listed) if not panoptic_json.annotation(index, entry)]
    by_id = {number: name for name, number in ids.items()}
    names = [by_id.get(entry['image_id']) or reader.key(entry) for entry in sound]
    named = dict(zip(names, sound, strict=True))
    found += [*panoptic_json.images(names, sizes if not found else None), *panoptic_json.content(sound)]
    unknown = panoptic_json.categories(named, spec)
    found += [*panoptic_json.image_ids(sound), *panoptic_json.file_names(named), *unknown]
    for name, entry in named.items():
        found += panoptic_json.image_id(entry, name, ids.get(name), reader)
        found += panoptic_json.segments(entry, name)
        # If the categories are wrong, nobody knows which classes are stuff.
        found += panoptic_json.stuff(entry, name, spec) if not unknown else []
    return named, found


def _read(folder: str) -> tuple[Any, list[fault.Fault]]:
    path = pathlib.Path(folder, layout.DOCUMENT)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        cure = 'run `panpipe predict`, or check --predictions'
        return None, [fault.Fault(layout.DOCUMENT, f'cannot be read ({error.strerror})', cure)]
    except (ValueError, RecursionError) as error:
        return None, [fault.Fault(layout.DOCUMENT, f'is not JSON ({error})', 'write it again')]
    return content, panoptic_json.document(content)


def _panoptic(folder: str, named: Entries, sizes: Sizes) -> list[fault.Fault]:
    def look(name: str) -> list[fault.Fault]:
        where = os.path.join(layout.PANOPTIC, named[name]['file_name'])
        return pngs.panoptic(os.path.join(folder, where), where, named[name], sizes.get(name))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [fault for found in pool.map(look, named) for fault in found]


def _semantic(
    folder: str, sizes: Sizes, names: Iterable[str], spec: datasets.DatasetSpec
) -> list[fault.Fault]:
    def look(name: str) -> tuple[str, set[int], list[fault.Fault]]:
        where = os.path.join(layout.SEMANTIC, f'{name}.png')
        return where, *pngs.semantic(os.path.join(folder, where), where, sizes.get(name), spec)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(pool.map(look, dict.fromkeys(names)))
    found = [fault for _, _, mine in looked for fault in mine]
    return found + pngs.label_ids({where: ids for where, ids, _ in looked}, spec)


def _wanted(named: Entries, semantic: Iterable[str]) -> set[str]:
    return {
        layout.DOCUMENT,
        *(os.path.normpath(os.path.join(layout.PANOPTIC, entry['file_name'])) for entry in named.values()),
        *(os.path.join(layout.SEMANTIC, f'{name}.png') for name in semantic),
    }


def _summary(
    folder: str, named: Entries, sizes: Sizes | None, has_semantic: bool, has_instances: bool
) -> str:
    segments = sum(len(entry['segments_info']) for entry in named.values())
    empty = sum(not entry['segments_info'] for entry in named.values())
    parts = [f'{folder} is sound: {len(named)} images, {segments} segments']
    parts += [f'{empty} images altogether void'] if empty else []
    parts += ['label-id PNGs too'] if has_semantic else []
    parts += ['instance files too'] if has_instances else []
    parts += ['compared with no images'] if sizes is None else []
    return ', '.join(parts)


def _images(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> listing.Listing | None:
    """Lists the images that must be predicted, if the arguments name them."""
    if arguments.ground_truth:
        listed: listing.Listing = sources.module(spec).list_images(
            arguments.ground_truth, arguments.split, spec, with_labels=False
        )
        return listed
    if not arguments.images:
        return None
    found = annotations.images_below(arguments.images)
    if not found:
        raise errors.InputError(f'--images {arguments.images} holds no image file')
    return found


def _expected(
    images: Sequence[entries.ImageFile], reader: types.ModuleType
) -> tuple[dict[str, pngs.Size], dict[str, str | int]]:
    """Returns (height, width) and official ids, by the names that the format knows images by."""
    sizes, ids = {}, {}
    for image in images:
        own = {'image_id': reader.image_id(image.image_id), 'file_name': f'{image.image_id}.png'}
        name = reader.key(own)
        sizes[name] = sources_images.upright_size(image.path, image.size)
        if image.official_id is not None:
            ids[name] = image.official_id
    return sizes, ids


if __name__ == '__main__':
    sys.exit(main())
