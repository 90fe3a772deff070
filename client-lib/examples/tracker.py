"""A tracker in Python, by ctypes: no macro and no struct by value is in the way.

    CARBOND_URL=http://127.0.0.1:8008 CARBOND_TOKEN=cpt_... CARBOND_EXPERIMENT_ID=... python3 tracker.py
"""

import ctypes
import os
import sys

NUMBERS = ("duration", "emissions_sum", "emissions_rate", "energy_consumed", "cpu_power", "gpu_power", "ram_power", "cpu_energy",
           "gpu_energy", "ram_energy", "cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent", "wue")
OK, NOT_DURABLE = 0, 3


class Emission(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("id", ctypes.c_char_p), ("timestamp", ctypes.c_int64),
                *((name, ctypes.c_double) for name in NUMBERS)]


library = ctypes.CDLL(os.environ.get("CARBOND_LIBRARY", "libcarbond.so.1"))
library.carbond_strerror.restype = library.carbond_run_id.restype = ctypes.c_char_p
library.carbond_flush.argtypes = ctypes.c_void_p, ctypes.c_int64


def check(code):
    if code not in (OK, NOT_DURABLE):
        raise RuntimeError(library.carbond_strerror(code).decode())


class Client:
    """Options come from the environment and from .codecarbon.config."""

    def __init__(self):
        self.client, self.run = ctypes.c_void_p(), ctypes.c_void_p()
        check(library.carbond_open(None, ctypes.byref(self.client)))
        check(library.carbond_run_start(self.client, None, ctypes.byref(self.run)))

    def emit(self, **numbers):
        emission = Emission()
        library.carbond_emission_init(ctypes.byref(emission), ctypes.c_size_t(ctypes.sizeof(emission)))
        for name, number in numbers.items():
            setattr(emission, name, number)
        check(library.carbond_emit(self.run, ctypes.byref(emission)))

    def close(self):
        """Whether the server has it all; what it has not is sent by the next start."""
        flushed = library.carbond_flush(self.client, 5000) == OK
        check(library.carbond_close(self.client))
        return flushed


client = Client()
print(library.carbond_run_id(client.run).decode())
for _ in range(10):
    client.emit(duration=15, energy_consumed=3.4e-05, emissions_sum=1.9e-06)
sys.exit(0 if client.close() else 3)
