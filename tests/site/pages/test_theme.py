"""Whatever colours a site asks for, text in them can be read."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metagan.errors import BuildError
from metagan.registry.models import Theme
from metagan.site.pages.templates import default_templates_dir
from metagan.site.pages.theme import (
    DARK_PAGE,
    LIGHT_PAGE,
    TEXT_CONTRAST,
    card_colours,
    contrast,
    readable,
    theme_css,
)

COLOURS = st.from_regex(r"#[0-9a-f]{6}|#[0-9A-F]{3}", fullmatch=True)


def test_contrast_is_wcag_s():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.478, abs=1e-3)


@given(COLOURS)
def test_every_accent_gets_a_readable_shade_on_both_pages(colour: str):
    for page in (LIGHT_PAGE, DARK_PAGE):
        assert contrast(readable(colour, page), page) >= TEXT_CONTRAST


@given(COLOURS)
def test_every_button_s_text_can_be_read(colour: str):
    on_accent = re.search(
        r"--on-accent:(#\w+)", theme_css(Theme.model_construct(accent=colour, accent_dark=colour), [])
    )[1]
    assert contrast(on_accent, colour) >= 4.5


def test_a_readable_accent_is_left_alone():
    assert readable(Theme().accent, LIGHT_PAGE) == Theme().accent
    assert readable(Theme().accent_dark, DARK_PAGE) == Theme().accent_dark


def test_each_picture_size_has_its_proportions():
    css = theme_css(Theme(), [(32, 32), (256, 128), (32, 32)])
    assert css.count(".r-32-32{--ratio:calc(32/32)}") == 1
    assert ".r-256-128{--ratio:calc(256/128)}" in css


def test_what_is_no_colour_is_refused():
    with pytest.raises(BuildError, match="want a hex colour"):
        theme_css(Theme.model_construct(accent="red;}"), [])


def test_the_pages_own_colours_are_the_style_sheet_s():
    css = Path(default_templates_dir() / "static" / "site.css").read_text()
    assert re.findall(r"--page: (#\w+);", css) == [LIGHT_PAGE, DARK_PAGE]
    colours = card_colours(Theme())
    light = [getattr(colours, name) for name in ("mat", "edge", "ink", "soft")]
    assert [re.search(rf"--{name}: (#\w+);", css)[1] for name in ("mat", "edge", "ink", "soft")] == light
