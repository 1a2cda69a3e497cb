"""Build of the C++ core `progrm_fast._C`; everything else is in pyproject.toml.

Every file is compiled with the same baseline flags. Code for one instruction set sits in a target region
inside its own file (csrc/isa), never behind per-file -m flags: a template helper compiled with -mavx2 would be
a weak symbol that the linker may choose for baseline callers too.
"""

import os
from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext, naive_recompile
from setuptools import setup

compile_args = ["-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread"]
link_args = ["-pthread"]
if sanitizers := os.environ.get("PROGRM_FAST_SANITIZE"):  # for example address,undefined
    sanitize = f"-fsanitize={sanitizers}"
    compile_args += ["-O1", "-g", sanitize, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    link_args += [sanitize]

# Objects are reused while they are newer than their source; a header may have changed, so touch to force.
newest_header = max((os.path.getmtime(h) for h in glob("csrc/**/*.h", recursive=True)), default=0.0)


def needs_recompile(obj: str, src: str) -> bool:
    return naive_recompile(obj, src) or os.path.getmtime(obj) < newest_header


ParallelCompile("PROGRM_FAST_BUILD_JOBS", default=0, needs_recompile=needs_recompile).install()

setup(
    ext_modules=[
        Pybind11Extension(
            "progrm_fast._C",
            sorted(glob("csrc/**/*.cc", recursive=True)),
            depends=sorted(glob("csrc/**/*.h", recursive=True)),
            include_dirs=["csrc"],
            cxx_std=17,
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
    ],
    cmdclass={"build_ext": build_ext},
)
