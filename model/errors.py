# SPDX-License-Identifier: Apache-2.0
"""Errors that users see as one line."""


class InputError(ValueError):
    """Signals a user's mistake: its message says what is wrong, where, and how to cure it.

    Jobs turn it into one line on standard error and exit status 2. Any other exception is a fault of the
    program and keeps its traceback.
    """


class JobError(RuntimeError):
    """Signals that a job failed though nothing was wrong with its input: one line, exit status 1."""
