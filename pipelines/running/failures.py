# SPDX-License-Identifier: Apache-2.0
"""What a job does with an image that it cannot read: it fails, or notes the image and goes on."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

import apache_beam as beam

from panpipe.model import errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines import execution

T = TypeVar('T')
_LETTERS = 'letters'
_END = object()
ENDING = '.dead_letters.jsonl'


class DeadLetter(NamedTuple):
    """Names an image that was left out, and says why."""

    image: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Policy:
    """States what happens to images that cannot be read.

    Attributes:
      skips: they are left out; else the job fails.
      most: so many may be left out; None for any number.
    """

    skips: bool = False
    most: int | None = None

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Self:
        """Reads what `add_arguments` added.

        Raises:
          errors.InputError: --max_errors is negative, or given without --on_error skip.
        """
        skips, most = arguments.on_error == 'skip', arguments.max_errors
        if most is not None and (most < 0 or not skips):
            raise errors.InputError('--max_errors needs --on_error skip and a number of at least 0')
        return cls(skips, most)

    def attempt(self, image: str, call: Callable[[], T]) -> T | DeadLetter:
        """Returns what `call` returns, or a dead letter of its mistake where images are skipped."""
        try:
            return call()
        except errors.InputError as error:
            if not self.skips:
                raise
            return DeadLetter(image, ' '.join(str(error).split()))

    def settle(self, output: addresses.Address, letters: Iterable[DeadLetter]) -> int:
        """Writes OUTPUT.dead_letters.jsonl, or removes an earlier one if there is none; returns their number.

        Raises:
          errors.InputError: there are more than may be.
        """
        path = f'{addresses.absolute(output)}{ENDING}'
        ordered = sorted(set(letters))
        if not ordered:
            files.delete([path])
            return 0
        files.write_whole(path, b''.join(json.dumps(one._asdict()).encode() + b'\n' for one in ordered))
        if self.most is not None and len(ordered) > self.most:
            raise errors.InputError(
                f'{len(ordered)} images cannot be read, more than --max_errors {self.most}; {path} names '
                f'them, the first: {ordered[0].reason}'
            )
        return len(ordered)


class Try(beam.DoFn):
    """Makes results of each element; mistakes become dead letters where images are skipped."""

    def __init__(
        self,
        policy: Policy,
        results: Callable[[Any], Iterable[Any]] | None = None,
        name: Callable[[Any], str] = str,
    ) -> None:
        """Takes the policy, what makes results of an element, and what names it; or a subclass does that."""
        self._policy, self._results, self._name = policy, results, name

    def results(self, element: Any) -> Iterable[Any]:
        """Returns the results of an element."""
        assert self._results
        return self._results(element)

    def name(self, element: Any) -> str:
        """Returns what a dead letter calls the element."""
        return self._name(element)

    def process(self, element: Any) -> Iterator[Any]:
        """Yields the results, or a dead letter under the tag `letters` after those before the mistake."""
        results = self._each(element)
        while True:
            found = self._policy.attempt(self.name(element), lambda: next(results, _END))
            if found is _END:
                return
            if isinstance(found, DeadLetter):
                execution.count(skipped=1)
                yield beam.pvalue.TaggedOutput(_LETTERS, found)
                return
            yield found

    def _each(self, element: Any) -> Iterator[Any]:
        yield from self.results(element)  # only when asked for: work may begin in `results`


class Outcome(NamedTuple):
    """Holds what became of elements: results, and dead letters of those that could not be read."""

    results: beam.PCollection
    letters: beam.PCollection


@dataclasses.dataclass(eq=False)
class TryEach(execution.Step):
    """Makes results of each element.

    Attributes:
      attempt: does the work.
      kind: type of the results.
    """

    attempt: Try
    kind: Any = Any

    def expand(self, elements: beam.PCollection) -> Any:
        """Returns an `Outcome`."""
        found = elements | 'Try' >> beam.ParDo(self.attempt).with_output_types(self.kind).with_outputs(
            _LETTERS, main='results'
        )
        return Outcome(found.results, found[_LETTERS])


class SortLetters(beam.PTransform):
    """Parts results from the dead letters that a step put among them."""

    def expand(self, elements: beam.PCollection) -> Any:
        """Returns an `Outcome`."""
        found = elements | 'Sort' >> beam.ParDo(_sorted).with_outputs(_LETTERS, main='results')
        return Outcome(found.results, found[_LETTERS])


class JoinLetters(beam.PTransform):
    """Joins the dead letters of several steps."""

    def expand(self, letters: Any) -> beam.PCollection:
        """Returns all of them."""
        return letters | 'Join' >> beam.Flatten()


def _sorted(element: Any) -> Iterator[Any]:
    if isinstance(element, DeadLetter):
        execution.count(skipped=1)
        yield beam.pvalue.TaggedOutput(_LETTERS, element)
    else:
        yield element


def record_size(serialized: bytes) -> str:
    """Names a record of which nothing else can be read."""
    return f'a record of {len(serialized)} bytes'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --on_error and --max_errors."""
    parser.add_argument(
        '--on_error',
        choices=('fail', 'skip'),
        default='fail',
        help='what to do with an image that cannot be read: end the job, or leave it out and list it in '
        f'OUTPUT{ENDING} (default: fail)',
    )
    parser.add_argument(
        '--max_errors',
        type=int,
        metavar='N',
        help='with --on_error skip: end the job if more than N images cannot be read',
    )
