"""The one error that means: what the user gave us is wrong, and here is what was expected."""


class InputError(ValueError):
    """Bad input from outside: a file, a field, a flag.

    The message is one line that names the file (or flag), the field, the value found and what was
    expected. The command line prints it and exits with code 2; Python callers get it as a ``ValueError``.
    """
