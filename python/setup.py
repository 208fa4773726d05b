"""What pyproject.toml cannot say: ACTUNE_BUNDLE=path/to/libactune.so puts the library into the wheel, which then belongs to this platform."""
import os
import shutil
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

bundle = os.environ.get("ACTUNE_BUNDLE")


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        if bundle:
            target = Path(self.build_lib) / "actune" / "libactune.so"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle, target)


class PlatformDistribution(Distribution):
    def has_ext_modules(self):
        return bool(bundle)


setup(cmdclass={"build_py": BuildWithLibrary}, distclass=PlatformDistribution)
