"""Which launch put a GPU event on the device: the runtime or driver call with its correlation.

Correlations are unique within a process only, and a GPU event does not say which process it is of. So
each device goes to the process with which it shares most correlations, and among several launches with
the right correlation the last one before the event has it (ids are reused when counters start anew).
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask
from tracekit.trace import Ints, Trace


def launch_of_gpu_events(trace: Trace) -> Ints:
    """For each GPU event the index of its launch in `trace.launches`, `NOBODY` where it has none."""
    launches, events = trace.launches, trace.gpu_events
    if not len(launches) or not len(events):
        return np.full(len(events), NOBODY, np.int64)
    process = trace.processes[launches.thread]
    everyone = np.zeros(len(launches), np.int64)
    found = _match(
        everyone, launches.correlation, launches.start, everyone[:0], events.correlation, events.start
    )
    if len(np.unique(process)) > 1:
        own_process = _process_of_devices(process, launches.correlation, events.device, events.correlation)[
            events.device
        ]
        within = _match(
            process, launches.correlation, launches.start, own_process, events.correlation, events.start
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
    votes = np.zeros((device.max(initial=0) + 1, process.max(initial=0) + 1), np.int64)
    np.add.at(votes, (device[event], process[first[event] + position]), 1)
    winner: Ints = votes.argmax(axis=1)
    return winner


def _match(
    launch_group: Ints,
    launch_correlation: Ints,
    launch_start: Ints,
    event_group: Ints,
    event_correlation: Ints,
    event_start: Ints,
) -> Ints:
    """The last launch before each event with its group and correlation, else the first one after it."""
    if not len(event_group):
        event_group = np.zeros(len(event_correlation), np.int64)
    launch_count = len(launch_correlation)
    group = np.concatenate((launch_group, event_group))
    correlation = np.concatenate((launch_correlation, event_correlation))
    start = np.concatenate((launch_start, event_start))
    is_event = np.arange(len(group)) >= launch_count
    order = np.lexsort((is_event, start, correlation, group))
    forward = _nearest_launch(order, is_event, group, correlation)
    backward = _nearest_launch(order[::-1], is_event, group, correlation)
    nearest = np.where(forward != NOBODY, forward, backward)[launch_count:]
    return np.where(event_correlation >= 0, nearest, NOBODY)


def _nearest_launch(order: Ints, is_event: Mask, group: Ints, correlation: Ints) -> Ints:
    """Per element, the nearest launch that stands before it in `order` with the same ids."""
    position = np.arange(len(order))
    last = np.maximum.accumulate(np.where(is_event[order], NOBODY, position))
    candidate = np.where(last != NOBODY, order[last], NOBODY)
    same = (
        (candidate != NOBODY)
        & (group[candidate] == group[order])
        & (correlation[candidate] == correlation[order])
    )
    result = np.full(len(order), NOBODY, np.int64)
    result[order] = np.where(same, candidate, NOBODY)
    return result
