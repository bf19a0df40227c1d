import json
import os
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid="self"):
    """User and system, threads included."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory_mib(pid="self"):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


def written(folder, suffix=".parquet"):
    return sum(
        os.path.getsize(os.path.join(root, name))
        for root, _, names in os.walk(folder)
        for name in names
        if name.endswith(suffix)
    )


class Meter:
    """From its making to `report`: seconds and CPU seconds of these processes."""

    def __init__(self, *pids):
        self.pids = pids or ("self",)
        self.started = time.time()
        self.cpu = sum(map(cpu_seconds, self.pids))

    def report(self, rows, folder, of=None, **more):
        """`of` tells the files that were written, where the folder has others too."""
        print(
            json.dumps(
                {
                    "rows": rows,
                    "seconds": round(time.time() - self.started, 3),
                    "cpuSeconds": round(sum(map(cpu_seconds, self.pids)) - self.cpu, 2),
                    "peakMemoryMiB": round(max(map(peak_memory_mib, self.pids)), 1),
                    "bytesWritten": written(folder) if of is None else sum(map(os.path.getsize, of())),
                    **more,
                }
            ),
            flush=True,
        )
