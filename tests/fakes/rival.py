"""A rival that is none: it computes what it is told to, in a second on the device and two on the host."""

from functools import partial

import numpy as np

from benchmarks.clocks import Timing


class Clock:
    """Runs once, and says a second on the device, two on the host."""

    def warm(self, run):
        def measure():
            run()
            return Timing(host=2.0, device=1.0)

        return measure


class Rival:
    """Computes what it is told to, and fails where it is told to."""

    threads, clock, tasks = 1, Clock(), ("forward", "step")

    def __init__(self, name, logits=1.0, fails=None):
        self.name, self.value, self.fails, self.freed, self.runs = name, logits, fails, [], []
        self.free = partial(self.freed.append, "all")

    def _maybe(self, where):
        if self.fails == where:
            raise MemoryError(f"at\n{where}")

    def use(self, precision):
        self._maybe(precision.name)

    def take(self, images, labels):
        self._maybe(images)
        self.images = images

    def logits(self):
        return np.array([self.value, 2.0])

    def first_pass(self):
        self._maybe("first pass")
        return 1.0, 2.0

    def runner(self, task):
        self._maybe(task)
        return lambda: self.runs.append((task, self.images))

    def synchronize(self):
        pass

    def flags(self):
        return f"as {self.name} has them"

    def peak_memory(self):
        self._maybe("memory")
        return {"reserved": 3, "allocated": 2}
