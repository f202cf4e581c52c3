import npalexnet as na
from npalexnet.cli import main


def test_info_says_which_devices_are_usable_and_why_not(capsys):
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert "NumPy" in output
    assert "cuda" in output
    assert "stage" in output


def test_info_says_how_many_threads_compute_and_how_convolutions_are_computed(capsys):
    with na.convolution_algorithm("winograd"):
        assert main(["info"]) == 0
    assert f" {na.get_num_threads()} threads, convolution algorithm winograd\n" in capsys.readouterr().out
