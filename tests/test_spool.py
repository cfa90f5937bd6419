"""What of a result may wait for its client, and for how long."""

import asyncio
import concurrent.futures
import threading
import time

import pytest

from pulsebook.local.failure import Failure
from pulsebook.local.spool import LEAST, QUEUED, Room, Spool

MB = 1 << 20


def written(spool: Spool, size: int, seconds: float) -> tuple[int, Exception | None]:
    """What a writer in a thread gets rid of within some time, and what ended it; then its reader leaves."""
    ended = []

    def write():
        try:
            for _ in range(size // MB):
                spool.write(bytes(MB))
        except Exception as error:
            ended.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(seconds)
    count = spool.written
    spool.close()
    writer.join(5)
    return count, ended[0] if ended else None


def of(room: Room, make) -> None:
    async def within_a_loop():
        await make(room)

    asyncio.run(within_a_loop())


@pytest.mark.parametrize(("line", "most"), [(False, 256 * MB), (True, QUEUED)])
def test_less_may_wait_while_others_are_in_line(tmp_path, line, most):
    async def check(room):
        spool = Spool(room)
        spool.in_line = lambda: line
        count, _ = await asyncio.to_thread(written, spool, 400 * MB, 5)
        assert count == most and room.taken == 0

    of(Room(tmp_path), check)


def test_a_reader_of_whose_statement_others_need_the_place_has_a_second(tmp_path):
    async def check(room):
        spool = Spool(room, waiting=MB * 4)
        spool.needed = lambda: True
        begin = time.monotonic()
        count, error = await asyncio.to_thread(written, spool, 8 * MB, 10)
        assert count == 4 * MB and isinstance(error, Failure) and "reads too slowly" in str(error)
        assert time.monotonic() - begin < 5 and room.taken == 0

    of(Room(tmp_path), check)


def test_however_many_results_wait_a_small_one_has_room(tmp_path):
    async def check(room):
        spools = [Spool(room) for _ in range(12)]
        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            writing = [threads.submit(written, spool, 90 * MB, 4) for spool in spools]
            await asyncio.sleep(2)
            assert room.free >= LEAST
            small = Spool(room, patience=0)
            small.write(bytes(MB))
            small.close()
        assert any(one.result()[1] for one in writing) and room.taken == 0  # what one gives up another may take

    of(Room(tmp_path, total=100 * MB), check)


def test_a_whole_result_may_take_what_is_free(tmp_path):
    async def check(room):
        spool = Spool(room, waiting=room.total // 2, whole=True)
        spool.in_line = lambda: True
        count, _ = await asyncio.to_thread(written, spool, 49 * MB, 10)
        assert count == 49 * MB

    of(Room(tmp_path, total=100 * MB), check)
