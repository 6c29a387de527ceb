"""`python -m tracekit`, and the command `tracekit`."""

import sys


def main() -> int:
    """The command line; Ctrl-C has an answer also while it is being imported."""
    try:
        from tracekit.cli import main
    except KeyboardInterrupt:
        print("tracekit: interrupted; nothing is left half-written", file=sys.stderr)
        return 130
    return main()


if __name__ == "__main__":
    raise SystemExit(main())
