# SPDX-License-Identifier: Apache-2.0
"""Calls the official evaluators, which need another numpy than TensorFlow, in an interpreter of their own."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from panpipe.model import errors
from panpipe.model.jobs import environment
from panpipe.model.storage import files

VARIABLE = 'PANPIPE_OFFICIAL_PYTHON'
_ENVIRONMENT = '.venv-official'
_SCRIPTS = pathlib.Path(__file__).parent / 'official'
_CURE = (
    f'make it with `python3 -m venv {_ENVIRONMENT}` and '
    f"`{_ENVIRONMENT}/bin/pip install 'numpy<2.3' cityscapesscripts==2.3.0 hotcoco==1.3.0`"
)


def interpreter(given: str | None = None) -> str:
    """Finds the evaluators' Python: as given, by $PANPIPE_OFFICIAL_PYTHON, or in a folder `.venv-official`.

    That folder is looked for in the current directory and beside the environment that runs this.

    Raises:
      errors.InputError: there is none; the message states how to make it.
    """
    places = (pathlib.Path.cwd(), pathlib.Path(sys.prefix).parent)
    named = given or os.environ.get(VARIABLE)
    candidates = [named] if named else [str(place / _ENVIRONMENT / 'bin' / 'python') for place in places]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return os.path.abspath(candidate)
    raise errors.InputError(
        f'the official evaluators need a Python of their own; there is none at {" or ".join(candidates)}; '
        f'{_CURE}, or name one with --python or ${VARIABLE}'
    )


def judge(python: str, script: str, facts: Mapping[str, Any], scratch: pathlib.Path) -> dict[str, Any]:
    """Runs an evaluator of `official/` on the files that `facts` names, and returns what it found."""
    given, found = scratch / f'{script}.facts.json', scratch / f'{script}.found.json'
    files.write_whole(given, json.dumps(facts).encode())
    call(python, script, str(given), str(found), folder=scratch)
    content: dict[str, Any] = json.loads(found.read_text())
    return content


def call(python: str, script: str, *arguments: str, folder: pathlib.Path | None = None) -> None:
    """Runs a script of `official/`, in `folder` if it leaves files behind.

    Raises:
      errors.InputError: the evaluator is not installed there, or refuses the files; repeats its last words.
    """
    outside = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
    done = subprocess.run(
        [python, str(_SCRIPTS / script), *arguments], env=outside, cwd=folder, capture_output=True, text=True
    )
    if not done.returncode:
        return
    words = (done.stderr.strip() or done.stdout.strip() or f'exit status {done.returncode}').splitlines()[-1]
    if 'ModuleNotFoundError' in words:
        raise errors.InputError(f'{python} lacks an evaluator ({words}); {_CURE}')
    if done.returncode < 0:
        raise errors.InputError(
            f'the official evaluator was killed (signal {-done.returncode}); it may need more memory than '
            'there is: close other programs, or take a larger machine'
        )
    if reason := environment.told(OSError(words)):
        raise errors.InputError(f'the official evaluator stopped: {reason}')
    raise errors.InputError(
        f'the official evaluator stopped at these files: {words}; run `panpipe predict` again'
    )
