"""What a result says of the machine that it comes from."""

from benchmarks import machine


def test_variables_that_choose_blas_kernels_or_threads_are_named(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    settings = {"dtype": "float32", "classes": 3, "dropout": 0.5, "rounds": 1, "warmup": 0}
    monkeypatch.setenv("HOME", "/nowhere")
    found = machine.environment()
    assert found["machine"]["variables"]["OPENBLAS_CORETYPE"] == "Prescott"
    assert "HOME" not in found["machine"]["variables"]
    assert (
        "environment: OPENBLAS_CORETYPE=Prescott"
        in machine.preamble("what", {**found, "settings": settings}).splitlines()
    )
