"""What a reader must know of the machine. Neither its name nor its paths."""
import os
import pathlib
import platform


def field(path, key):
    """The first value of a `key : value` file."""
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def text_of(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def distribution():
    for line in text_of("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return "unknown"


def facts():
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": distribution(),
        "huge pages": text_of("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load average at the start": round(os.getloadavg()[0], 2),
    }
