"""What makes a command fail, as one sentence for the user."""


class CliError(Exception):
    """The command can't do it. `exit_code` is 2 for wrong usage, else 1."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class Refused(CliError):
    """The cluster refused it, and has changed nothing."""


def describe(error: OSError) -> str:
    """The system's reason in one line, with the file that it is about."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def usage(message: str) -> CliError:
    """The command line itself is wrong."""
    return CliError(message, exit_code=2)
