"""Who is compared, and where each library is.

Every allocator is preloaded, the system's too: libc itself goes first in line,
so that a program that links an allocator of its own (Debian's redis links
jemalloc) takes libc's all the same, and so that all pay the same for a
preload.
"""
import dataclasses
import pathlib
import subprocess

# What a result may be compared with: "peer". The others are set beside it.
PEER, OURS, CONTROL, FLOOR, OTHER = "peer", "ours", "control", "floor", "other"


@dataclasses.dataclass
class Allocator:
    name: str
    role: str
    library: str
    version: str
    options: str = ""  # PTM_OPTIONS for it


# name: role, Debian package, file in it
PACKAGED = {
    "glibc": (PEER, "libc6", "libc.so.6"),
    "glibc-again": (CONTROL, "libc6", "libc.so.6"),
    "jemalloc": (PEER, "libjemalloc2", "libjemalloc.so.2"),
    "mimalloc": (PEER, "libmimalloc2.0", "libmimalloc.so.2"),
    "tcmalloc": (PEER, "libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "tbbmalloc": (PEER, "libtbbmalloc2", "libtbbmalloc_proxy.so.2"),
}
DEFAULT = ["ptm", "glibc", "glibc-again", "jemalloc", "mimalloc", "tcmalloc",
           "tbbmalloc", "floor"]


class Missing(Exception):
    """An allocator that is not there, in words."""


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=False).stdout


def packaged_file(package, name):
    for line in output_of("dpkg-query", "-L", package).splitlines():
        if pathlib.PurePath(line).name == name and pathlib.Path(line).exists():
            return line
    raise Missing(f"{name} of package {package} is missing: run bench/packages")


def packaged(name):
    role, package, file = PACKAGED[name]
    own = f"{package}:{output_of('dpkg', '--print-architecture').strip()}"
    version = output_of("dpkg-query", "-W", "-f", "${Version}", own)
    return Allocator(name, role, packaged_file(own, file),
                     f"{package} {version}")


def built(name, role, library, version):
    if not library.exists():
        raise Missing(f"{name}: {library} is missing")
    return Allocator(name, role, str(library.resolve()), version)


def prove_preload(allocator):
    """The dynamic linker ignores a library that it cannot load, and then the
    system's malloc would run under a wrong name."""
    mapped = subprocess.run(
        ["/bin/cat", "/proc/self/maps"], capture_output=True, text=True,
        env={"LD_PRELOAD": allocator.library}, check=False).stdout
    if str(pathlib.Path(allocator.library).resolve()) not in mapped:
        raise Missing(f"{allocator.name}: {allocator.library} cannot be "
                      "preloaded")


def revision(root):
    text = output_of("git", "-C", str(root), "describe", "--always", "--dirty")
    return text.strip() or "unknown"


def named(word, root, build):
    if "=" in word:
        name, library = word.split("=", 1)
        return built(name, OTHER, pathlib.Path(library), "a given library")
    if word == "ptm":
        return built("ptm", OURS, root / "build/libptm.so", revision(root))
    if word == "floor":
        return built("floor", FLOOR, build / "libfloor.so", revision(root))
    if word in PACKAGED:
        return packaged(word)
    raise Missing(f"no allocator is called {word}; there are "
                  f"{', '.join(DEFAULT)}, and NAME=LIBRARY")


def find(word, root, build):
    """The allocator that a word of --allocators means: a name, or
    NAME=LIBRARY for one that is compared but is nobody's peer."""
    allocator = named(word, root, build)
    prove_preload(allocator)
    return allocator
