# SPDX-License-Identifier: Apache-2.0
"""The merge in plain numpy: slow, short, and what the op and its twin are held against."""

import collections

import numpy as np

from panpipe.custom_ops import rules as merge_rules


def merge(semantic: np.ndarray, instance: np.ndarray, rules: merge_rules.Rules) -> np.ndarray:
    """Merges int32 [height, width] maps of labels and of instances into panoptic ids of that shape."""
    void = rules.void_label * rules.label_divisor
    is_thing = np.isin(semantic, rules.thing_ids)
    panoptic = semantic * rules.label_divisor
    for label in np.unique(semantic[~is_thing]):
        if np.sum(semantic == label) <= rules.stuff_area_limit:
            panoptic[semantic == label] = void
    numbered: collections.Counter[int] = collections.Counter()
    for group in np.unique(instance[is_thing]):
        pixels = is_thing & (instance == group)
        labels, votes = np.unique(semantic[pixels], return_counts=True)
        winner = labels[np.argmax(votes)]
        numbered[winner] += 1
        fits = numbered[winner] < rules.label_divisor
        panoptic[pixels] = winner * rules.label_divisor + numbered[winner] if fits else void
    return panoptic
