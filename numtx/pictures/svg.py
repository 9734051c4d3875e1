"""Two of the pictures as SVG: the causal mask and its effect, and the memory of a cache.

Each is one file without references: fonts are named, not embedded; colours follow the reader's
light or dark scheme; what colour says, hatching, dashes and labels say too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..show.grid import display_width
from ..show.numbers import fixed
from .terminal import GIB, MaskPicture, MemoryCurve

FONT = (
    "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'Source Han Sans SC', "
    "'PingFang SC', 'Microsoft YaHei', sans-serif"
)

_STYLE = f"""\
text {{ font-family: {FONT}; font-size: 15px; fill: #1c1e21; }}
.title {{ font-size: 18px; font-weight: 600; }}
.small {{ font-size: 13px; fill: #4a4f57; }}
.paper {{ fill: #ffffff; }}
.line {{ stroke: #8a9099; stroke-width: 1; fill: none; }}
.faint {{ stroke: #d9dce1; stroke-width: 1; fill: none; }}
.heat {{ fill: #2f6fd6; }}
.hatch {{ stroke: #8a9099; stroke-width: 1.2; }}
.curve {{ stroke-width: 2.5; fill: none; }}
.c0 {{ stroke: #b3261e; }} .c1 {{ stroke: #9a5b00; }}
.c2 {{ stroke: #1f6f3a; }} .c3 {{ stroke: #2257b8; }}
.c0f {{ fill: #b3261e; }} .c1f {{ fill: #9a5b00; }}
.c2f {{ fill: #1f6f3a; }} .c3f {{ fill: #2257b8; }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e8eaed; }}
  .small {{ fill: #b4bac2; }}
  .paper {{ fill: #17191d; }}
  .line {{ stroke: #7d848e; }}
  .faint {{ stroke: #363b43; }}
  .heat {{ fill: #4d8cf0; }}
  .hatch {{ stroke: #7d848e; }}
  .c0 {{ stroke: #ff8a80; }} .c1 {{ stroke: #ffb74d; }}
  .c2 {{ stroke: #7bd88f; }} .c3 {{ stroke: #82b1ff; }}
  .c0f {{ fill: #ff8a80; }} .c1f {{ fill: #ffb74d; }}
  .c2f {{ fill: #7bd88f; }} .c3f {{ fill: #82b1ff; }}
}}"""

DASHES = ("", "10 5", "2 5", "14 5 2 5")


def causal_mask_svg(picture: MaskPicture, precision: int = 2) -> str:
    """Three squares: weights without a mask, the mask, weights with it."""
    count, top = len(picture.tokens), 142
    longest = 10 * max(display_width(token) for token in picture.tokens)
    cell, left = max(52, longest + 6), max(64, longest + 30)
    side = count * cell
    wide = left + side + 28
    parts = [
        _text(
            20, 34, "因果掩码与注意力权重  The causal mask and its effect on the weights", "title"
        ),
        _text(20, 58, f"{picture.place}   行 rows: queries   列 columns: keys", "small"),
    ]
    heads = (
        ("① 未遮住 without a mask", "softmax(Q·Kᵀ/√d_k)"),
        ("② 掩码 the mask M", "0 可见 may attend，−∞ 未来 future"),
        ("③ 遮住后 with the mask", "softmax(Q·Kᵀ/√d_k + M)"),
    )
    for panel, (head, formula) in enumerate(heads):
        x = panel * wide
        parts += [_text(x + left, 86, head), _text(x + left, 106, formula, "small")]
        parts += _square(picture, panel, x + left, top, cell, precision)
    width, height = 3 * wide, top + side + 52
    note = "斜线 = 被屏蔽，权重恰为 0；每行之和为 1   hatched = masked, weight 0; rows sum to 1"
    parts.append(_text(20, height - 18, note, "small"))
    return _document(
        width, height, "因果掩码 Causal mask",
        f"Attention weights of {count} tokens without a mask, the causal mask, and with it.", parts,
    )  # fmt: skip


def _square(
    picture: MaskPicture, panel: int, x: int, y: int, cell: int, precision: int
) -> list[str]:
    """One square of T x T cells with its labels."""
    parts = []
    values = picture.free if panel == 0 else picture.weights
    for i, token in enumerate(picture.tokens):
        middle = cell * i + cell // 2
        parts.append(_text(x - 10, y + middle + 5, token, anchor="end"))
        parts.append(_text(x + middle, y - 8, token, anchor="middle"))
        for j in range(len(picture.tokens)):
            left, top = x + j * cell, y + i * cell
            masked = panel > 0 and not picture.allowed[i, j]
            value = float(values[i, j])
            if masked:
                fill = 'fill="url(#hatch)"'
            elif panel == 1:
                fill = 'fill="none"'
            else:  # never so full that the number on it is hard to read
                fill = f'class="heat" fill-opacity="{0.55 * value:.3f}"'
            size = f'width="{cell}" height="{cell}"'
            parts.append(f'<rect x="{left}" y="{top}" {size} {fill}/>')
            parts.append(f'<rect x="{left}" y="{top}" {size} class="line"/>')
            text = ("−∞" if masked else "0") if panel == 1 else fixed(value, precision)
            if not masked or panel == 1:
                if masked:  # keep the sign clear of the hatching
                    middle_x, middle_y = left + cell // 2, top + cell // 2
                    parts.append(
                        f'<rect x="{middle_x - 13}" y="{middle_y - 10}" width="26" height="20" '
                        'class="paper"/>'
                    )
                parts.append(_text(left + cell // 2, top + cell // 2 + 5, text, anchor="middle"))
    return parts


def memory_svg(curves: Sequence[MemoryCurve], longest: int, title: str) -> str:
    """Gibibytes over the length of the text, a line for each kind of attention."""
    left, top, width, height = 76, 108, 560, 340
    largest = max(curve.bytes_per_token for curve in curves) * longest / GIB
    parts = [
        _text(20, 34, "KV 缓存的显存  Memory of the key/value cache", "title"),
        _text(20, 58, title, "small"),
        _text(20, 90, "GiB", "small"),
        _text(
            left + width, top + height + 46, "序列长度（token 数） length in tokens", "small", "end"
        ),
    ]
    for k in range(5):
        level = top + height - height * k // 4
        parts.append(
            f'<line x1="{left}" y1="{level}" x2="{left + width}" y2="{level}" class="faint"/>'
        )
        parts.append(_text(left - 10, level + 5, f"{largest * k / 4:.3g}", "small", "end"))
        x = left + width * k // 4
        parts.append(f'<line x1="{x}" y1="{top}" x2="{x}" y2="{top + height}" class="faint"/>')
        parts.append(_text(x, top + height + 22, f"{longest * k // 4:,}", "small", "middle"))
    parts.append(f'<path d="M{left} {top} V{top + height} H{left + width}" class="line"/>')
    ends = [
        top + height - height * curve.bytes_per_token * longest / GIB / largest for curve in curves
    ]
    for k, (curve, y, place) in enumerate(zip(curves, ends, _apart(ends), strict=True)):
        right = left + width
        dash = f' stroke-dasharray="{DASHES[k % 4]}"' if DASHES[k % 4] else ""
        parts.append(
            f'<line x1="{left}" y1="{top + height}" x2="{right}" y2="{y:.1f}" '
            f'class="curve c{k % 4}"{dash}/>'
        )
        parts.append(f'<circle cx="{right}" cy="{y:.1f}" r="4" class="c{k % 4}f"/>')
        if abs(place - y) > 1:
            parts.append(
                f'<line x1="{right + 5}" y1="{y:.1f}" x2="{right + 15}" y2="{place:.1f}" '
                'class="line"/>'
            )
        size = curve.bytes_per_token * longest / GIB
        parts.append(_text(right + 19, place + 5, f"{curve.name}  {size:.3g} GiB"))
    row = top + height + 84
    parts.append(_text(20, row, "每个 token 的字节数  bytes a token", "small"))
    for k, curve in enumerate(curves):
        row += 24
        dash = f' stroke-dasharray="{DASHES[k % 4]}"' if DASHES[k % 4] else ""
        parts.append(
            f'<line x1="20" y1="{row - 5}" x2="66" y2="{row - 5}" class="curve c{k % 4}"{dash}/>'
        )
        parts.append(_text(76, row, f"{curve.name} = {curve.formula} = {curve.bytes_per_token:,}"))
    return _document(
        left + width + 150, row + 24, "KV 缓存的显存 Memory of the key/value cache",
        "Memory grows with the length of the text: "
        + ", ".join(
            f"{curve.name} {curve.bytes_per_token * longest / GIB:.3g} GiB" for curve in curves
        ) + f" at {longest:,} tokens.",
        parts,
    )  # fmt: skip


def _apart(heights: Sequence[float], gap: float = 20.0) -> list[float]:
    """The heights moved up where they lie closer together than a line of text."""
    placed = list(heights)
    above = float("inf")
    for k in sorted(range(len(heights)), key=lambda k: -heights[k]):
        placed[k] = above = min(heights[k], above - gap)
    return placed


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:g}" y="{y:g}"{attributes} xml:space="preserve">{escape(text)}</text>'


def _document(width: int, height: int, title: str, description: str, parts: Sequence[str]) -> str:
    """A whole SVG file."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="title description" '
        'lang="zh">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        '<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="8" class="hatch"/>'
        "</pattern></defs>",
        f'<rect width="{width}" height="{height}" class="paper"/>',
        *parts,
        "</svg>\n",
    ])  # fmt: skip
