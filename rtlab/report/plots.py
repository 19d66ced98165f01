"""Plots as SVG text and PDF, the same bytes for the same input. Pure; matplotlib is used without any global state.

Lines and text are drawn in ``currentColor``, so that a page in light or dark colours shows them in its own; arms differ
by colour and by the shape of their marks.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rtlab.text import clean
from rtlab.units import format_number

# Stands for the page's own colour of text while matplotlib draws.
_INK = "#010203"
# Okabe and Ito's palette for colour-blind readers, the mid-tones that show on white and on black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKS = ("o", "s", "^", "D", "v", "P")
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "rtlab",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "text.parse_math": False,  # a stranger's name with a dollar sign is no formula
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.framealpha": 0,
    "axes.unicode_minus": True,
}
# A curve of so many steps cannot be told from the whole.
MOST_STEPS = 1000
_MOST_LOG = 20.0
_PDF_METADATA = {"CreationDate": None, "Creator": None, "Producer": None}
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a plot says in words.

    Attributes:
        title: One line: what is shown.
        description: For who cannot see it: what stands on the axes, and what comes out.
        where: Drawn in the plot itself, because a plot travels without its page: where it was measured, and whether
            its figures mean anything.
    """

    title: str
    description: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One value: ``order`` is the trial's number, ``value`` in the unit shown."""

    arm: str
    order: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One runtime's values for a distribution plot; ``apart`` draws it dashed and says why (first of their trial)."""

    arm: str
    values: Sequence[float]
    apart: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One line of a forest plot.

    Attributes:
        low, high: None where there is no interval.
        floor: Noise floor, a distance from 1 on the log scale; None where no A/A blocks ran.
        paper: The paper's ratio, or None.
        others: Ratios that others published.
    """

    label: str
    point: float
    low: float | None
    high: float | None
    floor: float | None = None
    paper: float | None = None
    others: tuple[float, ...] = ()


class Plot(str):
    """A plot: its text is the SVG that stands in a page, and ``pdf`` gives the same drawing for a paper."""

    __slots__ = ("figure",)
    figure: Figure

    def pdf(self) -> bytes:
        """With its fonts embedded, and without the moment at which it was made."""
        out = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self.figure.savefig(out, format="pdf", metadata=_PDF_METADATA)
        return out.getvalue()


def dots(name: str, values: Sequence[Dot], arms: Sequence[str], axis: str, words: Words) -> Plot:
    """Every trial a dot, by order of execution; ``name`` keeps the ids of several plots in one page apart."""
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(7.2, 2.9)
        for index, arm in enumerate(arms):
            mine = [v for v in values if v.arm == arm]
            if mine:
                axes.plot(
                    [v.order for v in mine],
                    [v.value for v in mine],
                    linestyle="none",
                    marker=_MARKS[index % len(_MARKS)],
                    color=_COLOURS[index % len(_COLOURS)],
                    markersize=6 if len(values) <= 200 else 3,
                    label=_label(arm),
                )
        largest = max((v.value for v in values), default=0.0)
        smallest = min((v.value for v in values), default=0.0)
        if smallest > 0 and largest > 20 * smallest:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        elif smallest >= 0:
            axes.set_ylim(bottom=0, top=1.1 * largest or 1)
        axes.yaxis.set_major_formatter(FuncFormatter(_tick))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.set_xlabel("trial, in order of execution")
        axes.set_ylabel(_label(axis))
        if values:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=max(1, min(len(arms), 4)), frameon=False)
        return _plot(figure, name, words)


def ecdf(name: str, curves: Sequence[Curve], axis: str, words: Words) -> Plot:
    """Empirical distribution functions: the share of values up to x, one curve per runtime."""
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(7.2, 3.2)
        arms = list(dict.fromkeys(c.arm for c in curves))
        ends = [v for c in curves for v in c.values]
        for curve in curves:
            if not curve.values:
                continue
            xs, shares = _steps(curve.values)
            index = arms.index(curve.arm)
            axes.plot(
                xs,
                shares,
                drawstyle="steps-post",
                linestyle="--" if curve.apart else "-",
                linewidth=1.2 if curve.apart else 1.8,
                color=_COLOURS[index % len(_COLOURS)],
                marker=_MARKS[index % len(_MARKS)],
                markersize=4,
                markevery=max(1, len(xs) // 8),
                label=_label(f"{curve.arm}, {curve.apart}" if curve.apart else curve.arm),
            )
        if ends and min(ends) > 0 and max(ends) > 20 * min(ends):
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif ends and min(ends) >= 0:
            axes.set_xlim(left=0)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f} %"))
        axes.set_xlabel(_label(axis))
        axes.set_ylabel("share of starts")
        if ends:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
        return _plot(figure, name, words)


def _steps(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The function's steps, from 0; of many values evenly spaced ones and both ends, each at its exact share."""
    ordered = sorted(values)
    n = len(ordered)
    places = range(n) if n <= MOST_STEPS else [round(i * (n - 1) / (MOST_STEPS - 1)) for i in range(MOST_STEPS)]
    return [ordered[0], *(ordered[i] for i in places)], [0.0, *((i + 1) / n for i in places)]


def forest(name: str, lines: Sequence[Interval], margin: float, words: Words) -> Plot:
    """Ratios to the baseline with their intervals; the margin as a band, the noise floor as a dotted box per line, the
    paper's value as an open diamond and others' published values as crosses."""
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(7.2, 1.9 + 0.42 * max(1, len(lines)))
        axes.set_xscale("log")
        axes.axvspan(1 / (1 + margin), 1 + margin, color="#888888", alpha=0.3, linewidth=0, label="margin")
        axes.axvline(1.0, color=_INK, linewidth=0.8)
        ends = [1 / (1 + margin), 1 + margin]
        for place, line in enumerate(lines):
            if line.floor is not None and line.floor < _MOST_LOG:
                box = (math.exp(-line.floor), math.exp(line.floor))
                axes.barh(
                    place,
                    box[1] - box[0],
                    left=box[0],
                    height=0.62,
                    facecolor="none",
                    edgecolor=_INK,
                    linestyle=":",
                    linewidth=1.1,
                    label="noise floor (A/A)",
                )
                ends += box
            if line.low is not None and line.high is not None:
                axes.plot(
                    [line.low, line.high],
                    [place, place],
                    color=_COLOURS[0],
                    linewidth=2.5,
                    label="95 % interval",
                )
                ends += [line.low, line.high]
            axes.plot(
                [line.point],
                [place],
                marker="o",
                color=_COLOURS[0],
                markersize=7,
                linestyle="none",
                label="estimate",
            )
            ends.append(line.point)
            published = [("D", _COLOURS[1], "the paper's", [line.paper] if line.paper is not None else [])]
            published.append(("x", _COLOURS[3], "published by others", list(line.others)))
            for mark, colour, label, ratios in published:
                if ratios:
                    axes.plot(
                        ratios,
                        [place + 0.17] * len(ratios),
                        marker=mark,
                        markersize=6,
                        linestyle="none",
                        markerfacecolor="none",
                        markeredgecolor=colour,
                        markeredgewidth=1.4,
                        label=label,
                    )
                    ends += ratios
        # An interval from two blocks may span many powers of ten; the axis then keeps to what can be read.
        low = max(min(ends), min((line.point for line in lines), default=1.0) / 100)
        high = min(max(ends), max((line.point for line in lines), default=1.0) * 100)
        axes.set_xlim(low / 1.15, high * 1.15)
        for place, line in enumerate(lines):
            for end, edge, mark in ((line.low, low / 1.15, "<"), (line.high, high * 1.15, ">")):
                if end is not None and (end < edge if mark == "<" else end > edge):
                    axes.plot([edge], [place], marker=mark, color=_COLOURS[0], clip_on=False, linestyle="none")
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_yticks(range(len(lines)), [_label(line.label) for line in lines])
        axes.set_xticks(_round_ratios(low / 1.15, high * 1.15))
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("ratio to the baseline (logarithmic)")
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(reversed(labels), reversed(handles), strict=True))
        kept = [label for label in dict.fromkeys(labels) if not label.startswith("_")]
        figure.legend([once[k] for k in kept], kept, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
        return _plot(figure, name, words)


def _round_ratios(low: float, high: float) -> list[float]:
    """Ticks at round ratios, at most nine."""
    for steps in ((0.8, 0.9, 1, 1.1, 1.25, 1.5), (1, 2, 5), (1, 3), (1,)):
        ticks = sorted({s * 10.0**power for power in range(-6, 7) for s in steps})
        inside = [t for t in ticks if low <= t <= high]
        if len(inside) <= 9 and (len(inside) >= 2 or steps == (1,)):
            return inside
    return [1.0]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, color="#888888", linewidth=0.6)
    return figure, axes


def _tick(value: float, _place: int) -> str:
    text = format_number(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _label(text: str) -> str:
    shown = clean(text)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return f" {shown}" if shown.startswith("_") else shown  # matplotlib hides labels that begin with _


def _plot(figure: Figure, name: str, words: Words) -> Plot:
    figure.supxlabel(clean(words.where)[:120], x=0.01, ha="left", fontsize=9, fontweight="bold")
    out = io.StringIO()
    with warnings.catch_warnings():
        # Names in scripts that matplotlib's own font lacks are text in the SVG: the reader's font shows them.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(out, format="svg", metadata=_METADATA)
    text = out.getvalue()
    text = text[text.index("<svg") :]  # the XML declaration and document type do not belong inside HTML
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = text.replace(_INK, "currentColor")
    prefix = re.sub("[^a-z0-9]+", "-", name.lower())
    plot = Plot(_named(_own_ids(text, prefix), prefix, words))
    plot.figure = figure
    return plot


def _named(text: str, prefix: str, words: Words) -> str:
    """The SVG as one image with a name and a description, for screen readers."""
    end = text.index(">") + 1
    head = text[4 : end - 1]
    told = (escape(clean(t)) for t in (words.title, f"{words.description} {words.where}."))
    title, description = told
    return (
        f'<svg role="img" aria-labelledby="{prefix}-title" aria-describedby="{prefix}-desc"{head}>\n'
        f'<title id="{prefix}-title">{title}</title>\n<desc id="{prefix}-desc">{description}</desc>{text[end:]}'
    )


def _own_ids(text: str, prefix: str) -> str:
    """Ids with a prefix, so that several plots stand in one page."""
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{prefix}-\1"', text)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
