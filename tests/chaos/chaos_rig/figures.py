"""What the tests measured, printed at the end of the run."""


class Figures:
    """Rows of text, by row of the failure model."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str]] = []

    def show(self, row: str, text: str) -> None:
        """One result."""
        self._rows.append((row, text))

    def lines(self) -> list[str]:
        """All of them, in order of the rows."""
        return [
            f"{row:4} {text}"
            for row, text in sorted(self._rows, key=lambda pair: ("RUL".index(pair[0][0]), int(pair[0][1:])))
        ]
