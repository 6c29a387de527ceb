#!/usr/bin/env python3
"""`tracekit capture` from a clone that is not installed: needs torch and transformers, nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    try:
        from tracekit.capture.cli import run
    except KeyboardInterrupt:
        print("tracekit capture: interrupted, nothing was written", file=sys.stderr)
        sys.exit(2)
    sys.exit(run())
