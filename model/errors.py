# SPDX-License-Identifier: Apache-2.0
"""Errors that users see as one line."""


class InputError(ValueError):
    """Signals a user's mistake: its message says what is wrong, where, and how to cure it.

    Jobs turn it into one line on standard error and exit status 2. Any other exception is a fault of the
    program and keeps its traceback.
    """


class FileError(InputError):
    """Signals that a file cannot be used; its parts let a list of faults word place and cure anew.

    Attributes:
      what: is wrong with the file, as a sentence whose subject is the file.
      cure: what to do about it.
    """

    def __init__(self, where: str, what: str, cure: str) -> None:
        """Joins the three parts to one line; `where` names the file."""
        super().__init__(f'{where} {what}; {cure}')
        self.where, self.what, self.cure = where, what, cure

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Lets the error travel between processes."""
        return type(self), (self.where, self.what, self.cure)


class JobError(RuntimeError):
    """Signals that a job failed though nothing was wrong with its input: one line, exit status 1."""
