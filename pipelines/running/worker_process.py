# SPDX-License-Identifier: Apache-2.0
"""A worker process of Beam on this machine, which ends when the program that started it does.

Beam's own worker lives on after its driver was killed, and waits for ever.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def command() -> str:
    """Returns the shell command that starts a worker."""
    return f'exec "{sys.executable}" -m {__spec__.name if __spec__ else __name__}'


def end_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends; elsewhere it does nothing."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it has ended already
            sys.exit(1)


if __name__ == '__main__':
    end_with_parent()
    # Only now, for this takes seconds, in which the parent may end.
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
