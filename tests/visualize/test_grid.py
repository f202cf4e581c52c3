from npalexnet.visualize.grid import shortened


def test_names_are_cut_off_and_mean_themselves_whatever_they_consist_of():
    assert shortened("a" * 24) == "a" * 24
    assert shortened("a" * 25) == "a" * 23 + "…"
    assert shortened("12 $ or 13 $", 7) == r"12 \$ o…"
    assert shortened("caf\udce9") == "caf\ufffd"  # the byte e9 in the name of a folder
