# SPDX-License-Identifier: Apache-2.0
"""Curves of a training run, read from its TensorBoard event files and drawn as SVG."""

import dataclasses
import pathlib
import types
from collections.abc import Mapping, Sequence

import matplotlib.figure
from tensorboard.backend.event_processing import event_file_loader  # type: ignore[import-untyped]
from tensorboard.plugins.scalar import metadata as scalar  # type: ignore[import-untyped]
from tensorboard.util import tensor_util  # type: ignore[import-untyped]

from panpipe.model.jobs import quiet
from panpipe.pipelines.reporting import charts

# Title of a plot → beginnings of the tags whose curves it shows.
_PLOTS: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        'Training losses': ('losses/train_',),
        'Learning rate': ('learning_rate',),
        'Steps a second': ('steps_per_second',),
        'Evaluation losses': ('losses/eval_',),
        'Panoptic quality': tuple(f'evaluation/pq/{name}' for name in ('PQ', 'SQ', 'RQ')),
        'Segments of a class': tuple(f'evaluation/pq/{name}' for name in ('TP', 'FN', 'FP')),
        'Average precision of masks': ('evaluation/ap/',),
        'Intersection over union': ('evaluation/iou/',),
    }
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Holds one scalar of a run over its steps.

    Attributes:
      tag: name in TensorBoard.
      steps: training steps, ascending.
      values: one a step.
      times: seconds since the epoch, one a step.
    """

    tag: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    times: tuple[float, ...]


def read(run_dir: pathlib.Path) -> list[Curve]:
    """Reads the scalars under RUN_DIR/train and RUN_DIR/eval; none where there are no files."""
    with quiet.start():  # TensorBoard imports TensorFlow when it first reads
        return [curve for kind in ('train', 'eval') for curve in _scalars(run_dir / kind)]


def plots(curves: Sequence[Curve]) -> dict[str, str]:
    """Draws the curves: title → `<svg>` element, plots without a curve left out."""
    groups = {
        title: [curve for curve in curves if curve.tag.startswith(beginnings)]
        for title, beginnings in _PLOTS.items()
    }
    return {title: _svg(group) for title, group in groups.items() if group}


def duration(curves: Sequence[Curve]) -> tuple[float, float]:
    """Measures a run by its training summaries: (seconds, steps a second), zeros if unknown."""
    train = [curve for curve in curves if curve.tag.startswith('losses/train_') and len(curve.steps) > 1]
    if not train:
        return 0.0, 0.0
    seconds = train[0].times[-1] - train[0].times[0]
    return seconds, (train[0].steps[-1] - train[0].steps[0]) / seconds if seconds else 0.0


def _scalars(folder: pathlib.Path) -> list[Curve]:
    if not folder.is_dir():
        return []
    # Of a tag, value and time by step. A resumed run writes some steps twice; the later entry counts.
    found: dict[str, dict[int, tuple[float, float]]] = {}
    plugins: dict[str, str] = {}
    for path in sorted(folder.glob('*tfevents*')):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                # Only the first entry of a tag must say what it is. Pictures, most of a file, pass by.
                plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                if plugin == scalar.PLUGIN_NAME:
                    number = float(tensor_util.make_ndarray(value.tensor))
                    found.setdefault(value.tag, {})[event.step] = number, event.wall_time
    return [_curve(tag, found[tag]) for tag in sorted(found)]


def _curve(tag: str, latest: Mapping[int, tuple[float, float]]) -> Curve:
    steps = tuple(sorted(latest))
    return Curve(tag, steps, tuple(latest[s][0] for s in steps), tuple(latest[s][1] for s in steps))


def _svg(curves: Sequence[Curve]) -> str:
    figure = matplotlib.figure.Figure(figsize=(5, 2.8), layout='constrained')
    axes = figure.add_subplot()
    for curve in curves:
        marker = 'o' if len(curve.steps) < 3 else None
        axes.plot(curve.steps, curve.values, label=curve.tag.rpartition('/')[2], linewidth=1.4, marker=marker)
    axes.tick_params(colors=charts.GREY, labelsize=8)
    axes.set_xlabel('step', color=charts.GREY, fontsize=8)
    axes.grid(color=charts.GREY, alpha=0.25)
    for spine in axes.spines.values():
        spine.set_color(charts.GREY)
    axes.legend(fontsize=8, labelcolor=charts.GREY, framealpha=0)
    return charts.svg(figure, curves[0].tag)
