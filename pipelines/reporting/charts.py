# SPDX-License-Identifier: Apache-2.0
"""Charts of an evaluation, drawn as SVG that is legible on white and on black."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.figure
import numpy as np

GREY = '#888888'  # legible on white and on black
_MAX_NAMED = 40  # classes whose names can be read beside a matrix


def confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    """Draws a confusion matrix, each true class's pixels as shares of 1.

    Args:
      counts: pixels [classes, classes + 1] by true and predicted class, the last column for none;
        classes that occur in neither are left out.
      names: of the classes.

    Returns:
      An `<svg>` element.
    """
    square = counts[:, :-1]
    occurs: np.ndarray = np.flatnonzero(counts.sum(axis=1) + square.sum(axis=0))
    rows = counts.sum(axis=1, keepdims=True)[occurs]
    shares = square[np.ix_(occurs, occurs)] / np.maximum(rows, 1)
    size = min(9.0, 2.5 + 0.28 * len(occurs))
    figure = matplotlib.figure.Figure(figsize=(size, size), layout='constrained')
    axes = figure.add_subplot()
    axes.imshow(shares, cmap='viridis', vmin=0, vmax=1, interpolation='nearest')
    axes.set_xlabel('predicted', color=GREY, fontsize=8)
    axes.set_ylabel('true', color=GREY, fontsize=8)
    if len(occurs) <= _MAX_NAMED:
        shown = [names[int(i)] for i in occurs]
        axes.set_xticks(range(len(occurs)), shown, rotation=90, fontsize=7, color=GREY, parse_math=False)
        axes.set_yticks(range(len(occurs)), shown, fontsize=7, color=GREY, parse_math=False)
        for i, j in zip(*np.nonzero(shares >= 0.005), strict=True):
            ink = 'black' if shares[i, j] > 0.6 else 'white'
            axes.text(j, i, f'{100 * shares[i, j]:.0f}', ha='center', va='center', fontsize=6, color=ink)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    return svg(figure, 'confusion')


def bars(names: Sequence[str], series: Mapping[str, Sequence[float]], *, is_log: bool = False) -> str:
    """Draws a group of horizontal bars a name.

    Args:
      names: of the groups, from the top.
      series: by what it is called, one value a name.
      is_log: the axis is logarithmic; a value of 0 has no bar.

    Returns:
      An `<svg>` element.
    """
    height = 0.8 + len(names) * max(0.16, 0.11 * len(series))
    figure = matplotlib.figure.Figure(figsize=(5, height), layout='constrained')
    axes = figure.add_subplot()
    places, thick = np.arange(len(names)), 0.8 / max(len(series), 1)
    for number, (label, values) in enumerate(series.items()):
        axes.barh(places + (number - (len(series) - 1) / 2) * thick, values, thick, label=label)
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    if is_log:
        axes.set_xscale('log')
    axes.tick_params(colors=GREY, labelsize=7)
    axes.grid(color=GREY, alpha=0.25, axis='x')
    for spine in axes.spines.values():
        spine.set_color(GREY)
    figure.legend(loc='outside upper right', ncols=3, fontsize=8, labelcolor=GREY, framealpha=0)
    return svg(figure, 'bars')


def svg(figure: matplotlib.figure.Figure, salt: str) -> str:
    """Returns the `<svg>` element of a figure, the same for the same figure and salt."""
    buffer = io.StringIO()
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': salt}):
        nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        figure.savefig(buffer, format='svg', transparent=True, metadata=nothing)
    text = buffer.getvalue()
    return text[text.index('<svg') :]
