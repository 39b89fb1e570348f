# SPDX-License-Identifier: Apache-2.0
"""Starts runs on a cluster through the REST interface of Kubeflow Pipelines."""

import contextlib
import dataclasses
import difflib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kfp
import kfp_server_api  # type: ignore[import-untyped]
import urllib3
import yaml

from panpipe.components import steps
from panpipe.model import errors

_READERS: Mapping[str, Callable[[str], Any]] = {
    'STRING': str,
    'NUMBER_INTEGER': int,
    'NUMBER_DOUBLE': float,
    'LIST': json.loads,
    'STRUCT': json.loads,
}


@dataclasses.dataclass(frozen=True)
class Run:
    """Holds the name of a run, the parameters of its pipeline, and how it runs.

    Attributes:
      experiment: that the run belongs to.
      name: of the run; None makes one of the pipeline's name and the time.
      parameters: of the pipeline.
      service_account: of Kubernetes, whose rights the steps have; '' for the installation's default.
    """

    experiment: str
    name: str | None
    parameters: Mapping[str, Any]
    service_account: str = ''


def pairs(option: str, entries: Sequence[str]) -> dict[str, str]:
    """Splits entries NAME=VALUE of a command line option.

    >>> pairs('--volume', ['data=/data'])
    {'data': '/data'}
    """
    wrong = [entry for entry in entries if '=' not in entry]
    if wrong:
        raise errors.InputError(f'{option} {wrong[0]}: there is no "="; write NAME=VALUE')
    return {name: value for name, _, value in (entry.partition('=') for entry in entries)}


def parameters(document: str, entries: Sequence[str]) -> dict[str, Any]:
    """Reads entries NAME=VALUE as the types that a compiled pipeline gives its parameters.

    Raises:
      errors.InputError: the pipeline has no such parameter, or the value is not of its type.
    """
    known = next(yaml.safe_load_all(document))['root']['inputDefinitions']['parameters']
    values = {}
    for name, value in pairs('parameter', entries).items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            cure = f'did you mean {close[0]!r}?' if close else f'it has {", ".join(known)}'
            raise errors.InputError(f'the pipeline has no parameter {name!r}; {cure}')
        kind = known[name]['parameterType']
        try:
            values[name] = _READERS[kind](value)
        except ValueError as error:
            raise errors.InputError(
                f'parameter {name}={value}: the value is not a {kind} ({error})'
            ) from error
    return values


def images(document: str, image: str = '') -> list[str]:
    """Lists the images of the steps: that one for all, or those that the pipeline was compiled with."""
    spec = next(yaml.safe_load_all(document))
    found = {entry['container']['image'] for entry in spec['deploymentSpec']['executors'].values()}
    return [image] if image else sorted(found)


def pullable(document: str, image: str) -> str:
    """Returns the pipeline with an image that the cluster's nodes can pull.

    Args:
      document: a compiled pipeline.
      image: for every step; '' leaves those of the document.

    Raises:
      errors.InputError: it would be the name that the image has where it is built, which is in no registry.
    """
    spec, *platform = yaml.safe_load_all(document)
    containers = [entry['container'] for entry in spec['deploymentSpec']['executors'].values()]
    for container in containers if image else ():
        container['image'] = image
    if not image and any(container['image'] == steps.IMAGE for container in containers):
        raise errors.InputError(
            f'the steps would run in {steps.IMAGE}, which is in no registry; push it (manifests/README.md) '
            'and give its name there: --image REGISTRY/panpipe:TAG'
        )
    return str(yaml.safe_dump_all([spec, *platform], sort_keys=False)) if image else document


def uncached(document: str) -> str:
    """Returns the pipeline with every step to run anew; kfp's own switch does not reach nested parts."""
    spec, *platform = yaml.safe_load_all(document)
    for part in (spec['root'], *spec['components'].values()):
        for task in part.get('dag', {}).get('tasks', {}).values():
            task['cachingOptions'] = {}
    return str(yaml.safe_dump_all([spec, *platform], sort_keys=False))


def submit(endpoint: str, document: str, run: Run) -> str:
    """Starts a run and returns the address of its page.

    Raises:
      errors.InputError: no Kubeflow Pipelines answers at `endpoint`, or it refuses the run.
    """
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file, warnings.catch_warnings():
        file.write(document)
        file.flush()
        warnings.simplefilter('ignore')
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # kfp prints the addresses of its own accord
                started = kfp.Client(host=endpoint).create_run_from_pipeline_package(
                    file.name,
                    arguments=dict(run.parameters),
                    run_name=run.name,
                    experiment_name=run.experiment,
                    service_account=run.service_account or None,
                )
        except kfp_server_api.ApiException as error:
            raise errors.InputError(
                f'Kubeflow Pipelines at {endpoint} answers {error.status} {error.reason}: {error.body}'
            ) from error
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise errors.InputError(
                f'no Kubeflow Pipelines answers at {endpoint} ({type(error).__name__}); check --endpoint'
            ) from error
    return f'{endpoint.rstrip("/")}/#/runs/details/{started.run_id}'
