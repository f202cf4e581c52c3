"""What a result says of the machine that it comes from."""

from benchmarks import machine


def test_variables_that_choose_blas_kernels_or_threads_are_named(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("HOME", "/nowhere")
    found = machine.environment()
    assert found["machine"]["variables"]["OPENBLAS_CORETYPE"] == "Prescott"
    assert "HOME" not in found["machine"]["variables"]
    assert "environment: OPENBLAS_CORETYPE=Prescott" in machine.describe(found).splitlines()
