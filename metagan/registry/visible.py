"""Whether a text can be seen: invisible characters alone are no text, and stray ones are refused.

Unicode's invisible characters shape what stands beside them: joiners inside emoji and inside scripts that
need them, variation selectors, soft hyphens, direction marks beside right-to-left letters. There they stay.
Anywhere else they hide something, or nothing. Unicode 15, chapter 23, and UTS 51 for emoji.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_JOINER, _NON_JOINER, _ZERO_SPACE = "\u200d", "\u200c", "\u200b"
_SOFT_HYPHEN, _GRAPHEME_JOINER, _VOWEL_SEPARATOR = "\u00ad", "\u034f", "\u180e"
_ISOLATES, _POP_ISOLATE = frozenset("\u2066\u2067\u2068"), "\u2069"
_DIRECTIONS = frozenset("\u200e\u200f\u061c") | _ISOLATES | {_POP_ISOLATE}
_JAMO_FILLERS, _OTHER_FILLERS = frozenset("\u115f\u1160"), frozenset("\u3164\uffa0")
_BLANK_BRAILLE = "\u2800"
# Arabic, Syriac and Kaithi number signs are of the category of invisible characters, but are drawn.
_DRAWN = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
_SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_KHMER_VOWELS = frozenset("\u17b4\u17b5")
# Reserved for characters that are ignored by default (Unicode 15, section 5.21), and two that are drawn as nothing.
_RESERVED = re.compile("[\u2065\ufff0-\ufff8\U00016fe4\U0001d159\U000e0000-\U000e0fff]")
# A black flag, the tags of a region, and the tag that ends them.
_TAGGED_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]+\U000e007f")
_EMOJI = re.compile("[\u00a9\u00ae\u203c\u2049\u2122-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]")

# Scripts whose letters join, or whose syllables are built of several characters.
_JOINING = re.compile(
    "ADLAM|ARABIC|AVESTAN|BALINESE|BENGALI|BRAHMI|CHAKMA|CHORASMIAN|DEVANAGARI|GRANTHA|GUJARATI|GURMUKHI|HANIFI"
    "|JAVANESE|KAITHI|KANNADA|KHAROSHTHI|KHMER|LEPCHA|MALAYALAM|MANDAIC|MANICHAEAN|MEETEI|MODI|MONGOLIAN|MYANMAR"
    "|NEWA|NKO|ORIYA|PHAGS-PA|PSALTER|SHARADA|SINHALA|SOGDIAN|SYRIAC|TAI|TAMIL|TELUGU|TIBETAN|TIRHUTA"
)
# Scripts that write no spaces between words; a space of no width says where a line may end.
_SPACELESS = re.compile("THAI|LAO|KHMER|MYANMAR|TIBETAN|TAI|CJK|HIRAGANA|KATAKANA|JAVANESE|BALINESE")


def is_visible(text: str) -> bool:
    """Whether a reader sees anything of a text; marks without a letter to stand on are no text."""
    return any(_is_drawn(one) and unicodedata.category(one)[0] != "M" for one in text)


def stray_characters(text: str) -> list[tuple[int, str]]:
    """Find the control and invisible characters that have nothing to do where they stand.

    Returns:
        The place, from 0, and the name of each: (3, "U+202E RIGHT-TO-LEFT OVERRIDE").
    """
    flags = {place for flag in _TAGGED_FLAG.finditer(text) for place in range(*flag.span())}
    lonely = _lonely_isolates(text)
    return [
        (place, _name(character))
        for place, character in enumerate(text)
        if not _is_drawn(character) and place not in flags and (place in lonely or not _belongs(text, place))
    ]


def _is_drawn(character: str) -> bool:
    """Whether a character leaves ink, or is a mark on one that does."""
    if character in _OTHER_FILLERS | _JAMO_FILLERS | _KHMER_VOWELS | {_GRAPHEME_JOINER, _BLANK_BRAILLE}:
        return False
    if _SELECTORS.match(character) or _RESERVED.match(character):
        return False
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}:
        return _DRAWN.match(character) is not None
    return not _is_noncharacter(character)


def _belongs(text: str, place: int) -> bool:
    """Whether an undrawn character has something to do between its neighbours."""
    character, before, after = text[place], text[:place][-1:], text[place + 1 :][:1]
    beside = (before, after)
    if unicodedata.category(character) == "Zs":
        return True
    if _SELECTORS.match(character):
        return before != "" and _is_drawn(before)
    rules: dict[str, Callable[[], bool]] = {
        _JOINER: lambda: _joins_emoji(text, place) or _is_beside(_JOINING, *beside),
        _NON_JOINER: lambda: _is_beside(_JOINING, *beside),
        _ZERO_SPACE: lambda: _is_beside(_SPACELESS, *beside),
        _SOFT_HYPHEN: lambda: all(map(_is_letter, beside)),
        _GRAPHEME_JOINER: lambda: all(map(_is_letter, beside)),
        _VOWEL_SEPARATOR: lambda: _script(before) == "MONGOLIAN",
        _BLANK_BRAILLE: lambda: re.search("[\u2801-\u28ff]", text) is not None,
        **dict.fromkeys(_DIRECTIONS, lambda: _has_right_to_left(text)),
        **dict.fromkeys(
            _JAMO_FILLERS, lambda: re.search("[\u1100-\u115e\u1161-\u11ff]", "".join(beside)) is not None
        ),
        **dict.fromkeys(_KHMER_VOWELS, lambda: _script(before) == "KHMER"),
    }
    belongs = rules.get(character, lambda: _script(character) == _script(before) == "EGYPTIAN")
    return belongs()


def _is_beside(scripts: re.Pattern[str], *neighbours: str) -> bool:
    return any(scripts.fullmatch(_script(one)) for one in neighbours)


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(one) in {"R", "AL"} for one in text if one not in _DIRECTIONS)


def _joins_emoji(text: str, place: int) -> bool:
    """Whether a joiner has emoji at both sides; selectors and shades of skin may stand between."""
    before = re.sub("[\ufe0f\U0001f3fb-\U0001f3ff]+$", "", text[:place]) or text[:place]
    return bool(_EMOJI.fullmatch(before[-1:]) and _EMOJI.fullmatch(text[place + 1 : place + 2]))


def _lonely_isolates(text: str) -> set[int]:
    """The places of isolates that are never closed, and of closings that close nothing."""
    opened: list[int] = []
    lonely: set[int] = set()
    for place, character in enumerate(text):
        if character in _ISOLATES:
            opened.append(place)
        elif character == _POP_ISOLATE:
            if opened:
                opened.pop()
            else:
                lonely.add(place)
    return lonely | set(opened)


def _is_letter(character: str) -> bool:
    return character != "" and unicodedata.category(character)[0] in "LM"


def _is_noncharacter(character: str) -> bool:
    return ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef"


def _script(character: str) -> str:
    """The first word of a character's name, which for letters is its script's."""
    return unicodedata.name(character, "").partition(" ")[0] if character else ""


def _name(character: str) -> str:
    named = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {named}".rstrip()
