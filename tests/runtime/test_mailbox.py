"""The mailbox between driver and training group, without Ray: who waits, who is woken, how failures are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from loopwright.errors import InfraError
from loopwright.runtime.jobs import pack, unpack
from loopwright.runtime.mailbox import Mailbox


def play(scene: Callable[[Mailbox], Awaitable[None]], attempts: int = 3) -> None:
    async def scene_in_time() -> None:
        async with asyncio.timeout(5):
            await scene(Mailbox(attempts))

    asyncio.run(scene_in_time())


async def outcome(box: Mailbox) -> object:
    version = -1
    while True:
        state = await box.watch(version)
        if state.outcome is not None:
            return unpack(state.outcome)
        version = state.version


def test_a_job_goes_through():
    async def scene(box: Mailbox) -> None:
        taking = asyncio.create_task(box.take())
        await box.ready()
        await box.submit(b"function", b"job")
        number = await taking
        assert number == 1
        assert await box.job() == (b"function", b"job")
        before = (await box.watch(-1)).version
        await box.progress(number, 2, 5)
        assert (await box.watch(before)).step == (2, 5)
        await box.settle(number, pack("done"))
        await box.settle(number, pack("too late"))
        await box.progress(number, 3, 5)
        assert await outcome(box) == "done"

    play(scene)


def test_a_lost_job_is_taken_again_until_that_is_too_often():
    async def scene(box: Mailbox) -> None:
        await box.submit(b"", b"")
        assert [await box.take() for _ in range(3)] == [1, 1, 1]
        await box.complain(0, "no space left")  # of an earlier job: a reason, not the end of this one
        fourth = asyncio.create_task(box.take())
        with pytest.raises(InfraError, match="3 times in a row; the last time: no space left"):
            await outcome(box)
        await box.submit(b"", b"")  # the group lives, and gets the next job
        assert await fourth == 2

    play(scene)


def test_the_complaint_of_the_last_attempt_is_the_outcome():
    async def scene(box: Mailbox) -> None:
        await box.submit(b"", b"")
        await box.take()
        await box.complain(1, "rank 1 lost rank 0")
        await box.take()
        await box.complain(1, "rank 0: no such column")
        with pytest.raises(InfraError, match="2 times in a row; the last time: rank 0: no such column"):
            await outcome(box)

    play(scene, attempts=2)


def test_a_rank_that_died_while_it_waited_does_not_count():
    async def scene(box: Mailbox) -> None:
        dead = [asyncio.create_task(box.take()) for _ in range(4)]
        await asyncio.sleep(0.01)
        living = asyncio.create_task(box.take())
        await asyncio.sleep(0.01)
        await box.submit(b"", b"")
        assert await living == 1
        assert await asyncio.gather(*dead) == [None] * 4
        assert await box.take() == 1  # a second attempt is left

    play(scene, attempts=2)


def test_a_late_answer_to_an_earlier_job_is_dropped():
    async def scene(box: Mailbox) -> None:
        await box.submit(b"", b"")
        await box.settle(1, pack("one"))
        await box.submit(b"", b"")
        await box.settle(1, pack("one again"))
        await box.settle(2, pack("two"))
        assert await outcome(box) == "two"

    play(scene)


def test_a_group_that_never_comes_up_fails_the_job_and_the_next():
    async def scene(box: Mailbox) -> None:
        await box.submit(b"", b"")
        for _ in range(5):
            await box.started()
        with pytest.raises(InfraError, match="while it started"):
            await outcome(box)
        await box.submit(b"", b"")
        with pytest.raises(InfraError, match="while it started"):
            await outcome(box)
        assert await box.take() is None

    play(scene)


def test_starts_between_which_work_was_asked_for_do_not_add_up():
    async def scene(box: Mailbox) -> None:
        for _ in range(10):
            await box.started()
            waiting = asyncio.create_task(box.take())
            await asyncio.sleep(0)
        await box.submit(b"", b"")
        assert await waiting == 1

    play(scene)


def test_stop_wakes_who_waits():
    async def scene(box: Mailbox) -> None:
        waiting = asyncio.create_task(box.take())
        await asyncio.sleep(0)
        await box.stop()
        assert await waiting is None
        await box.ready()

    play(scene)
