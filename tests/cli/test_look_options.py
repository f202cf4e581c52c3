from types import SimpleNamespace

import pytest

from npalexnet.cli.look_options import class_number
from npalexnet.terminal import shown


def classifier(*classes):
    return SimpleNamespace(classes=list(classes), names=[shown(name) for name in classes])


@pytest.mark.parametrize(
    ("classes", "name", "expected"),
    [
        (("cat", "-x"), "-x", 1),
        (("cat", "caf\u00e9"), "cafe\u0301", 1),  # composed in the network, decomposed on the command line
        (("cat", "cafe\u0301"), "caf\u00e9", 1),
        (("caf\u00e9", "cafe\u0301"), "cafe\u0301", 1),  # both are classes: the one that was named
        (("cat", "d\udce9"), r"d\xe9", 1),  # as evaluate prints it
        (("cat", "a\nb"), r"a\nb", 1),
        ((r"a\nb", "a\nb"), "a\nb", 1),
    ],
)
def test_a_class_is_found_by_its_name_or_what_is_shown_of_it(classes, name, expected):
    assert class_number(classifier(*classes), name) == expected


def test_an_unknown_class_is_refused_with_what_was_probably_meant_and_no_endless_list():
    with pytest.raises(ValueError, match=r"class must be one of 'cat', 'dog', got 'Dgo'; did you mean dog\?"):
        class_number(classifier("cat", "dog"), "Dgo")
    many = [f"class {i:05}" for i in range(10_000)]
    with pytest.raises(ValueError, match=r"'class 00009', \.\.\. \(10,000 in all\), got 'nothing alike'") as error:
        class_number(classifier(*many), "nothing alike")
    assert len(str(error.value)) < 500
