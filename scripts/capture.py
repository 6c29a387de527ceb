#!/usr/bin/env python3
"""`tracekit capture` from a clone that is not installed: needs torch and transformers, nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracekit.capture.cli import main

if __name__ == "__main__":
    sys.exit(main())
