# SPDX-License-Identifier: Apache-2.0
"""Files of results: a JSON file of figures, and beside it, where a job makes them, a line for each image.

The size of `evaluation.json` depends on the number of classes only; images are in `evaluation.images.jsonl`.
"""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from panpipe.model import errors
from panpipe.model.metrics import results
from panpipe.model.storage import addresses, files, typed_json

SCHEMA = 1
T = TypeVar('T')


def read(address: addresses.Address, job: str) -> results.Result:
    """Reads the file of a result; `job` is named as the one to run again.

    Raises:
      errors.InputError: it cannot be read, or is of another job or version.
    """
    return read_typed(results.Result, address, job)


def write(address: addresses.Address, result: results.Result) -> None:
    """Writes the file of a result, whole."""
    write_typed(address, result)


def read_typed(kind: type[T], address: addresses.Address, job: str) -> T:
    """Reads a dataclass that `write_typed` wrote.

    Raises:
      errors.InputError: it cannot be read, or is of another job or version.
    """
    content = _content(address, files.read(address), job)
    schema = content.pop('schema', None)
    if schema != SCHEMA:
        raise errors.InputError(
            f'{address} has schema {schema!r}, and this version of panpipe reads {SCHEMA}; '
            f'run `panpipe {job}` again'
        )
    try:
        return typed_json.decode(kind, content)
    except ValueError as error:
        raise errors.InputError(
            f'{address} is of another form ({error}); give the file that `panpipe {job}` wrote'
        ) from error


def write_typed(address: addresses.Address, told: Any) -> None:
    """Writes a dataclass as JSON, whole, with the number of this form."""
    content = {'schema': SCHEMA, **typed_json.encode(told)}
    files.write_whole(address, json.dumps(content, indent=2, allow_nan=False).encode() + b'\n')


def images_address(address: addresses.Address) -> str:
    """Names the file of single images that stands beside that of a result.

    >>> images_address('gs://bucket/evaluation.json')
    'gs://bucket/evaluation.images.jsonl'
    """
    return f'{str(address).removesuffix(".json")}.images.jsonl'


def read_images(address: addresses.Address, job: str) -> list[results.ImageFigures]:
    """Reads the figures of single images beside the file of a result.

    Raises:
      errors.InputError: they cannot be read.
    """
    path = images_address(address)
    try:
        lines = [json.loads(line) for line in files.read(path).splitlines()]
        return [typed_json.decode(results.ImageFigures, line) for line in lines]
    except (ValueError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(f'{path} is damaged ({error}); run `panpipe {job}` again') from error


def write_images(address: addresses.Address, images: Iterable[results.ImageFigures]) -> None:
    """Writes the figures of single images beside the file of a result, whole: a JSON object a line."""
    lines = (json.dumps(typed_json.encode(image), allow_nan=False) for image in images)
    files.write_whole(images_address(address), ''.join(f'{line}\n' for line in lines).encode())


def _content(address: addresses.Address, text: bytes, job: str) -> dict[str, Any]:
    cure = f'give the file that `panpipe {job}` wrote'
    try:
        content = json.loads(text.decode('utf-8-sig'))
    except (ValueError, RecursionError) as error:
        raise errors.InputError(f'{address} is not JSON ({error}); {cure}') from error
    if not isinstance(content, dict):
        raise errors.InputError(f'{address} holds no JSON object; {cure}')
    return content
