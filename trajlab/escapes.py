"""What a terminal would take for commands, and a figure has no glyph for."""


def inert(text: str) -> str:
    """Return text with its control characters written out: a terminal would obey them.

    Parameters
    ----------
    text
        What may come from a file that somebody else wrote.
    """
    return "".join(c if c.isprintable() or c in " \n" else repr(c)[1:-1] for c in text)
