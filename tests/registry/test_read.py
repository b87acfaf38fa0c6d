"""registry.yaml into a Registry, or every problem at once."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metagan.errors import OptionError, RegistryError
from metagan.registry.models import Headline, Site, Text, Theme
from metagan.registry.read import find_place, find_subject, read_registry
from metagan.registry.weights_ref import WeightsRef, bundled_names
from tests.registry.conftest import VALID

GOLDEN = Path(__file__).parent / "golden"
HASH = "0123456789abcdef" * 4

FULL = f"""\
site:
  title: These Birds Do Not Exist
  base_url: https://user.github.io/birds
  description: >
    Birds that
    a network dreamt up.
  author: Ada
  theme: {{accent: "#ABCDEF", accent_dark: '#123456'}}
  picture_pages: no
defaults:
  images: 3
  psi: 1
  noise: none
  format: png
subjects:
  hummingbird:
    title: <script>alert(1)</script>
    weights: ./birds.pkl
    sha256: {HASH.upper()}
    licence: unknown
    source: A friend
    exclude: 1
    text: {{corpus: birds.txt}}
  jay-2:
    title: Jay
    weights: hf://owner/repo@v1.0/folder/birds.pkl
    sha256: {HASH}
    licence: MIT
    source: https://example.org
    images: 7, 3-5, 5
    exclude: [4]
    psi: -0.5
    class: 3
    noise: random
    format: avif
"""


def test_a_full_registry_is_read_with_every_default_filled_in(read, folder):
    registry = read(FULL)
    assert registry.path == Path("registry.yaml")
    assert registry.site == Site(
        title="These Birds Do Not Exist",
        base_url="https://user.github.io/birds/",
        description="Birds that a network dreamt up.",
        author="Ada",
        theme=Theme(accent="#abcdef", accent_dark="#123456"),
        picture_pages=False,
    )
    bird, jay = registry.subjects
    assert (bird.slug, bird.title) == ("hummingbird", "<script>alert(1)</script>")
    assert bird.weights == WeightsRef("path", str(folder / "birds.pkl"), HASH, "./birds.pkl")
    assert (bird.licence, bird.source, bird.seeds) == ("unknown", "A friend", (0, 2, 3))
    assert (bird.psi, bird.class_index, bird.noise, bird.format) == (1.0, None, "none", "png")
    assert isinstance(bird.psi, float)
    assert bird.text == Text.model_construct(corpus=folder / "birds.txt")
    location = "owner/repo@v1.0/folder/birds.pkl"
    assert (jay.slug, jay.title) == ("jay-2", "Jay")
    assert jay.weights == WeightsRef("hf", location, HASH, f"hf://{location}")
    assert (jay.licence, jay.source, jay.seeds) == ("MIT", "https://example.org", (7, 3, 5))
    assert (jay.psi, jay.class_index, jay.noise, jay.format) == (-0.5, 3, "random", "avif")
    assert (jay.text, jay.live, jay.upscale) == (None, "auto", None)


def test_what_the_registry_leaves_out_has_documented_defaults(read):
    registry = read(VALID)
    assert registry.site.theme == Theme()
    assert registry.site.picture_pages is True
    subject = registry.subjects[0]
    assert (len(subject.seeds), subject.psi, subject.noise, subject.format) == (100, 0.7, "const", "webp")


def test_the_repository_s_own_registry_is_valid():
    registry = read_registry(Path(__file__).parents[2] / "registry.yaml")
    assert sorted(subject.weights.location for subject in registry.subjects) == bundled_names()


def test_every_mistake_is_reported_at_once_in_the_file_s_order(messages, folder):
    expected = (GOLDEN / "mistakes.txt").read_text().replace("{folder}", str(folder))
    assert "\n".join(messages((GOLDEN / "mistakes.yaml").read_text())) + "\n" == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Hummingbird", "title: ''", "6:12: subjects.hummingbird.title: want a line of text, got ''"),
        ("title: Hummingbird", 'title: "a\\nb"', "remove line breaks, tabs and control characters"),
        (
            "title: Hummingbird",
            "title: " + "x" * 201,
            "want at most 200 characters, got 201\n  fix: shorten it",
        ),
        (
            "title: Hummingbird",
            "title: [x]",
            "6:12: subjects.hummingbird.title: want a line of text, got a list",
        ),
        ("title: Hummingbird", "title: yes", "got `yes`, which YAML reads as true"),
        (
            "title: Hummingbird",
            "title: true",
            'got true\n  fix: put it into quotes to make it text: title: "true"',
        ),
        ("title: Hummingbird", "title: !!int 3", "tags are not allowed, got 'tag:yaml.org,2002:int'"),
        ("title: Hummingbird", 'title: "\\uD800"', "half a character"),
        ("hummingbird:", "../up:", "5:3: subjects.'../up': want a slug"),
        ("hummingbird:", "<b>:", "fix: write b"),
        ("hummingbird:", "hummingbird-:", "fix: write hummingbird"),
        ("hummingbird:", "é:", "fix: write a name like hummingbird"),
        ("title: These", "headline: a {name}\n  title: These", "fix: remove {name}"),
        ("title: These", "headline: a { b\n  title: These", "fix: remove {"),
        ("title: These", "headline: '{title} {title}'\n  title: These", "fix: write {title} once"),
        ("title: These", "named_headline: '{title}'\n  title: These", "fix: write {name} in it"),
        ("title: These", "lang: German!\n  title: These", "want a language's code, got 'German!'"),
        ("title: These", "dir: up\n  title: These", "want ltr or rtl, got 'up'"),
        ("hummingbird:", "404:", "want a slug that is not reserved, got '404'"),
        ("hummingbird:", "x" * 65 + ":", "want a slug of lower-case letters"),
        ("hummingbird:", "[a, b]:", "want a word as a key, got a list or mapping"),
        ("birds.pkl", "nothing/birds.pkl", "nothing does not exist either"),
        ("birds.pkl", "..", "got the folder '..'"),
        ("birds.pkl", '"a\\0b"', "fix: write the path or address of the weights file"),
        ("birds.pkl", "~nobody-at-all/x.pkl", "write the path of a file"),
        ("birds.pkl", "x" * 1000 + ".pkl", "want a file"),
        ("birds.pkl", "s3://bucket/x.pkl", "s3:// is not supported: download the file and write its path"),
        (
            "birds.pkl",
            "http://example.org/x.pkl",
            "use https: with http, anyone on the network could change the file",
        ),
        ("birds.pkl", "https://user:pass@example.org/x", "remove everything before the @"),
        ("birds.pkl", "https:///x", "want a URL"),
        ("birds.pkl", "https://[x/y", "want a URL"),
        ("birds.pkl", "hf://owner/file", "want hf://owner/repo/file, got 'hf://owner/file'"),
        ("birds.pkl", "hf://owner/repo/../../x", "want hf://owner/repo/file"),
        ("birds.pkl", "bundled:nothing", "want the name of bundled weights, got 'nothing'"),
        ("licence: CC0-1.0", "class: true", "want a class's number or name, got true"),
        ("licence: CC0-1.0", "psi: true", "want a number from -2 to 2, got true"),
        ("licence: CC0-1.0", "psi: 1e999", "want a number from -2 to 2, got the number inf"),
        ("licence: CC0-1.0", "psi: .nan", "want a number from -2 to 2, got '.nan'"),
        ("licence: CC0-1.0", "psi: 1:30", "want a number from -2 to 2, got '1:30'"),
        ("licence: CC0-1.0", "images: 0", "want a count from 1 to 1,000,000, got the number 0"),
        ("licence: CC0-1.0", "images: yes", "want seeds, got true"),
        ("licence: CC0-1.0", "images: []", "want at least one seed, got an empty list"),
        ("licence: CC0-1.0", "images: " + "9" * 39, "want a count from 1 to 1,000,000, got the number 999"),
        ("licence: CC0-1.0", "images: 0-1000000", "want at most 1,000,000 seeds"),
        ("licence: CC0-1.0", "exclude: -3", "want seeds from 0 to 4294967295"),
        ("licence: CC0-1.0", "sha256: 1234", "want 64 hex digits, got the number 1234"),
        ("licence: CC0-1.0", "text: {corpus: ''}", "want a file's path, got ''"),
        ("licence: CC0-1.0", "<<: {psi: 1}", "merge keys (<<) are not allowed"),
        (
            "https://user.github.io/birds",
            "https://user.github.io/?x",
            "remove user names, passwords, and everything from ? or #",
        ),
        (
            "https://user.github.io/birds",
            "https://user.github.io/../x",
            "letters, digits and - . _ ~ % in the path",
        ),
        ("https://user.github.io/birds", 'https://x/"><script>', "letters, digits and - . _ ~ % in the path"),
        ("https://user.github.io/birds", "https://müller.de", "write the host in ASCII: xn--mller-kva.de"),
        ("https://user.github.io/birds", "https://ü" + "x" * 70, "fix: write the host in ASCII"),
        ("https://user.github.io/birds", "https://[x", "write it as it appears in a browser's address bar"),
        (
            "https://user.github.io/birds",
            "https://x:99999/",
            "write it as it appears in a browser's address bar",
        ),
        *(
            ("https://user.github.io/birds", url, message)
            for url, message in {
                '"https://x.org/a\\nb"': "remove line breaks, tabs and control characters",
                '"https://x.org/\\n"': "remove line breaks, tabs and control characters",
                '"https://x.\\torg/"': "remove line breaks, tabs and control characters",
                "https://x.org/%zz/": "want two hex digits after %, got '%zz'",
                "https://x.org/a%/": "want two hex digits after %, got '%'",
                "https://x.org/%00/": "remove what can't be in a folder's name",
                "https://x.org/a%2fb/": "remove what can't be in a folder's name",
                "https://x.org/%2e%2E/": "remove what can't be in a folder's name",
                "https://x.org/%ff/": "want a path in UTF-8, got '%ff'",
                "https://x.org:0/": "want a port from 1 to 65535",
                '"https://x.org:/"': "want a port from 1 to 65535",
                "https://x..org/": "with single dots between them",
                "https://x.org./": "with single dots between them",
                "https://-x.org/": "with single dots between them",
                "https://x-.org/": "with single dots between them",
                f"https://{'x' * 64}.org/": "at most 63 each",
                f"https://{'x.' * 126}xx/": "want a host of at most 253 characters, got one of 254",
                "https://xn--a/": "want a host whose xn-- names stand for letters, got 'xn--a'",
                "https://a.xn--zz.org/": "got 'xn--zz'",
                "https://xn--a-.org/": "inner hyphens",
                "https://1.2.3.400/": "write four numbers from 0 to 255",
                f"https://x.org/{'a' * 2000}/": "want an address of at most 2000 characters, got 2015",
            }.items()
        ),
        *(
            ("title: Hummingbird", f'title: "{text}"', message)
            for text, message in {
                "\\u200b\\u2060": "of which nothing can be seen",
                "\\u202E\\u00AD": "of which nothing can be seen",
                "\\uFEFF": "of which nothing can be seen",
                "\\u0301": "of which nothing can be seen",
                "\\u3164": "of which nothing can be seen",
                "Ape\\u202Eexe": "remove character 4, U+202E RIGHT-TO-LEFT OVERRIDE",
                "A\\u200Bp\\u200Be": "remove character 2, U+200B ZERO WIDTH SPACE and 1 more that can't be seen",
            }.items()
        ),
        ("source: https://example.org/birds", 'source: "\\u2060"', "of which nothing can be seen"),
        *(
            ("hummingbird:", f"{name}:", "want a slug that is not reserved")
            for name in ("com1", "lpt9", "com0")
        ),
        (
            "subjects:",
            "theme: {}\nsubjects:",
            "4:1: theme: unknown key\n  fix: remove it; the allowed keys are: site",
        ),
        ("site:", "sites:", "1:1: sites: unknown key\n  fix: did you mean site?"),
        ("site:", "site: x\nz:", "1:7: site: want a mapping with title and base_url, got 'x'"),
    ],
)
def test_a_bad_value_says_where_it_stands_what_is_wanted_and_the_fix(messages, old, new, message):
    assert old in VALID
    assert message in "\n".join(messages(VALID.replace(old, new, 1)))


def test_a_colour_that_became_a_comment_is_explained(messages):
    text = VALID.replace("subjects:", "  theme:\n    accent: #c2410c\nsubjects:")
    assert messages(text) == [
        "registry.yaml:5:5: site.theme.accent: want a colour of six hex digits, got nothing\n"
        '  fix: put it into quotes, because # starts a comment: "#c2410c"'
    ]


def test_a_list_of_nothing_but_excluded_seeds_is_refused(messages):
    assert messages(VALID + "    images: 3-5\n    exclude: 0-9\n") == [
        "registry.yaml:11:14: subjects.hummingbird.exclude: want at least one picture to publish, but "
        "exclude contains all seeds of images\n  fix: exclude fewer seeds, or add some to images"
    ]


def test_more_pictures_than_fit_into_memory_are_refused_before_they_are_listed(messages):
    subject = VALID.partition("subjects:\n")[2]
    many = "".join(subject.replace("hummingbird", f"bird-{n}") + "    images: 0-999999\n" for n in range(3))
    text = VALID.partition("hummingbird")[0].rstrip() + "\n" + many
    assert (
        "want at most 2,000,000 pictures in a registry, got 3,000,000 up to subjects.bird-2"
        in messages(text)[0]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "registry.yaml:1:1: the file is empty; want a registry"),
        (b"# nothing\n", "registry.yaml:1:1: the file is empty"),
        (b"- a\n", "registry.yaml:1:1: the file: want a mapping, got a list"),
        (b"subjects:\n", "registry.yaml:1:1: subjects: want subjects by their slugs, got nothing"),
        (b"subjects: {}\n", "subjects: want subjects by their slugs, at least one, got an empty mapping"),
        (b"site:\n\ttitle: x\n", "registry.yaml:2:1: want spaces, got a tab"),
        (b"site: {title: x\n", "registry.yaml:2:1: not YAML:"),
        (b"site: a: b\n", "registry.yaml:1:8: not YAML: a colon in the wrong place"),
        (b"a: 1\n---\nb: 2\n", "want one YAML document, got a second"),
        (b"site:\n  title: caf\xe9\n", "registry.yaml:2:13: want UTF-8 text, got the byte 0xe9"),
        ("site: x".encode("utf-16"), "registry.yaml:1:1: want UTF-8 text, got UTF-16"),
        (b"a: 1\nb: \x07\n", "registry.yaml:2:4: want printable text, got the control character 0x7"),
        (b"#" * (1 << 20) + b"\n", "registry.yaml:1:1: want at most 1,048,576 bytes, got 1,048,577"),
        (b"a: " + b"[" * 5000, "want at most 16 levels, got more"),
        (b"a: &a [*a]\n", "want at most 16 levels after aliases (*name) are expanded, got more"),
        (b"a: *nothing\n", "not YAML: found undefined alias"),
        (b'a: "\\UFFFFFFFF"\n', "not YAML: an escape"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n", "not YAML: an escape (\\U...) or directive"),
    ],
)
def test_text_that_is_no_registry_says_why(messages, content, message):
    assert message in "\n".join(messages(content))


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"a: [" + b"1," * 501 + b"]", "values"),
        (
            b"a: &a [1,1,1,1,1,1,1,1,1]\n"
            + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 108)),
            "values after aliases (*name) are expanded",
        ),
    ],
)
def test_more_values_than_a_registry_may_have_are_refused(messages, monkeypatch, content, values):
    monkeypatch.setattr("metagan.registry.tree.MAX_VALUES", 500)  # 50,000 take seconds
    assert f"want at most 500 {values}, got more" in "\n".join(messages(content))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/a/",
        "https://x.org:65535/",
        f"https://{'x.' * 125}xyz/",
        "https://x.org/%C3%A4pe%20s/",
        "https://xn--mnchen-3ya.xn--strae-oqa.de/",
    ],
)
def test_addresses_at_the_limits_are_taken(read, url):
    assert read(VALID.replace("https://user.github.io/birds", url)).site.base_url == url


def test_titles_may_be_in_any_script_with_emoji_and_no_break_spaces(read):
    for title in ("Köter", "猫", "قطة", "👩‍🚀 astronaut", "no\u00a0break"):
        assert read(VALID.replace("title: Hummingbird", f"title: {title}")).subjects[0].title == title


def test_a_byte_order_mark_is_no_mistake(write):
    assert read_registry(write(b"\xef\xbb\xbf" + VALID.encode())).site.author == ""


def test_aliases_of_values_are_followed(read):
    text = VALID.replace("CC0-1.0", "&words CC0-1.0").replace(
        "source: https://example.org/birds", "source: *words"
    )
    assert read(text).subjects[0].source == "CC0-1.0"


def test_text_that_yaml_1_1_would_take_for_numbers_or_dates_stays_text(read):
    for title in ("1:30", "010", "2024-01-02", "1_000", "0x1f", "'no'"):
        assert read(VALID.replace("title: Hummingbird", f"title: {title}")).subjects[0].title == title.strip(
            "'"
        )


def test_a_registry_that_is_not_there_says_how_to_get_one(tmp_path):
    with pytest.raises(RegistryError, match=r"there is no such file\n  fix: run `metagan init`"):
        read_registry(tmp_path / "registry.yaml")


def test_a_folder_is_no_registry(tmp_path):
    with pytest.raises(RegistryError, match="can't be read: Is a directory"):
        read_registry(tmp_path)


@pytest.mark.parametrize(
    ("dials", "file", "names", "rest"),
    [
        ("auto", None, (), True),
        ("birds.txt", "birds.txt", (), True),
        ("{file: birds.txt, names: [Wing, Beak]}", "birds.txt", (("Wing", 1), ("Beak", 2)), True),
        ("{file: auto, names: {Beak: 3, Wing: 1}}", None, (("Beak", 3), ("Wing", 1)), False),
    ],
)
def test_dials_are_a_file_with_or_without_names(read, folder, dials, file, names, rest):
    (subject,) = read(f"{VALID}    dials: {dials}\n").subjects
    assert subject.dials is not None
    assert (subject.dials.names, subject.dials.rest) == (names, rest)
    found = subject.dials.file
    assert (found and found.location) == (file and str(folder / file))


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        (
            "nowhere.safetensors",
            "registry.yaml:10:12: subjects.hummingbird.dials: want a file, got 'nowhere.safetensors'",
        ),
        (
            "https://e.org/d",
            "10:12: subjects.hummingbird.dials: want a directions file, bundled:name or auto, got",
        ),
        ("bundled:bird-dials", "want the name of bundled weights, got 'bird-dials'"),
        (
            "3",
            "want a directions file, bundled:name, auto, or a mapping with file and names, got the number 3",
        ),
        ("{names: [a]}", "dials: want a mapping with file, got"),
        (
            "{file: auto, name: [a]}",
            "10:31: subjects.hummingbird.dials.name: want file and names only, got 'name'",
        ),
        (
            "{file: 3}",
            "10:19: subjects.hummingbird.dials.file: want a directions file, bundled:name or auto, got the number 3",
        ),
        (
            "{file: auto, names: a}",
            "dials.names: want the dials' names in order, or names with the dials' numbers, got 'a'",
        ),
        (
            "{file: auto, names: [a, 'b=c']}",
            "10:36: subjects.hummingbird.dials.names[1]: want a name without , and =",
        ),
        ("{file: auto, names: [a, A]}", "dials.names[1]: want different names, got 'A' twice"),
        (
            "{file: auto, names: {a: 0}}",
            "dials.names.a: want a dial's number from 1 to 1000, got the number 0",
        ),
        (
            "{file: auto, names: [" + "x" * 41 + "]}",
            "dials.names[0]: want a name of at most 40 characters, got 41",
        ),
    ],
)
def test_dials_that_are_none_say_where_and_why(messages, dials, message):
    assert any(message in found for found in messages(f"{VALID}    dials: {dials}\n"))


def test_a_misspelt_subject_is_answered_with_the_nearest(read):
    registry = read(VALID)
    assert find_subject(registry, "hummingbird").title == "Hummingbird"
    with pytest.raises(OptionError) as caught:
        find_subject(registry, "hummingbrid")
    assert str(caught.value) == (
        "there is no subject 'hummingbrid' in registry.yaml\n"
        "  fix: did you mean hummingbird? its subjects are: hummingbird"
    )


def test_a_place_in_a_good_registry_can_be_found_for_later_messages(write):
    assert str(find_place(write(VALID), ("subjects", "hummingbird", "weights"))) == "registry.yaml:7:14"


fragments = st.sampled_from(
    [
        *VALID.split("\n"),
        *FULL.split("\n"),
        "[",
        "{",
        "}",
        "&a ",
        "*a",
        "!!",
        "%",
        "\t",
        '"',
        "'",
        "|",
        ">",
        "? ",
        "-",
    ]
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.binary(), st.lists(fragments, max_size=20).map("\n".join)))
@example('"\\ud800": 1')
@example("? [a]\n: 1")
@example("{? : 1}")
@example("!<tag:yaml.org,2002:map> x")
def test_arbitrary_text_only_ever_raises_registry_error(write, content):
    path = write(content)
    try:
        read_registry(path)
    except RegistryError as error:
        str(error).encode()
        assert all(problem.fix for problem in error.problems)


@pytest.mark.parametrize(
    ("site", "subject", "headline"),
    [
        ("", "", Headline()),
        ("lang: en", "", Headline()),
        (
            "headline: Diese {title} gibt es nicht\n  lang: de",
            "",
            Headline("Diese {title} gibt es nicht", "{name}: Diese {title} gibt es nicht", "de", "ltr"),
        ),
        (
            "headline: Nobody\n  named_headline: Nobody but {name}",
            "",
            Headline("Nobody", "Nobody but {name}"),
        ),
        ("lang: fa", "", Headline(lang="fa", dir="rtl")),
        ("lang: fa-Latn", "", Headline(lang="fa-Latn")),
        ("lang: az-Arab", "", Headline(lang="az-Arab", dir="rtl")),
        ("lang: de\n  dir: rtl", "", Headline(lang="de", dir="rtl")),
        ("lang: ar", "lang: de", Headline(lang="de")),
        ("lang: ar", "dir: ltr", Headline(lang="ar")),
        ("headline: A {title}", "headline: '{title}?'", Headline("{title}?", "{name}: {title}?")),
        ("named_headline: Hey {name}", "headline: No {title}", Headline("No {title}", "{name}: No {title}")),
        ("headline: No {title}", "named_headline: '{name}!'", Headline("No {title}", "{name}!")),
    ],
)
def test_a_subject_s_headline_follows_from_its_own_words_and_the_site_s(read, site, subject, headline):
    text = VALID.replace("subjects:", f"  {site}\nsubjects:") if site else VALID
    registry = read(text + (f"    {subject}\n" if subject else ""))
    assert registry.subjects[0].heading == headline


def test_characters_that_json_writes_as_two_escapes_are_read_as_one(read, messages):
    title = json.dumps("Apes \U0001f412")
    assert "\\ud83d" in title
    assert read(VALID.replace("Hummingbird", title)).subjects[0].title == "Apes \U0001f412"
    for half in ("\\ud83d", "\\udc12\\ud83d"):
        assert "half a character" in messages(VALID.replace("Hummingbird", f'"{half}"'))[0]
