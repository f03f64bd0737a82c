"""Texts that ordinary code gets wrong, tried on every front before it is shipped."""

from __future__ import annotations

NASTY = (
    "",
    " ",
    "  two  spaces ",
    "tab\tnew\nline\r\n\x0b\x0c",
    "".join(map(chr, range(1, 0xA1))),  # every control character, and all of ASCII
    "The quick BROWN fox, iPhone McDonald don't; e.g. 3.14 (50%) a_b@c.de #1",
    "Ünïcödé İstanbul ΣΊΣΥΦΟΣ straße STRASSE ǅ ŉ ﬁ",
    "e\u0301 and \u00e9, 각 and \u1100\u1161\u11a8, \u0344",  # combining, composed or not
    "مرحبا עברית ไทย हिन्दी தமிழ் 한국어",
    "mixed 中文abc１２３ＡＢＣ，。「引号」カタカナひらがな",
    "𠀀𠮷 \U0003134f \U000323af",  # Han beyond the first plane
    "👩‍👩‍👧 🇨🇳 👍🏽 ☺️ \U0001faf8",
    "…—“quotes”‘’\u00ad\u200b\u200d\u2060\ufeff",
    "\u202eright to left\u202c \u2028\u2029\u3000\u1680",
    "\ud7ff\ue000\ufdd0\ufffe\uffff\U00010000\U000e0041\U000fffff\U0010ffff",  # ends of what there is
    "\x7f\x80\u07ff\u0800",  # ends of what takes so many bytes
    "x" * 10_000,
    "word " * 2_000,
    "é中𠀀" * 1_200,
    "very" * 500 + "\N{FAMILY}" * 600,
)
