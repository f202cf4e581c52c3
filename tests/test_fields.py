"""What files must hold: each kind takes what it says, and its message names field, what was found and what is right."""

import pytest

from npalexnet.fields import (
    LARGEST,
    Bool,
    Choice,
    FieldError,
    Float,
    Int,
    List,
    Nullable,
    Record,
    Text,
    parse_json,
    read_json,
    table,
)

NAN, INF = float("nan"), float("inf")
RIGHT = [
    (Int(), 0), (Int(1, 3), 3), (Int(), LARGEST), (Float(), -2.5), (Float(0), 0), (Float(0, 1), 1), (Bool(), False),
    (Text(), "caf\u00e9"), (Text(), "undecodable \udcff"), (Choice(("a", "b")), "b"), (Nullable(Int()), None),
    (Nullable(Int()), 4), (List(Int(), 1, 2), [1, 2]), (table(Int()), {"x": 1}),
]  # fmt: skip
WRONG = [
    (Int(), -1, "a whole number of at least 0, got -1"),
    (Int(1, 3), 4, "a whole number from 1 to 3, got 4"),
    (Int(), 2**63, "a whole number of at least 0, got 9223372036854775808"),
    (Int(), 3.0, "got 3.0"),
    (Int(), True, "got true"),
    (Int(), NAN, "got NaN"),
    (Int(), None, "got null"),
    (Float(), NAN, "a finite number, got NaN"),
    (Float(), INF, "a finite number, got Infinity"),
    (Float(), 10**400, "a finite number, got 1000"),
    (Float(0, above=True), 0, "a finite number, above 0, got 0"),
    (Float(0, 1), 1.5, "a finite number, at least 0 and at most 1, got 1.5"),
    (Float(), "1", 'a finite number, got "1"'),
    (Bool(), 1, "true or false, got 1"),
    (Text(), ["a"], 'text of at most 4,096 characters, got ["a"]'),
    (Text(3), "abcd", 'text of at most 3 characters, got "abcd"'),
    (Text(), "a\0b", "text"),
    (Text(), "half \ud800", "text"),
    (Choice(("a", "b")), "c", 'one of "a", "b", got "c"'),
    (Choice(("a", "b")), ["a"], 'one of "a", "b", got ["a"]'),
    (Nullable(Int()), "x", 'a whole number of at least 0, or null, got "x"'),
    (List(Int(), 1, 2), [], "a list of 1 to 2, got []"),
    (List(Int(), 1, 2), list(range(99)), "a list of 1 to 2, got a list of 99"),
    (table(Int()), [1], "an object, got [1]"),
]


@pytest.mark.parametrize(("kind", "value"), RIGHT)
def test_what_is_right_is_taken(kind, value):
    assert kind.check(value, "field") == value


@pytest.mark.parametrize(("kind", "value", "message"), WRONG)
def test_what_is_wrong_is_named(kind, value, message):
    with pytest.raises(FieldError) as caught:
        kind.check(value, "field")
    assert str(caught.value).startswith("field must be ")
    assert message in str(caught.value)


def test_fields_within_others_are_named_by_their_path():
    kind = Record({"groups": List(Record({"lr": Float()}))})
    with pytest.raises(FieldError, match=r"^groups\[1\]\.lr must be a finite number, got null$"):
        kind.check({"groups": [{"lr": 1}, {"lr": None}]})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "it lacks dropout"),
        ({"droput": 0.5}, 'it lacks dropout, but has "droput"'),
        ({"dropout": 0.5, "widht": 1}, 'it has an unknown field "widht": did you mean width?'),
        ({"dropout": 0.5, "zzz": 1}, 'it has an unknown field "zzz": there are dropout, width'),
    ],
)
def test_missing_and_misspelt_fields_are_named_with_a_suggestion(value, message):
    with pytest.raises(FieldError) as caught:
        Record({"dropout": Float(0, 1)}, optional={"width": Int()}).check(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "not even text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "too many digits"),
        (b'{"a": 1, "a": 2}', 'the field "a" twice'),
    ],
)
def test_what_is_no_json_is_refused(content, message):
    with pytest.raises(FieldError, match=message):
        parse_json(content)


def test_a_file_is_named_and_its_size_bounded(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1}')
    assert read_json(path, table(Int())) == {"a": 1}
    with pytest.raises(ValueError, match=r"config\.json is damaged: it has more than 7 bytes"):
        read_json(path, table(Int()), most_bytes=7)
    with pytest.raises(ValueError, match=r"config\.json is damaged: \"a\" must be text"):
        read_json(path, table(Text()))
    with pytest.raises(ValueError, match="is a folder, not a file"):
        read_json(tmp_path, table(Int()))


def test_no_character_that_a_terminal_obeys_is_in_a_message():
    with pytest.raises(FieldError) as caught:
        table(Int()).check({"\x1b[2J": "\x9b\u202e\x07"})
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
