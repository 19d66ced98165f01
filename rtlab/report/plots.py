"""Plots as SVG text and PDF, the same bytes for the same input. Pure; matplotlib is used without any global state.

Lines and text are drawn in ``currentColor``, so that a page in light or dark colours shows them in its own; arms differ
by colour and by the shape of their marks.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from rtlab.text import clean
from rtlab.units import format_number

# Stands for the page's own colour of text while matplotlib draws.
_INK = "#010203"
# For colour-blind readers after Okabe and Ito; each has a contrast of 3 to 1 and more on the page's white and its dark.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c76b9e", "#9a7500", "#7b61c9")
_TONES = {
    "worse": "#d55e00",
    "better": "#0072b2",
    "same": "#009e73",
    "unclear": "#808080",
    "withheld": "#c76b9e",
    "none": "#808080",
}
# What the panel beside the logarithmic one shows: near 1 the whole axis hides every difference.
_NEAR = (0.8, 1.25)
# Inches: what a telephone shows without shrinking its text, and a page beside its own text.
_NARROW, _USUAL, _WIDE = 3.9, 4.9, 7.4
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
        told: Ratio and interval as text, with the verdict's sign and word.
        tone: Of the verdict: its colour.
        floor: Noise floor, a distance from 1 on the log scale; None where no A/A blocks ran.
        paper: The paper's ratio, or None.
        others: Ratios that others published.
    """

    label: str
    point: float
    low: float | None
    high: float | None
    told: str = ""
    tone: str = "unclear"
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
        figure, axes = _figure(_USUAL, 3.0)
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
            figure.legend(loc="outside upper center", ncols=_columns(map(_label, arms)), frameon=False, fontsize=9)
        return _plot(figure, name, words)


def ecdf(name: str, curves: Sequence[Curve], axis: str, words: Words) -> Plot:
    """Empirical distribution functions: the share of values up to x, one curve per runtime."""
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(_USUAL, 3.4)
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
                label=_label(curve.arm),
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
            for apart in dict.fromkeys(curve.apart for curve in curves if curve.apart):
                axes.plot([], [], color=_INK, linestyle="--", linewidth=1.2, label=_label(f"dashed: {apart}"))
            handles, labels = axes.get_legend_handles_labels()
            once = dict(zip(reversed(labels), reversed(handles), strict=True))
            names = list(dict.fromkeys(labels))
            handles = [once[n] for n in names]
            figure.legend(handles, names, loc="outside upper center", ncols=_columns(names), frameon=False, fontsize=9)
        return _plot(figure, name, words)


def _steps(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The function's steps, from 0; of many values evenly spaced ones and both ends, each at its exact share."""
    ordered = sorted(values)
    n = len(ordered)
    places = range(n) if n <= MOST_STEPS else [round(i * (n - 1) / (MOST_STEPS - 1)) for i in range(MOST_STEPS)]
    return [ordered[0], *(ordered[i] for i in places)], [0.0, *((i + 1) / n for i in places)]


def _columns(names: Iterable[str]) -> int:
    """How many names of a legend stand side by side."""
    lengths = sorted(map(len, names)) or [1]
    return max(1, min(4, 52 // (lengths[len(lengths) * 3 // 4 - 1] + 6)))


def forest(name: str, lines: Sequence[Interval], margin: float, words: Words, *, narrow: bool = False) -> Plot:
    """Ratios to the baseline with their intervals, on a logarithmic axis and beside it near 1; numbers and verdict at
    the right, or above each line where the plot is narrow. The margin is a band, the noise floor a dotted box per line,
    the paper's value an open diamond, others' published values are crosses."""
    with matplotlib.rc_context(_SETTINGS):
        width = _NARROW if narrow else _WIDE
        height = 1.75 + (0.5 if narrow else 0.36) * max(1, len(lines))
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        whole, near = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 2)})
        low, high = _ends(lines, margin)
        for axes, ends in ((whole, (low / 1.15, high * 1.15)), (near, _NEAR)):
            _dressed(axes)
            axes.set_xscale("log")
            axes.set_xlim(*ends)
            _band(axes, margin, len(lines), narrow=narrow)
            for place, line in enumerate(lines):
                _interval(axes, place, line, ends)
            axes.xaxis.set_major_formatter(FuncFormatter(_tick))
            axes.xaxis.set_minor_locator(NullLocator())
        whole.set_xticks(_round_ratios(low / 1.15, high * 1.15))
        near.set_xticks([0.8, 0.9, 1, 1.1, 1.25] if not narrow else [0.8, 1, 1.25])
        whole.set_ylim(len(lines) - 0.4, -0.75 if narrow else -0.6)
        whole.set_xlabel("ratio (logarithmic)" if narrow else "ratio to the baseline (logarithmic)")
        near.set_xlabel(f"{_NEAR[0]:g} to {_NEAR[1]:g}")
        _told(whole, near, lines, narrow=narrow)
        whole.plot([], [], color=_INK, linewidth=2.5, marker="o", markersize=7, label="estimate, 95 % interval")
        handles, labels = whole.get_legend_handles_labels()
        once = dict(zip(reversed(labels), reversed(handles), strict=True))
        kept = [label for label in dict.fromkeys(labels) if not label.startswith("_")]
        columns = 2 if narrow else 5
        figure.legend(
            [once[k] for k in kept], kept, loc="outside upper center", ncols=columns, frameon=False, fontsize=9
        )
        return _plot(figure, name, words)


def _band(axes: Axes, margin: float, lines: int, *, narrow: bool) -> None:
    """The margin and the line at 1; where text stands between the lines they leave it room."""
    low, high = 1 / (1 + margin), 1 + margin
    if not narrow:
        axes.axvspan(low, high, color="#888888", alpha=0.3, linewidth=0, label="margin")
        axes.axvline(1.0, color=_INK, linewidth=0.8)
        return
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for place in range(lines):
        axes.barh(
            place, high - low, left=low, height=0.4, color="#888888", alpha=0.3, linewidth=0, label="margin", zorder=0
        )
        axes.plot([1, 1], [place - 0.2, place + 0.2], color=_INK, linewidth=0.8)
        axes.axhline(place, color="#888888", alpha=0.4, linewidth=0.6, zorder=0)


def _ends(lines: Sequence[Interval], margin: float) -> tuple[float, float]:
    """What the whole axis spans. An interval from two blocks may span many powers of ten; the axis keeps to what can
    be read."""
    ends = [1 / (1 + margin), 1 + margin]
    for line in lines:
        ends += [x for x in (line.point, line.low, line.high, line.paper, *line.others) if x is not None]
        if line.floor is not None and line.floor < _MOST_LOG:
            ends += [math.exp(-line.floor), math.exp(line.floor)]
    points = [line.point for line in lines] or [1.0]
    return max(min(ends), min(points) / 100), min(max(ends), max(points) * 100)


def _interval(axes: Axes, place: int, line: Interval, ends: tuple[float, float]) -> None:
    """One line of the forest in one panel; what lies beyond it is an arrow at its edge."""
    colour = _TONES.get(line.tone, _TONES["none"])
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
    if line.low is not None and line.high is not None:
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2.5)
    axes.plot([line.point], [place], marker="o", color=colour, markersize=7, linestyle="none")
    published = [("D", "the paper's", [line.paper] if line.paper is not None else [])]
    published.append(("x", "published by others", list(line.others)))
    for mark, label, ratios in published:
        if ratios:
            axes.plot(
                ratios,
                [place + 0.17] * len(ratios),
                marker=mark,
                markersize=6,
                linestyle="none",
                markerfacecolor="none",
                markeredgecolor=_INK,
                markeredgewidth=1.2,
                label=label,
            )
    least, most = (x if x is not None else line.point for x in (line.low, line.high))
    for beyond, edge, mark in ((least < ends[0], ends[0], "<"), (most > ends[1], ends[1], ">")):
        if beyond:
            axes.plot([edge], [place], marker=mark, color=colour, clip_on=False, linestyle="none")


def _told(whole: Axes, near: Axes, lines: Sequence[Interval], *, narrow: bool) -> None:
    """Each line's name, numbers and verdict."""
    places = range(len(lines))
    if narrow:
        whole.set_yticks(places, [""] * len(lines))
        for place, line in enumerate(lines):
            told = f"{_label(line.label)}  {_label(line.told)}"
            whole.text(
                0, place - 0.24, told, transform=whole.get_yaxis_transform(), fontsize=9, va="bottom", in_layout=False
            )
        return
    whole.set_yticks(places, [_label(line.label) for line in lines])
    near.yaxis.tick_right()
    near.tick_params(axis="y", length=0)
    for place, line in enumerate(lines):
        near.text(1.08, place, _label(line.told), transform=near.get_yaxis_transform(), va="center", fontsize=9.5)
    near.tick_params(axis="y", labelright=False)


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
    _dressed(axes)
    return figure, axes


def _dressed(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, color="#888888", linewidth=0.6)


def _tick(value: float, _place: int) -> str:
    text = format_number(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _label(text: str) -> str:
    shown = clean(text)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return f" {shown}" if shown.startswith("_") else shown  # matplotlib hides labels that begin with _


def _plot(figure: Figure, name: str, words: Words) -> Plot:
    where = "\n".join(textwrap.wrap(clean(words.where)[:120], int(11.5 * figure.get_figwidth())))
    figure.supxlabel(where, x=0.01, ha="left", fontsize=9, fontweight="bold")
    out = io.StringIO()
    with warnings.catch_warnings():
        # Names in scripts that matplotlib's own font lacks are text in the SVG: the reader's font shows them.
        warnings.simplefilter("ignore", UserWarning)
        # Laid out once: savefig would do it twice, in a drawing that it throws away and in its own.
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
        figure.set_layout_engine("none")
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
    for mention in (' id="', 'xlink:href="#', "url(#"):
        text = text.replace(mention, f"{mention}{prefix}-")
    return text
