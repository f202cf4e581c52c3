from npalexnet.cli import main


def test_info_says_which_devices_are_usable_and_why_not(capsys):
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert "NumPy" in output
    assert "cuda" in output
    assert "stage" in output
