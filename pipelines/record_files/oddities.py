# SPDX-License-Identifier: Apache-2.0
"""Looks for oddities in records, in a pipeline: what single records show, and images that look alike."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import apache_beam as beam

from panpipe.model import datasets, errors, labels
from panpipe.model.metrics import data_findings
from panpipe.model.storage import addresses, record_sets, tfrecords
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import fingerprints, looks

_EXAMPLES, _TWINS = 12, 24  # are named
_NONE = data_findings.Examples()
_NO_SPLIT = 'records'  # of files whose names tell none


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts looks; two add up. Keys are splits, classes and strides as they are told.

    Attributes:
      images, labelled: images by split.
      pixels, shows: pixels, and images that show it, by (split, class).
      things: by class.
      vanished: by (class, stride).
      empty, bare, undecodable: images without segment, without thing, and damaged ones.
    """

    images: Mapping[str, int] = dataclasses.field(default_factory=dict)
    labelled: Mapping[str, int] = dataclasses.field(default_factory=dict)
    pixels: Mapping[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    shows: Mapping[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    things: Mapping[int, int] = dataclasses.field(default_factory=dict)
    vanished: Mapping[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    empty: data_findings.Examples = _NONE
    bare: data_findings.Examples = _NONE
    undecodable: data_findings.Examples = _NONE

    @classmethod
    def of(cls, look: looks.Look) -> Self:
        """Counts one look."""
        split, one = look.image.split, data_findings.Examples(1, (look.image,))
        undecodable = _NONE if look.greys else one
        if look.pixels is None:
            return cls(images={split: 1}, undecodable=undecodable)
        return cls(
            {split: 1},
            {split: 1},
            {(split, class_id): number for class_id, number in look.pixels.items()},
            {(split, class_id): 1 for class_id in look.pixels},
            look.things,
            look.vanished,
            _NONE if look.pixels else one,
            one if look.pixels and not look.things else _NONE,
            undecodable,
        )

    def __add__(self, other: Self) -> Self:
        """Counts the looks of both."""
        parts = (
            _joined(getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
        )
        return type(self)(*parts)


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, data_findings.Examples):
        listed = sorted((*one.images, *other.images), key=dataclasses.astuple)
        return data_findings.Examples(one.total + other.total, tuple(listed[:_EXAMPLES]))
    return dict(collections.Counter(one) + collections.Counter(other))


class Pairs(NamedTuple):
    """Counts pairs that look alike within and between splits, and keeps the closest, leaks first."""

    within: int = 0
    between: int = 0
    closest: tuple[data_findings.Twins, ...] = ()

    def joined(self, other: 'Pairs') -> 'Pairs':
        """Counts the pairs of both."""
        listed = sorted((*self.closest, *other.closest), key=_rank)
        return Pairs(self.within + other.within, self.between + other.between, tuple(listed[:_TWINS]))


def _rank(twins: data_findings.Twins) -> tuple[object, ...]:
    return not twins.is_leak, twins.distance, dataclasses.astuple(twins)


@dataclasses.dataclass(eq=False)
class FindOddities(execution.Step):
    """Reads files of records and makes one `Findings` of them all.

    A record that cannot be read is passed over: the analysis beside tells of it.

    Attributes:
      paths: addresses of the files, whose names tell their splits.
      spec: the data set.
    """

    paths: Sequence[str]
    spec: datasets.DatasetSpec

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Returns one `data_findings.Findings`."""
        absolute = [addresses.absolute(path) for path in self.paths]  # workers have other working folders
        seen = (
            root
            | 'NameFilesOnce' >> beam.Create(absolute, reshuffle=False)
            | 'SpreadFilesOnce' >> beam.Reshuffle()
            | 'LookAtRecords' >> beam.FlatMap(_looks, self.spec.labels)
        )
        counts = seen | 'CountLooks' >> beam.CombineGlobally(_sum_of_looks)
        pairs = (
            seen
            | 'SplitFingerprints' >> beam.FlatMap(_parts)
            | 'GroupByPart' >> beam.GroupByKey()
            | 'Compare' >> beam.FlatMapTuple(_twins)
            | 'CountTwins' >> beam.CombineGlobally(_sum_of_pairs)
        )
        return counts | 'Find' >> beam.Map(findings, beam.pvalue.AsSingleton(pairs), self.spec)


def _looks(path: str, codec: labels.LabelSpec) -> Iterator[looks.Look]:
    split = record_sets.split_of(path) or _NO_SPLIT
    try:
        for serialized in tfrecords.read(path):
            try:
                yield looks.look(serialized, codec, split, path)
            except errors.InputError:
                continue
    except errors.InputError:
        return


def _parts(look: looks.Look) -> Iterator[tuple[fingerprints.Part, fingerprints.Print]]:
    if look.greys:
        for part in fingerprints.parts(look.greys):
            yield part, fingerprints.Print(look.greys, look.image)


def _twins(part: fingerprints.Part, found: Iterable[fingerprints.Print]) -> Iterator[data_findings.Twins]:
    for one, other, distance in fingerprints.alike(part, list(found)):
        pair = sorted((one.image, other.image), key=_order)
        yield data_findings.Twins(pair[0], pair[1], distance)


def _order(image: data_findings.Image) -> tuple[object, ...]:
    return image.split != 'train', dataclasses.astuple(image)


def _sum_of_looks(found: Iterable[looks.Look | Counts]) -> Counts:
    total = Counts()
    for one in found:
        total += one if isinstance(one, Counts) else Counts.of(one)
    return total


def _sum_of_pairs(found: Iterable[data_findings.Twins | Pairs]) -> Pairs:
    total = Pairs()
    for one in found:
        total = total.joined(one if isinstance(one, Pairs) else Pairs(not one.is_leak, one.is_leak, (one,)))
    return total


def findings(counts: Counts, pairs: Pairs, spec: datasets.DatasetSpec) -> data_findings.Findings:
    """Words counts as findings."""
    order = sorted(counts.images, key=lambda split: (split != 'train', split))
    return data_findings.Findings(
        {split: counts.images[split] for split in order},
        int(pairs.within),
        int(pairs.between),
        pairs.closest,
        counts.empty,
        counts.bare,
        counts.undecodable,
        tuple(_of_class(category, counts, order) for category in spec.categories),
    )


def _of_class(
    category: datasets.Category, counts: Counts, splits: Sequence[str]
) -> data_findings.ClassFindings:
    totals = collections.Counter[str]()
    for (split, _), number in counts.pixels.items():
        totals[split] += number
    number, labelled = category.id, [split for split in splits if counts.labelled.get(split)]
    return data_findings.ClassFindings(
        category.name,
        {split: counts.pixels.get((split, number), 0) / max(totals[split], 1) for split in labelled},
        {split: counts.shows.get((split, number), 0) / counts.labelled[split] for split in labelled},
        counts.things.get(number, 0),
        {str(stride): counts.vanished.get((number, stride), 0) for stride in data_findings.STRIDES}
        if category.is_thing
        else {},
    )
