"""The error that a user can mend."""


class UserError(ValueError):
    """Wrong input, in one line: what was seen; what was expected; what to do. Scripts print it without a traceback."""
