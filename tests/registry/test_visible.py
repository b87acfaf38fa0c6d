"""Texts that nobody can see, characters that hide in others, and those that belong where they are."""

import pytest

from metagan.registry.visible import is_visible, stray_characters

INVISIBLE = {
    "zero width": "\u200b\u200c\u200d\u2060",
    "accents on nothing": "\u0301\u0308 \u20dd",
    "byte order mark": "\ufeff",
    "bidi overrides": "\u202e\u202d\u202c",
    "bidi isolates": "\u2066\u2069",
    "direction marks": "\u200e\u200f\u061c",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "Braille blank": "\u2800",
    "reserved": "\U000e0fff",
    "null notehead": "\U0001d159",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "soft hyphen": "\u00ad",
    "variation selectors": "\ufe0f\U000e0100",
    "grapheme joiner": "\u034f",
    "Khmer vowels": "\u17b4\u17b5",
    "Mongolian": "\u180b\u180e",
    "deprecated": "\u206a\u206f",
    "invisible operators": "\u2062\u2064",
    "annotations": "\ufff9\ufffb",
    "spaces": "\u00a0\u2003\u3000",
    "noncharacters": "\ufdd0\U0001ffff",
}

WHOLE = {
    "emoji of several people": "👩‍👩‍👧‍👦 family",
    "an astronaut of a shade": "👩🏽‍🚀",
    "a heart with its selector": "❤️‍🔥 and ☎️",
    "a flag with tags": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a rainbow flag": "🏳️‍🌈",
    "Persian": "می‌خواهم",
    "an Arabic abbreviation": "1447 ه‍",
    "Hindi": "क्‍ष and क्‌ष",
    "Malayalam": "അവന്‍",
    "Sinhala": "ශ්‍රී",
    "Thai": "สวัสดี\u200bครับ",
    "Khmer": "ភាសា\u200bខ្មែរ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
    "Hebrew with a mark": "שלום (a)\u200f",
    "isolates beside Arabic": "\u2067قطة\u2069 is a cat",
    "old Korean": "\u115fᅡ",
    "Braille": "⠁\u2800⠃",
    "a soft hyphen": "Grund\u00adstück",
    "a decomposed letter": "Ko\u0308ter",
    "a no-break space": "no\u00a0break",
    "an Arabic number sign": "\u0600١",
    "a letter's variant": "葛\U000e0100",
}

STRAY = {
    "ape\u200b": "U+200B ZERO WIDTH SPACE",
    "a\u200dpe": "U+200D ZERO WIDTH JOINER",
    "👩\u200d astronaut": "U+200D ZERO WIDTH JOINER",
    "a\u200cpe": "U+200C ZERO WIDTH NON-JOINER",
    "\ufeffape": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "ape\u202eexe": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "قطة\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "قطة \u2067never closed": "U+2067 RIGHT-TO-LEFT ISOLATE",
    "قطة\u2069": "U+2069 POP DIRECTIONAL ISOLATE",
    "ape\u200f": "U+200F RIGHT-TO-LEFT MARK",
    "ape\u3164": "U+3164 HANGUL FILLER",
    "ape\u2800": "U+2800 BRAILLE PATTERN BLANK",
    "ape\U000e0041": "U+E0041 TAG LATIN CAPITAL LETTER A",
    "🏴\U000e0067\U000e0062": "U+E0067 TAG LATIN SMALL LETTER G",
    "ape \u00ad": "U+00AD SOFT HYPHEN",
    "\ufe0fape": "U+FE0F VARIATION SELECTOR-16",
    "a\u2060pe": "U+2060 WORD JOINER",
    "a\x07pe": "U+0007",
    "a\uffffpe": "U+FFFF",
}


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_nobody_sees_a_text_of_invisible_characters(text: str):
    assert not is_visible(text)
    assert not is_visible(text * 3 + " ")
    assert is_visible(text + "a")


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_what_shapes_emoji_and_letters_belongs_there(text: str):
    assert is_visible(text)
    assert stray_characters(text) == []


@pytest.mark.parametrize(("text", "name"), STRAY.items(), ids=STRAY.values())
def test_a_character_that_has_nothing_to_do_is_stray(text: str, name: str):
    place, found = stray_characters(text)[0]
    assert found == name
    assert f"{ord(text[place]):04X}" in name
