"""Renderers of a `Job`, one file per output. They select, order and add up; nothing here is measured."""

from tracekit.report.job.saving import DEFAULT_FORMATS, JOB_FORMATS, save_job

__all__ = ["DEFAULT_FORMATS", "JOB_FORMATS", "save_job"]
