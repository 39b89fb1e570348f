# SPDX-License-Identifier: Apache-2.0
"""The `config_v1.2.json` and `config_v2.0.json` of Mapillary Vistas, taken as descriptions of data sets.

Such a file lists labels: `name`, `color`, `instances` (its objects are told apart) and `evaluate`. The number
of a label is its place, from 0; annotation files call it by that number plus one.

Source: Neuhold et al., The Mapillary Vistas Dataset (ICCV 2017); README and demo.py of the data set.
"""

from collections.abc import Mapping
from typing import Any

from panpipe.model import errors
from panpipe.model.storage import addresses

# Layouts by the names of the files, and by the first digit of their `version`.
_BY_NAME: Mapping[str, str] = {'config_v1.2.json': 'vistas_v1.2', 'config_v2.0.json': 'vistas_v2.0'}
_BY_VERSION: Mapping[str, str] = {'1': 'vistas_v1.2', '2': 'vistas_v2.0'}
_DIVISOR, _IGNORED = 1000, 255


def is_one(content: Mapping[str, Any]) -> bool:
    """Tells whether the content of a JSON file looks like such a configuration."""
    return 'labels' in content and 'layout' not in content and 'dataset' not in content


def description(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Describes the labels that are evaluated, in their order; the others are void.

    Args:
      content: of the file.
      path: of the file, which tells the version, too.

    Returns:
      The content of a file that describes a data set.

    Raises:
      errors.InputError: a label lacks something, or the version is not known.
    """
    layout = _BY_NAME.get(addresses.name(path)) or _BY_VERSION.get(str(content.get('version', ''))[:1])
    if layout is None:
        raise errors.InputError(
            f'{path} lists labels like a configuration of Mapillary Vistas, but of no known version; call it '
            f'{" or ".join(_BY_NAME)}'
        )
    try:
        labels = [(number, label) for number, label in enumerate(content['labels'], 1) if label['evaluate']]
        categories = [
            {
                'id': class_id,
                'name': label['name'],
                'color': label['color'],
                'is_thing': label['instances'],
                'official_id': number,
            }
            for class_id, (number, label) in enumerate(labels)
        ]
    except (KeyError, TypeError) as error:
        raise errors.InputError(
            f'{path}: a label has no {error}; a configuration of Mapillary Vistas tells name, color, '
            'instances and evaluate of each'
        ) from error
    numbers = {'num_classes': len(categories), 'label_divisor': _DIVISOR, 'ignore_label': _IGNORED}
    return {'layout': layout, **numbers, 'categories': categories}
