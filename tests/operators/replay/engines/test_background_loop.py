import asyncio
import threading

import pytest

from operators.replay.engines.background_loop import BackgroundLoop


def test_many_threads_and_a_running_loop_may_use_it() -> None:
    loop = BackgroundLoop("test")
    found: list[int] = []

    async def double(number: int) -> int:
        await asyncio.sleep(0.01)
        return 2 * number

    threads = [
        threading.Thread(target=lambda n=n: found.append(loop.run(double(n)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 2, 4, 6, 8, 10, 12, 14]

    async def outer() -> int:
        return loop.run(double(21))

    assert asyncio.run(outer()) == 42
    loop.close()


def test_errors_come_to_the_caller() -> None:
    loop = BackgroundLoop("test")

    async def fail() -> None:
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        loop.run(fail())
    loop.close()


def test_closing_cancels_what_still_runs_and_ends_the_thread() -> None:
    loop = BackgroundLoop("to be closed")
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    task = loop.run(begin())
    loop.close()
    loop.close()
    assert cancelled.is_set()
    assert task.cancelled()
    assert "to be closed" not in {thread.name for thread in threading.enumerate()}
