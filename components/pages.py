# SPDX-License-Identifier: Apache-2.0
"""The page of pictures that an evaluation shows in the user interface of Kubeflow Pipelines."""

import io
import pathlib

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing import event_file_loader  # type: ignore[import-untyped]
from tensorboard.plugins.image import metadata  # type: ignore[import-untyped]
from tensorboard.util import tensor_util  # type: ignore[import-untyped]

from panpipe.model.drawing import keys, page, panels, sheet

_COLUMNS = 3
_MOST = 6  # samples: some hundred kilobytes each


def evaluation(run_dir: str, title: str) -> str:
    """Makes an HTML page of the newest pictures of a run's evaluation, as TensorBoard shows them.

    Args:
      run_dir: folder of the run, with event files in `eval`.
      title: of the page.
    """
    samples: dict[str, dict[str, bytes]] = {}
    for tag, encoded in sorted(_pictures(pathlib.Path(run_dir, 'eval')).items()):
        group, _, name = tag.rpartition('/')
        samples.setdefault(group, {})[name] = encoded
    shown = list(samples.items())[:_MOST]
    return page.render(title, [_sheet(group, named) for group, named in shown])


def _sheet(group: str, named: dict[str, bytes]) -> sheet.Sheet:
    """Lays out the pictures of a sample in the order of their names, '1_image', '2_panoptic_label', …"""
    drawn = [
        panels.Panel(_caption(name), np.asarray(Image.open(io.BytesIO(encoded))))
        for name, encoded in sorted(named.items())
    ]
    rows = [drawn[i : i + _COLUMNS] for i in range(0, len(drawn), _COLUMNS)]
    has_instances = any('center' in name for name in named)
    legend = [keys.errors(), *([keys.targets()] if has_instances else [])]
    return sheet.Sheet(group.replace('_', ' ', 1), rows, legend)


def _caption(name: str) -> str:
    """Makes words of a name: '6_offset_prediction_rgb' is an 'offset prediction'."""
    return name.partition('_')[2].removesuffix('_rgb').replace('_', ' ')


def _pictures(folder: pathlib.Path) -> dict[str, bytes]:
    """Reads the newest picture of each tag, an encoded file."""
    found = {}
    for path in sorted(folder.glob('*tfevents*')):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == metadata.PLUGIN_NAME:
                    found[value.tag] = tensor_util.make_ndarray(value.tensor)[2]
    return found
