"""`report.plot`: the pictures of a report on matplotlib's axes, for notebooks and papers.

Nothing of matplotlib is loaded before a picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracekit.messages import N_, UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tracekit.analysis.schema import Report
    from tracekit.report.i18n import Locale
    from tracekit.report.plots.frame import Picture


class Plots:
    """The pictures of a report, each as matplotlib `Axes` that can be changed or saved further.

    Without `ax` a picture gets a new pyplot figure, so that a notebook shows it, framed as in the files of a
    report; with `ax` it is drawn there, with its title above and its legend inside. Axes that are one of
    several go well into a figure with `layout="constrained"`. `lang` is "en" or "ru".

        axes = report.plot.blocks()
        axes.figure.savefig("blocks.pdf")

        figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
        report.plot.types(ax=left)
        report.plot.roofline(ax=right, top=5)
    """

    def __init__(self, data: Report) -> None:
        self._data = data

    def modules(
        self, ax: Axes | None = None, *, lang: str = "en", top: int = 20, phase: str | None = None
    ) -> Axes:
        """Self time per pass of the `top` slowest modules (60 at most), coloured by type.

        `phase`: of which passes, such as "decode"; by default those with most wall time. Raises `UserError`
        for a phase that the trace does not have, and for a language that there is not.

            report.plot.modules(top=10, phase="decode")
        """
        from tracekit.report.plots.modules import layer_time

        return _drawn(layer_time(self._data, _locale(lang), top, self._known(phase)), ax)

    def types(self, ax: Axes | None = None, *, lang: str = "en", top: int = 12) -> Axes:
        """Self time over the whole trace of the `top` module types, and of what is in no module.

        report.plot.types(lang="ru")
        """
        from tracekit.report.plots.modules import type_time

        return _drawn(type_time(self._data, _locale(lang), top), ax)

    def blocks(self, ax: Axes | None = None, *, lang: str = "en", phase: str | None = None) -> Axes:
        """Time per pass of every block by part; the efficiency is on axes of its own, `axes.figure.axes[-1]`.

        `phase`: of which passes, as in `modules`.

            report.plot.blocks(phase="prefill").set_ylim(0, 2)
        """
        from tracekit.report.plots.blocks import block_time_of

        return _drawn(block_time_of(self._data, _locale(lang), self._known(phase)), ax)

    def roofline(self, ax: Axes | None = None, *, lang: str = "en", top: int = 10) -> Axes:
        """FLOP/s over FLOPs per byte of the operators, below the device's roofs; `top` of them with names.

        report.plot.roofline(top=5)
        """
        from tracekit.report.plots.roofline import roofline

        return _drawn(roofline(self._data, _locale(lang), top), ax)

    def headroom(self, ax: Axes | None = None, *, lang: str = "en", top: int = 20) -> Axes:
        """The `top` places in the model where most would be won, each with its least time and what is above.

        report.plot.headroom(top=10)
        """
        from tracekit.report.plots.headroom import headroom

        return _drawn(headroom(self._data, _locale(lang), top), ax)

    def _known(self, phase: str | None) -> str | None:
        """`phase`, None where the trace has but this one. Raises `UserError` for one that it lacks."""
        names = [row.name for row in self._data.phases if row.passes]
        if phase is None or phase in names:
            return phase if len(names) > 1 else None
        raise UserError(
            N_("phase {phase} is not in the trace; it has: {names}", phase=repr(phase), names=names or ["-"])
        )


def _locale(lang: str) -> Locale:
    from tracekit.report.i18n import Locale

    return Locale(lang)


def _drawn(picture: Picture, ax: Axes | None) -> Axes:
    import matplotlib as mpl

    from tracekit.report.plots.frame import framed, onto
    from tracekit.report.plots.style import STYLE

    with mpl.rc_context(STYLE):
        if ax is not None:
            return onto(picture, ax)
        import matplotlib.pyplot as plt

        return framed(picture, plt.figure()).axes[0]
