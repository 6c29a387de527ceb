"""Which launch put a GPU event on the device: the runtime or driver call with its correlation.

Correlations are unique within a process only, and a GPU event does not say which process it is of. So
each device goes to the process with which it shares most correlations, and among several launches with
the right correlation the last one before the event has it (ids are reused when counters start anew).
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution.intervals import NOBODY, pair_keys
from tracekit.attribution.lookup import last_no_later
from tracekit.trace import Ints, Trace


def launch_of_gpu_events(trace: Trace) -> Ints:
    """For each GPU event the index of its launch in `trace.launches`, `NOBODY` where it has none."""
    launches, events = trace.launches, trace.gpu_events
    if not len(launches) or not len(events):
        return np.full(len(events), NOBODY, np.int32)
    if (found := _only_match(launches.correlation, events.correlation)) is not None:
        return found
    process = trace.processes[launches.thread]
    found = _match([launches.correlation], launches.start, [events.correlation], events.start)
    if len(np.unique(process)) > 1:
        own_process = _process_of_devices(process, launches.correlation, events.device, events.correlation)[
            events.device
        ]
        within = _match(
            [launches.correlation, process], launches.start, [events.correlation, own_process], events.start
        )
        found = np.where(within != NOBODY, within, found)
    return found


def _process_of_devices(
    process: Ints, launch_correlation: Ints, device: Ints, event_correlation: Ints
) -> Ints:
    """The process that has most of the correlations of each device's events."""
    order = np.lexsort((process, launch_correlation))
    correlation, process = launch_correlation[order], process[order]
    is_new = np.r_[True, (correlation[1:] != correlation[:-1]) | (process[1:] != process[:-1])]
    correlation, process = correlation[is_new], process[is_new]
    first = np.searchsorted(correlation, event_correlation, side="left")
    count = np.searchsorted(correlation, event_correlation, side="right") - first
    event = np.repeat(np.arange(len(device)), count)
    position = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
    shape = int(device.max(initial=0)) + 1, int(process.max(initial=0)) + 1
    ballot = pair_keys(device[event], process[first[event] + position], shape[1])
    return _shared_out(np.bincount(ballot, minlength=shape[0] * shape[1]).reshape(shape))


def _shared_out(votes: Ints) -> Ints:
    """For each device the process with most votes; where several have as many, one with the fewest devices.

    Ranks that run the same program number their calls alike. In a file merged of their traces every device
    has then as much of all processes, and the devices stand in the order of their processes.
    """
    winner: Ints = votes.argmax(axis=1)
    most = votes.max(axis=1)
    is_tied = ((votes == most[:, None]).sum(axis=1) > 1) & (most > 0)
    owned = np.bincount(winner[~is_tied & (most > 0)], minlength=votes.shape[1])
    for device in np.flatnonzero(is_tied):
        tied = np.flatnonzero(votes[device] == most[device])
        winner[device] = tied[owned[tied].argmin()]
        owned[winner[device]] += 1
    return winner


def _only_match(launch_correlation: Ints, event_correlation: Ints) -> Ints | None:
    """The launch that has each event's correlation; None where some launches share one."""
    order = np.argsort(launch_correlation, kind="stable").astype(np.int32)
    order = order[np.searchsorted(launch_correlation[order], 0) :]
    correlation = launch_correlation[order]
    if (correlation[1:] == correlation[:-1]).any():
        return None
    place = np.searchsorted(correlation, event_correlation)
    known = (place < len(correlation)) & (event_correlation >= 0)
    known[known] = correlation[place[known]] == event_correlation[known]
    found = np.full(len(event_correlation), NOBODY, np.int32)
    found[known] = order[place[known]]
    return found


def _match(launch_keys: list[Ints], launch_start: Ints, event_keys: list[Ints], event_start: Ints) -> Ints:
    """The last launch before each event with its keys, else the first one after it."""
    nearest = last_no_later(launch_keys, launch_start, event_keys, event_start)
    missing = np.flatnonzero(nearest == NOBODY)
    nearest[missing] = last_no_later(
        launch_keys, -launch_start, [key[missing] for key in event_keys], -event_start[missing]
    )
    return np.where(event_keys[0] >= 0, nearest, NOBODY)
