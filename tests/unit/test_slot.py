# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cell that is empty or holds one object."""

from __future__ import annotations

import threading

from pyvirt._core.slot import Slot


def test_an_empty_slot_holds_nothing() -> None:
    slot: Slot[str] = Slot()

    assert slot.get() is None
    assert slot.take() is None


def test_the_first_object_stays_in_the_slot() -> None:
    slot: Slot[str] = Slot()

    assert slot.put("first") == "first"
    assert slot.put("second") == "first"
    assert slot.get() == "first"


def test_only_one_of_several_threads_takes_the_object() -> None:
    slot: Slot[object] = Slot()
    slot.put(object())
    taken: list[object] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        taken.append(slot.take())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([one for one in taken if one is not None]) == 1
    assert slot.get() is None


def test_all_threads_get_the_same_object_from_put() -> None:
    slot: Slot[object] = Slot()
    held: list[object] = []
    start = threading.Barrier(8)

    def put() -> None:
        start.wait()
        held.append(slot.put(object()))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(map(id, held))) == 1
