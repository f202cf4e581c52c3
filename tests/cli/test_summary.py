from npalexnet.cli import main


def test_summary_prints_every_layer_and_the_totals(capsys):
    assert main(["summary", "--batch-size", "2", "--num-classes", "10"]) == 0
    output = capsys.readouterr().out
    assert "2 x 96 x 55 x 55" in output
    assert "classifier.6" in output
    assert "58,322,314" in output
