"""What goes wrong in the lab."""


class LabError(Exception):
    """Something of the lab can't be made or done; the sentence says what to do."""
