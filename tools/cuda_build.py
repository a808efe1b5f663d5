"""How to build the CUDA kernels (nvcc, architectures, flags), or why they are left out.

Whether to build them does not depend on the presence of a GPU.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ALL_ARCHITECTURES = "8.0;9.0;10.0;12.0+PTX"  # without a GPU; 8.0 also runs on 8.6 and 8.9
SYSTEM_NVCC = "/usr/local/cuda/bin/nvcc"
NVCC_ARGS = ["-O3", "-std=c++20", "--threads=1", "-Xfatbin=-compress-all", "-Xcompiler=-fvisibility=hidden"]


@dataclass
class CudaBuild:
    left_out: str | None = None  # the reason, or None if CUDA is built
    home: Path | None = None
    architectures: list[str] = field(default_factory=list)
    include_dirs: list[str] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)
    link_args: list[str] = field(default_factory=list)


def sources() -> list[str]:
    return sorted(str(path) for suffix in ("*.cpp", "*.cu") for path in Path("csrc/cuda").glob(suffix))


def headers() -> list[str]:
    return sorted(str(path) for path in Path("csrc/cuda").glob("*.cuh"))


def pip_folders() -> list[Path]:
    """Folders with include, lib and bin of the CUDA toolkit and runtime packages from pip."""
    try:
        import nvidia
    except ImportError:
        return []
    return [folder for root in nvidia.__path__ for folder in sorted(Path(root).glob("cu[0-9]*"))]


def home_of(nvcc: str) -> Path | None:
    """The toolkit of a compiler, as reported by itself: nvcc on PATH may be a script that calls another one."""
    done = subprocess.run([nvcc, "--dryrun", "-x", "cu", "/dev/null"], capture_output=True, text=True, check=False)
    match = re.search(r"^#\$ _HERE_=(.*)$", done.stderr + done.stdout, re.MULTILINE)
    return Path(match[1]).parent if match else None


def find_home() -> Path | None:
    candidates = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    compilers = [f"{home}/bin/nvcc" for home in candidates if home]
    compilers += [path for path in (shutil.which("nvcc"), SYSTEM_NVCC) if path]
    compilers += [str(folder / "bin" / "nvcc") for folder in pip_folders()]
    return next((home for nvcc in compilers if os.access(nvcc, os.X_OK) and (home := home_of(nvcc))), None)


def release_of(home: Path) -> str | None:
    output = subprocess.run([home / "bin" / "nvcc", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"release (\d+\.\d+)", output)
    return match[1] if match else None


def choose_architectures() -> list[str]:
    import torch

    requested = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(",", ";").replace(" ", ";")
    if not requested and torch.cuda.is_available():
        capabilities = {torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())}
        requested = ";".join(f"{major}.{minor}" for major, minor in sorted(capabilities) if major >= 8)
    return [name for name in (requested or ALL_ARCHITECTURES).split(";") if name]


def plan() -> CudaBuild:
    """Must be called before torch.utils.cpp_extension is imported, because it sets CUDA_HOME and TORCH_CUDA_ARCH_LIST."""
    import torch

    if os.environ.get("SMA_CUDA") == "0":
        return CudaBuild("SMA_CUDA=0 was set")
    if torch.version.cuda is None:
        return CudaBuild("this torch has no CUDA")
    home = find_home()
    if home is None:
        return CudaBuild(
            "no nvcc in CUDA_HOME, on PATH or among pip's packages; "
            f"pip install 'cuda-toolkit[nvcc,cccl]=={torch.version.cuda}.*' brings one"
        )
    release = release_of(home)
    if release is None or release.split(".")[0] != torch.version.cuda.split(".")[0]:
        return CudaBuild(f"nvcc {release} of {home} does not fit torch's CUDA {torch.version.cuda}")
    roots = [home, *pip_folders()]
    includes = [str(folder / "include") for folder in roots if (folder / "include").is_dir()]
    includes += [str(folder / "include" / "cccl") for folder in roots if (folder / "include" / "cccl").is_dir()]
    libraries = [folder / name for folder in roots for name in ("lib64", "lib") if (folder / name).is_dir()]
    runtime = [path for folder in libraries for path in sorted(folder.glob("libcudart.so*"))]
    if not runtime:
        return CudaBuild(f"no libcudart beside nvcc ({home}) or among pip's packages")
    architectures = choose_architectures()
    os.environ["CUDA_HOME"] = str(home)
    os.environ["TORCH_CUDA_ARCH_LIST"] = ";".join(architectures)
    # The runtime from pip only has a versioned file name, so it is linked by that name; torch loads it before this module.
    return CudaBuild(None, home, architectures, includes, [str(runtime[0].parent)], [f"-l:{runtime[0].name}"])
