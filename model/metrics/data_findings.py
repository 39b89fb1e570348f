# SPDX-License-Identifier: Apache-2.0
"""What looks odd in a data set, and advice in plain lines, each with its cure."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

STRIDES = (8, 16, 32)  # output strides of the networks
_FEW = 0.01  # share of things that may vanish before anybody is told
_DRIFT = 3.0  # by how much shares of a class may differ between splits
_SEEN = 1e-4  # share of pixels below which drift is no matter
_RARE = 1e-3  # ratio of the rarest to the most frequent class
_NAMED = 4


@dataclasses.dataclass(frozen=True)
class Image:
    """Names an image: its id, its split, and the file of records that holds it."""

    name: str
    split: str
    file: str


@dataclasses.dataclass(frozen=True)
class Twins:
    """Names two images that look alike; `distance` of their fingerprints is 0 where they look the same."""

    first: Image
    second: Image
    distance: int

    @property
    def is_leak(self) -> bool:
        """Tells whether they are of two splits."""
        return self.first.split != self.second.split


@dataclasses.dataclass(frozen=True)
class Examples:
    """Counts images, and names the first of them."""

    total: int = 0
    images: tuple[Image, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClassFindings:
    """States of one class how frequent it is in each split, and how many of its things vanish.

    Attributes:
      name: of the class.
      shares: of the labelled pixels that are not void, by split.
      images: share of the images that show it, by split.
      things: single things of all splits.
      vanished: those without a pixel on a grid of each stride, by stride as text.
    """

    name: str
    shares: Mapping[str, float]
    images: Mapping[str, float]
    things: int = 0
    vanished: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Findings:
    """Holds what was found in records.

    Attributes:
      images: by split.
      within: pairs of twins within splits.
      between: pairs of twins of two splits.
      twins: the closest pairs of both, those of two splits first.
      empty: images whose label has no segment.
      without_things: images with a label, but without a single thing.
      undecodable: images that could not be decoded.
      classes: of the data set, in its order.
    """

    images: Mapping[str, int]
    within: int
    between: int
    twins: tuple[Twins, ...]
    empty: Examples
    without_things: Examples
    undecodable: Examples
    classes: tuple[ClassFindings, ...]


def advice(found: Findings) -> tuple[str, ...]:
    """Words what should be looked at, the most harmful first; nothing where all is well."""
    parts = (_undecodable, _leaks, _unlearnt, _drift, _vanishing, _empty, _twins, _rare)
    return tuple(line for part in parts for line in part(found))


def _undecodable(found: Findings) -> Iterator[str]:
    if found.undecodable.total:
        yield (
            f'{found.undecodable.total} images cannot be decoded ({_named(found.undecodable.images)}): '
            'training would stop at them; run `panpipe validate --records`, and convert the originals again'
        )


def _leaks(found: Findings) -> Iterator[str]:
    if found.between:
        yield (
            f'{found.between} pairs of images of two splits look alike ({_pairs(found, is_leak=True)}): '
            'figures of the second split are better than they will be on new images; split by scene, or take '
            'one of each pair away'
        )


def _twins(found: Findings) -> Iterator[str]:
    if found.within:
        yield (
            f'{found.within} pairs of images of one split look alike ({_pairs(found, is_leak=False)}): they '
            'count twice; take one of each away, unless they are frames of a sequence'
        )


def _unlearnt(found: Findings) -> Iterator[str]:
    learnt, judged = _learnt_and_judged(found)
    if not learnt or not judged:
        return
    missing = [
        one.name for one in found.classes if one.shares.get(judged, 0) and not one.shares.get(learnt, 0)
    ]
    if missing:
        yield (
            f'{judged} shows {_some(missing)}, which {learnt} does not: the network cannot learn '
            f'{"it" if len(missing) == 1 else "them"}; move some of those images to {learnt}'
        )


def _drift(found: Findings) -> Iterator[str]:
    learnt, judged = _learnt_and_judged(found)
    if not learnt or not judged:
        return
    odd = []
    for one in found.classes:
        mine, yours = one.shares.get(learnt, 0.0), one.shares.get(judged, 0.0)
        if min(mine, yours) > 0 and max(mine, yours) > _SEEN and not 1 / _DRIFT <= yours / mine <= _DRIFT:
            odd.append(f'{one.name}: {mine:.2%} of {learnt}, {yours:.2%} of {judged}')
    if odd:
        yield (
            f'{learnt} and {judged} differ in {_some(odd)}; deal images out to splits by chance, whole scenes'
            ' at a time'
        )


def _vanishing(found: Findings) -> Iterator[str]:
    things = sum(one.things for one in found.classes)
    lost = {stride: sum(one.vanished.get(str(stride), 0) for one in found.classes) for stride in STRIDES}
    coarsest = STRIDES[-1]
    if not things or lost[coarsest] / things <= _FEW:
        return
    worst = sorted(
        (one for one in found.classes if one.things),
        key=lambda one: -one.vanished.get(str(coarsest), 0) / one.things,
    )
    named = _some([f'{one.name} {one.vanished.get(str(coarsest), 0) / one.things:.0%}' for one in worst])
    shares = ', '.join(f'{lost[stride] / things:.1%} at {stride}' for stride in STRIDES)
    yield (
        f'of {things} things some have no pixel on the grid of an output stride: {shares} (at {coarsest}: '
        f'{named}); a finer stride sees more of them: --set model_options.backbone.output_stride=16, or '
        'enlarge the images: --set train_dataset_options.min_resize_value=SIDE'
    )


def _empty(found: Findings) -> Iterator[str]:
    if found.empty.total:
        yield (
            f'{found.empty.total} images have a label without any segment ({_named(found.empty.images)}): '
            'they teach nothing; annotate them, or leave them out'
        )


def _rare(found: Findings) -> Iterator[str]:
    learnt, _ = _learnt_and_judged(found)
    shares = {one.name: one.shares.get(learnt, 0.0) for one in found.classes if one.shares.get(learnt, 0.0)}
    if len(shares) < 2:
        return
    rarest, commonest = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    if shares[rarest] < _RARE * shares[commonest]:
        yield (
            f'{rarest} has {shares[rarest]:.3%} of the pixels of {learnt}, {commonest} '
            f'{shares[commonest]:.1%}: rare classes are learnt better where the loss looks at the hardest '
            'pixels: --set trainer_options.loss_options.semantic_loss.top_k_percent=0.2'
        )


def _learnt_and_judged(found: Findings) -> tuple[str, str]:
    """Names the split that is learnt from and the one that is judged; empty where there is none."""
    splits = list(found.images)
    learnt = 'train' if 'train' in splits else (splits[0] if splits else '')
    judged = 'val' if 'val' in splits and learnt != 'val' else ''
    return learnt, judged


def _pairs(found: Findings, *, is_leak: bool) -> str:
    told = [
        f'{twins.first.name} of {twins.first.split} and {twins.second.name} of {twins.second.split}'
        for twins in found.twins
        if twins.is_leak == is_leak
    ]
    return _some(told)


def _named(images: Sequence[Image]) -> str:
    return _some([image.name for image in images])


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(names[:_NAMED])
    return f'{shown}, …' if len(names) > _NAMED else shown
