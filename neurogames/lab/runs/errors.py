"""What a run raises when its work fails, apart from all that needs torch: the command line catches it."""


class CellError(RuntimeError):
    """A cell that could not be measured or written; the cells finished before stay."""
