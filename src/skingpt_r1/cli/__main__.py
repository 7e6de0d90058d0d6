"""`python -m skingpt_r1.cli` is the `skingpt` program."""

from skingpt_r1.cli.main import main

main()
