"""Diagnose a picture, piece by piece, and then take the narrative apart.

    python examples/diagnose.py PICTURE [MODEL]

For research, not for diagnosis.
"""

import sys

import skingpt_r1 as sg


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python examples/diagnose.py PICTURE [MODEL]")
    model = sg.load_model(sys.argv[2] if len(sys.argv) > 2 else "nano")
    for piece in model.stream(sys.argv[1]):
        if isinstance(piece, sg.Narrative):
            print(f"\ndiagnosis: {piece.diagnosis}")
        else:
            print(piece, end="", flush=True)


if __name__ == "__main__":
    main()
