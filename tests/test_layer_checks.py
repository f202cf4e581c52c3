from npalexnet.cli import main


def test_gradcheck_prints_a_table_in_which_all_is_well(capsys):
    assert main(["gradcheck"]) == 0
    output = capsys.readouterr().out
    for layer in ("Conv2d", "MaxPool2d", "Linear", "ReLU", "Dropout", "LocalResponseNorm", "CrossEntropyLoss"):
        assert layer in output
    assert "WRONG" not in output
