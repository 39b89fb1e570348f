# SPDX-License-Identifier: Apache-2.0
"""Extracts what the tests need of published definitions of Kubernetes resources; README.md says which.

python tests/schemas/extract.py DEFINITION.yaml OUTPUT.json.gz
"""

import gzip
import json
import pathlib
import sys
from typing import Any

import yaml

_DROPPED = ('description', 'default')


def extract(definition: dict[str, Any]) -> dict[str, Any]:
    """Returns group, kind, and schemas by version, without prose."""
    spec = definition['spec']
    versions = {each['name']: _bare(each['schema']['openAPIV3Schema']) for each in spec['versions']}
    return {'group': spec['group'], 'kind': spec['names']['kind'], 'versions': versions}


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _bare(value) for name, value in schema.items() if name not in _DROPPED}
    if 'properties' in schema:  # a field may be called like a keyword
        kept['properties'] = {name: _bare(value) for name, value in schema['properties'].items()}
    return kept


if __name__ == '__main__':
    _definition, _output = sys.argv[1:]
    _text = json.dumps(extract(yaml.safe_load(pathlib.Path(_definition).read_text())), sort_keys=True)
    pathlib.Path(_output).write_bytes(gzip.compress(_text.encode(), mtime=0))
