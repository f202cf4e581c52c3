import errno
import io
import json
import os
import sys
from types import SimpleNamespace

import pytest

from npalexnet import terminal as progress
from npalexnet.terminal import Console, as_json, console, reason, say, valid


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("terminal", "tqdm", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_bar_is_drawn_on_a_terminal_alone_and_needs_no_tqdm(monkeypatch, terminal, tqdm, shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "find_spec", lambda name: name if tqdm else None)
    seconds = iter(range(0, 10_000, 2))  # a bar comes after a second
    monkeypatch.setattr("tqdm.std.time", lambda: next(seconds))
    with progress.progress("looking", 3, "file") as watch:
        for _ in range(3):
            watch(1)
    assert ("looking" in stream.getvalue()) == shown
    assert ("3/3" in stream.getvalue()) == shown


@pytest.mark.parametrize(
    ("kernel", "missing", "shown"),
    [(True, (), True), (True, ("ipywidgets",), False), (True, ("tqdm",), False), (False, (), False)],
)
def test_a_notebook_shows_bars_if_it_has_what_draws_them(monkeypatch, kernel, missing, shown):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress, "find_spec", lambda name: None if name in missing else name)
    monkeypatch.delitem(sys.modules, "ipykernel.zmqshell", raising=False)
    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", SimpleNamespace())
    assert progress.shows_bars() == shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [("猫 é", "猫 é"), ("\x1b[31mred", r"\x1b[31mred"), ("a\u202eb\n\x9b", r"a\u202eb\n\x9b"), ("d\udce9", r"d\xe9")],
)
def test_a_name_is_shown_without_what_a_terminal_would_obey(name, expected):
    assert progress.shown(name) == expected


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "  =1", "\xa0-1"])
def test_a_spreadsheet_computes_no_name(name):
    assert progress.spreadsheet_cell(name) == "'" + name
    assert progress.spreadsheet_cell("a" + name) == "a" + name


def test_an_error_of_the_system_names_the_file_and_has_no_number(tmp_path):
    path = tmp_path / "none"
    with pytest.raises(OSError, match="No such file") as caught:
        path.read_bytes()
    assert reason(caught.value) == f"No such file or directory: '{path}'"
    assert reason(ValueError("wrong")) == "wrong"
    assert reason(OSError("wrong")) == "wrong"


def test_a_link_to_nothing_is_called_one(tmp_path):
    path = tmp_path / "link"
    try:
        path.symlink_to("nowhere")
    except OSError:
        pytest.skip("links can't be made here")
    with pytest.raises(OSError, match="No such file") as caught:
        path.read_bytes()
    assert reason(caught.value) == f"{path} is a link to nowhere, which does not exist"


class Full(io.StringIO):
    """A stream that takes so many texts, and then reports an error."""

    def __init__(self, texts, error):
        super().__init__()
        self.texts, self.error = texts, error

    def write(self, text):
        if self.texts == 0:
            raise self.error
        self.texts -= 1
        return super().write(text)


def encoded(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", "café 猫"), ("cp1252", r"café \u732b"), ("ascii", r"caf\xe9 \u732b")]
)
def test_what_an_encoding_lacks_is_printed_as_escapes(encoding, expected):
    stream = encoded(encoding)
    print("café 猫", file=Console(stream), flush=True)
    assert stream.buffer.getvalue() == f"{expected}\n".encode(encoding)


def test_what_a_terminal_would_obey_is_printed_as_escapes_whoever_prints_it():
    stream = encoded("utf-8")
    print("a\x1b]0;title\x07\u202e\x9b \udce9\tb", file=Console(stream), flush=True)
    assert stream.buffer.getvalue() == rb"a\x1b]0;title\x07\u202e\x9b \xe9" + b"\tb\n"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), BrokenPipeError(), ValueError("closed file")])
def test_a_stream_that_fails_ends_nothing_and_is_not_asked_again(error):
    stream = Full(1, error)
    output = Console(stream)
    assert output.write("first") == 5
    assert output.failure is None
    assert output.write("second") == 6
    stream.texts = 1
    output.write("third")
    output.flush()
    assert output.failure is error
    assert stream.getvalue() == "first"


def test_a_program_whose_streams_were_closed_prints_nowhere(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with console() as output:
        print("to nobody")
        print("to nobody", file=sys.stderr)
        assert not sys.stderr.isatty()
        assert output.failure.errno == errno.EBADF
    assert sys.stdout is None


@pytest.mark.skipif(os.name == "nt", reason="there is no os.fork")
def test_no_file_gets_the_number_of_a_closed_standard_stream_and_with_it_its_output(tmp_path):
    child = os.fork()
    if not child:
        os.closerange(0, 3)
        with console(), open(tmp_path / "file", "w") as file:
            os._exit(file.fileno())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) > 2


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("utf-8", r'{"class": "猫 \u001b[2J"}'),
        ("cp1252", r'{"class": "\u732b \u001b[2J"}'),
        (None, r'{"class": "\u732b \u001b[2J"}'),
    ],
)
def test_json_can_be_read_back_from_any_output(monkeypatch, encoding, line):
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding=encoding))
    assert as_json({"class": "猫 \x1b[2J"}) == line
    assert json.loads(line) == {"class": "猫 \x1b[2J"}


def test_a_text_stays_as_it_is_where_it_is_valid():
    assert valid("a\nb\x1b") == "a\nb\x1b"
    assert valid("a\n\udce9") == r"a\n\xe9"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_line_that_can_not_be_printed_ends_nothing_outside_of_the_commands_either(monkeypatch, name):
    streams = [None, Full(0, BrokenPipeError()), Full(0, ValueError("closed file")), encoded("ascii")]
    for stream in streams:
        monkeypatch.setattr(sys, name, stream)
        say("caf\u00e9", error=name == "stderr")
    assert streams[-1].buffer.getvalue() == b"caf\\xe9\n"
