"""Every rank of a distributed job: what a worker makes of one trace, and what is made of all of them.

summary = summarise("rank0.json.gz")         # on the machine that holds the trace
text = encode(summary)                       # small, travels and is cached
job = combine([decode(text), …])             # where all summaries come together
"""

from __future__ import annotations

from tracekit.analysis.ranks.columns import RankSummary, decode, encode
from tracekit.analysis.ranks.job import combine
from tracekit.analysis.ranks.schema import JOB_SCHEMA, Job, LostRank
from tracekit.analysis.ranks.summary import summarise

__all__ = ["JOB_SCHEMA", "Job", "LostRank", "RankSummary", "combine", "decode", "encode", "summarise"]
