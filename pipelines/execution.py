# SPDX-License-Identifier: Apache-2.0
"""Runs Beam pipelines, in this process by default, and reports a user's mistake in one line."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

import apache_beam as beam
from apache_beam import metrics
from apache_beam.options import pipeline_options
from apache_beam.runners import runner as runners

from panpipe.model import errors
from panpipe.model.storage import addresses, reach
from panpipe.pipelines.running import local_runner, mistakes, remote_runner

# DirectRunner would first try to download another engine, and do without it where there is no network.
DEFAULT_RUNNER = 'FnApiRunner'
_JAVA_RUNNERS = ('FlinkRunner', 'SparkRunner')
_COUNTERS = 'panpipe'
# Beam's own options that name places.
_PLACES = ('temp_location', 'staging_location', 'template_location')


class Step(beam.PTransform):
    """Is the base of transforms that are dataclasses, made with `eq=False`: Beam keeps transforms in sets."""

    def __post_init__(self) -> None:
        """Does what Beam wants done of each transform."""
        super().__init__()


def options(arguments: Sequence[str] = ()) -> pipeline_options.PipelineOptions:
    """Reads Beam's own options, for example `--runner=DataflowRunner --project=…`; see Beam's documentation.

    Without a runner the pipeline runs in this process.

    Raises:
      errors.InputError: an option is neither the job's nor Beam's, or has a wrong value; the runner is
        unknown or lacks what it needs; or a place of Beam's cannot be reached.
    """
    found = _parsed(arguments)
    standard = found.view_as(pipeline_options.StandardOptions)
    if standard.runner is None:
        standard.runner = DEFAULT_RUNNER
    strangers = _positional(arguments)
    if local_runner.serves(found):
        # Other runners bring options that only their own servers know.
        strangers += _unknown(found)
        found.view_as(pipeline_options.WorkerOptions).default_sdk_harness_log_level = 'CRITICAL'
    if strangers:
        raise errors.InputError(
            f'{", ".join(strangers)}: neither an option of this job nor of Apache Beam; see --help'
        )
    _check_runner(standard.runner, found)
    return found


def is_one_process(beam_options: pipeline_options.PipelineOptions) -> bool:
    """Returns whether all workers are threads of this process."""
    mode = beam_options.view_as(pipeline_options.DirectOptions).direct_running_mode
    return local_runner.serves(beam_options) and mode != 'multi_processing'


def is_template(beam_options: pipeline_options.PipelineOptions) -> bool:
    """Returns whether the pipeline is only written down, as a Dataflow template, to run some other day."""
    return bool(beam_options.view_as(pipeline_options.GoogleCloudOptions).template_location)


def count(**numbers: int) -> None:
    """Adds to counters that the runner shows and `run` returns. Runs on workers."""
    for name, number in numbers.items():
        metrics.Metrics.counter(_COUNTERS, name).inc(number)


def run(
    build: Callable[[beam.Pipeline], object],
    beam_options: pipeline_options.PipelineOptions,
    progress: Callable[[TextIO], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Mapping[str, int]:
    """Builds a pipeline, runs it and waits for its end; only writes it down where a template is wanted.

    Args:
      build: adds the transforms to an empty pipeline.
      beam_options: from `options`.
      progress: makes what is active meanwhile, and may write to the console that it is given.

    Returns:
      What workers counted with `count`.

    Raises:
      errors.InputError: a worker found a mistake of the user's.
      errors.JobError: the runner cannot be reached, or a worker process was killed.
      KeyboardInterrupt: it was interrupted, here or on a worker.
    """
    with (
        mistakes.in_one_line(),
        local_runner.quiet(beam_options),
        local_runner.held_back(beam_options) as console,
    ):
        pipeline = _pipeline(beam_options)
        build(pipeline)
        with progress(console), local_runner.watched(beam_options, console):
            result = _result(pipeline, beam_options)
        return _counters(result) if result else {}


def _pipeline(beam_options: pipeline_options.PipelineOptions) -> beam.Pipeline:
    try:
        runner, adapted = local_runner.adapted(beam_options)
        return beam.Pipeline(runner=runner, options=adapted)
    except ValueError as error:
        raise errors.InputError(f'options of Apache Beam: {" ".join(str(error).split())}') from error


def _result(
    pipeline: beam.Pipeline, beam_options: pipeline_options.PipelineOptions
) -> runners.PipelineResult | None:
    """Runs a pipeline to its end; None where it was only written down."""
    if local_runner.serves(beam_options):
        result = pipeline.run()
        result.wait_until_finish()
        return result
    with remote_runner.quiet(), remote_runner.in_one_line(beam_options):
        result = pipeline.run()
        if is_template(beam_options):
            return None
        remote_runner.wait(result)
        return result


def _counters(result: beam.runners.runner.PipelineResult) -> dict[str, int]:
    try:
        found = result.metrics().query(metrics.MetricsFilter().with_namespace(_COUNTERS))
    except NotImplementedError:
        return {}
    totals: dict[str, int] = {}
    for counter in found['counters']:
        name = counter.key.metric.name
        totals[name] = totals.get(name, 0) + int(counter.result or 0)
    return totals


def _parsed(arguments: Sequence[str]) -> pipeline_options.PipelineOptions:
    """Parses options; argparse's own report of a wrong value becomes one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = pipeline_options.PipelineOptions(list(arguments))
            found.get_all_options()  # reads the values, too
            return found
    except SystemExit as error:
        lines = said.getvalue().strip().splitlines() or ['wrong value']
        raise errors.InputError(
            f'option of Apache Beam: {lines[-1].partition("error: ")[2] or lines[-1]}'
        ) from error


def _check_runner(name: str, found: pipeline_options.PipelineOptions) -> None:
    try:
        runners.create_runner(name)
    except (ImportError, ValueError, AttributeError) as error:
        raise errors.InputError(f'--runner={name}: {error}') from error
    told = found.get_all_options(retain_unknown_options=True)
    portable = found.view_as(pipeline_options.PortableOptions)
    for option in _PLACES:
        if told.get(option):
            reach.check(f'--{option}', told[option])
    if name.rpartition('.')[2] in _JAVA_RUNNERS and not portable.job_endpoint:
        _check_java(name, told)
    if not local_runner.serves(found):
        remote_runner.check(found)


def _check_java(name: str, told: Mapping[str, object]) -> None:
    for option in ('flink_job_server_jar', 'spark_job_server_jar'):
        jar = told.get(option)
        if jar and not addresses.is_remote(str(jar)) and not os.path.isfile(str(jar)):
            raise errors.InputError(f'--{option} {jar} is no file; download the job server of this runner')
    if not shutil.which('java'):
        raise errors.InputError(
            f'--runner={name} starts a job server in Java, and there is no java; install it, or name a '
            'running server: --runner=PortableRunner --job_endpoint=HOST:PORT'
        )


def _positional(arguments: Sequence[str]) -> list[str]:
    """Returns arguments that are neither an option nor, as in `--runner NAME`, its value."""
    before = ('', *arguments)
    return [
        argument
        for argument, last in zip(arguments, before, strict=False)
        if not argument.startswith('-') and (not last.startswith('--') or '=' in last)
    ]


def _unknown(found: pipeline_options.PipelineOptions) -> list[str]:
    with local_runner.quiet(found):
        known = found.get_all_options()
        return [
            f'--{name}' for name in found.get_all_options(retain_unknown_options=True) if name not in known
        ]
