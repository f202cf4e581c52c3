"""Dependencies point one way, type-only imports included: see docs/architecture.md."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent

HELPERS = {
    "checks",
    "dtypes",
    "fields",
    "files",
    "signatures",
    "tensors",
    "terminal",
    "windows",
}  # that everything may use
IMPORTS = {
    "naive": "",
    "backend": "",
    "layers": "backend",
    "variants": "layers",
    "alexnet": "variants layers",
    "losses": "backend",
    "optim": "layers backend",
    "weights": "",
    "finite_differences": "layers backend",
    "gradcheck": "finite_differences layers backend",
    "data": "alexnet",  # what its images must be
    "visualize": "data alexnet losses layers backend",
    "formats": "layers",
    "pretrained": "formats data weights alexnet variants layers",
    "training": "pretrained visualize data optim weights alexnet losses layers backend",
    "exercises": "naive",
    "explain": "visualize losses layers",
    "inference": "training pretrained formats data weights alexnet layers backend",
    "npalexnet": "alexnet gradcheck losses optim layers backend",  # the public names
    "cli": "npalexnet alexnet exercises explain gradcheck losses weights layers backend data pretrained training "
    "inference visualize",
    "__main__": "cli",
}


def modules_of(package):
    """Return the parsed modules of a package by their dotted names."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / package).rglob("*.py")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text("utf-8")) for name, path in paths.items()}


MODULES = modules_of("npalexnet")


def imported(tree):
    """Yield all names that are imported anywhere below a node: modules, or what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else node.module for name in names)


def part(name):
    """Return the folder or file directly in the package."""
    return name.split(".")[1] if "." in name else name


def test_no_module_imports_itself_through_others():
    graph = {name: {i for i in imported(tree) if not name.startswith(f"{i}.")} for name, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises a CycleError that names the modules


def test_each_part_imports_what_the_table_says():
    found = {(name, i) for name, tree in MODULES.items() for i in imported(tree) if i.split(".")[0] == "npalexnet"}
    for importer, expected in IMPORTS.items():
        below = {(name, i) for name, i in found if part(name) == importer != part(i) and part(i) not in HELPERS}
        assert {part(i) for _, i in below} == set(expected.split()), (importer, sorted(below))
    helpers = {(name, i) for name, i in found if part(name) in HELPERS and part(i) not in HELPERS}
    assert {part(name) for name, _ in found} <= {*IMPORTS, *HELPERS}
    assert not helpers


def test_the_package_needs_neither_benchmarks_nor_tests_and_benchmarks_need_no_tests():
    for package, banned in (("npalexnet", {"benchmarks", "tests"}), ("benchmarks", {"tests"})):
        for name, tree in modules_of(package).items():
            assert not banned & {i.split(".")[0] for i in imported(tree)}, name


def test_cupy_is_imported_only_by_functions_in_backend_cuda():
    for name, tree in modules_of("npalexnet").items():
        for node in ast.walk(tree) if name.startswith("npalexnet.backend.cuda.") else ():
            if isinstance(node, ast.FunctionDef):
                node.body = []
        assert "cupy" not in {i.split(".")[0] for i in imported(tree)}, name
