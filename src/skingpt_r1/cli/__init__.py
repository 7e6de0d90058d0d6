"""The command line: each command parses, calls one library function and prints."""

import typer

RESEARCH = "For research, not for diagnosis."


def closing(*examples: str) -> str:
    """The end of a help text: examples, one a line, and what the output must not be used for."""
    heading = "Example:" if len(examples) == 1 else "Examples:"
    lines = "\n".join(f"  {example}" for example in examples)
    # A line with only \b keeps the line breaks that follow it.
    return f"\b\n{heading}\n{lines}\n\n{RESEARCH}"


def finish(*lines: str) -> None:
    """Print the last lines of a command, and what its output must not be used for."""
    for line in (*lines, RESEARCH):
        typer.echo(line)
