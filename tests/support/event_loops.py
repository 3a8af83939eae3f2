# SPDX-License-Identifier: LGPL-2.1-or-later
"""An event loop for libvirt written in Python: the first part of programs that use it."""

from __future__ import annotations

LOOP = """
import heapq, os, selectors, threading, time
import pyvirt
from pyvirt import EventHandleType
from pyvirt.events import *
from pyvirt.events import loop

class Mine:
    '''Runs in the main thread; libvirt calls it from anywhere.'''

    def __init__(self):
        self.lock = threading.RLock()
        self.number = 0
        self.handles, self.timers = {}, {}
        self.wake, self.waker = os.pipe()
        self.threads = set()

    def add(self, table, entry):
        with self.lock:
            self.number += 1
            table[self.number] = entry
        os.write(self.waker, b"x")
        return self.number

    def change(self, table, number, at, value):
        with self.lock:
            table[number][at] = value
        os.write(self.waker, b"x")

    def add_handle(self, fd, events, callback):
        return self.add(self.handles, [fd, events, callback])

    def update_handle(self, watch, events):
        self.change(self.handles, watch, 1, events)

    def remove_handle(self, watch):
        del self.handles[watch]

    def add_timeout(self, interval, callback):
        return self.add(self.timers, [interval, callback])

    def update_timeout(self, timer, interval):
        self.change(self.timers, timer, 0, interval)

    def remove_timeout(self, timer):
        del self.timers[timer]

    def run_once(self):
        with self.lock:
            handles = {number: tuple(entry) for number, entry in self.handles.items()}
            waits = [entry[0] for entry in self.timers.values() if entry[0] >= 0]
        self.threads.add(threading.get_ident())
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ, None)
            for number, (fd, events, callback) in handles.items():
                wanted = (selectors.EVENT_READ if events & 1 else 0) | (selectors.EVENT_WRITE if events & 2 else 0)
                if wanted:
                    selector.register(fd, wanted, (number, fd, callback))
            for key, ready in selector.select(min([*waits, 50]) / 1000):
                if key.data is None:
                    os.read(self.wake, 1000)
                elif key.data[0] in self.handles:
                    number, fd, callback = key.data
                    callback(number, fd, ready & 3)
        for number, entry in list(self.timers.items()):
            if number in self.timers and entry[0] >= 0:
                entry[1](number)
"""
