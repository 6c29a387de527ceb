"""Jobs made of one real trace: each rank has a copy that begins a little later, and its number in it."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[3] / "sample_traces" / "llama_small.json.gz"
SHIFT_US = 0.5


def make_job(folder: Path, ranks: int, sample: Path = SAMPLE, share: float = 1.0) -> Path:
    """Writes `rank<number>.json.gz` of each into `folder`, of the first `share` of the time of `sample`."""
    document = json.loads(gzip.decompress(sample.read_bytes()))
    document["traceEvents"] = beginning(document["traceEvents"], share)
    info = document.get("distributedInfo", {})
    folder.mkdir()
    for rank in range(ranks):
        document["distributedInfo"] = {**info, "backend": "nccl", "rank": rank, "world_size": ranks}
        for event in document["traceEvents"]:
            if rank and "ts" in event:
                event["ts"] = round(float(event["ts"]) + SHIFT_US, 3)
        text = json.dumps(document, separators=(",", ":")).encode()
        (folder / f"rank{rank}.json.gz").write_bytes(gzip.compress(text, 1))
    return folder


def beginning(events: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """Those that start within the first `share` of the time, and those that have none."""
    starts = [float(event["ts"]) for event in events if event["ph"] == "X"]
    end = min(starts) + share * (max(starts) - min(starts))
    return [event for event in events if event["ph"] != "X" or float(event["ts"]) <= end]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


class _Endless(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.flush()
        while self.rfile.read(1):  # until who asked has gone
            pass

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address at which the files in `folder` are served, and listed."""
    with _served(functools.partial(_Quiet, directory=str(folder))) as address:
        yield address


@contextmanager
def endless() -> Iterator[str]:
    """The address of a server that has every file, but never sends it."""
    with _served(_Endless) as address:
        yield address


@contextmanager
def _served(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
