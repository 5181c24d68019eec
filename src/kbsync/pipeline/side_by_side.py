"""Side by side: take the incidents of a page in hand, several at once, until all are done or time is up.

    one at a time   in this thread, in the page's order: every effect has its place
    several         threads that wait for a service; this thread alone starts them and judges what they bring

Nothing new is begun after an error that ends the run, an outage or the deadline; what is in flight is waited
for, since its effects count. Invariant: each incident is in one hand, so its own effects keep their order.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue

from kbsync.pipeline.hand import Hand
from kbsync.pipeline.pace import Pace
from kbsync.pipeline.plan import Action
from kbsync.pipeline.run import Run


def carry_out(run: Run, hands: Sequence[Hand], work: Callable[[Hand], None]) -> None:
    """Do the work of each hand; how it went stands in the hands, those that were not begun among them.

    Raises:
        BaseException: what ended the run, the first in the page's order; all that began has ended by then.
    """
    if run.threads is None:
        _one_by_one(run, hands, work)
        return
    threads, begun = run.threads, list[Future[None]]()
    try:
        _at_once(run, hands, lambda hand, done: begun.append(threads.submit(_told, work, hand, done)))
    finally:
        wait(begun)
    for hand in hands:
        if hand.error is not None:
            raise hand.error


@contextmanager
def with_threads(run: Run) -> Iterator[None]:
    """Give a run the threads it publishes with, for all its pages: starting one takes as long as a put."""
    if run.pace.most == 1:
        yield
        return
    with ThreadPoolExecutor(run.pace.most, thread_name_prefix="kbsync-publish") as threads:
        run.threads = threads
        try:
            yield
        finally:
            run.threads = None


def _one_by_one(run: Run, hands: Sequence[Hand], work: Callable[[Hand], None]) -> None:
    for hand in hands:
        if run.out_of_time:
            return
        _begin(run.pace, hand)
        work(hand)
        _judge(run.pace, hand)
        if hand.is_last_straw:
            return


def _at_once(run: Run, hands: Sequence[Hand], start: Callable[[Hand, "SimpleQueue[Hand]"], object]) -> None:
    done: SimpleQueue[Hand] = SimpleQueue()
    waiting, in_hand, in_flight_bytes, is_over = list(reversed(hands)), 0, 0, False
    while waiting or in_hand:
        if is_over or run.out_of_time:
            waiting.clear()
        elif waiting and run.pace.has_room(in_hand, in_flight_bytes, waiting[-1].size_bytes):
            hand = waiting.pop()
            _begin(run.pace, hand)
            start(hand, done)
            in_hand, in_flight_bytes = in_hand + 1, in_flight_bytes + hand.size_bytes
            continue
        if not in_hand:
            return
        hand = done.get()
        in_hand, in_flight_bytes = in_hand - 1, in_flight_bytes - hand.size_bytes
        if _judge(run.pace, hand) and waiting and not hand.is_last_straw:
            run.engine.sleep(run.pace.pause_seconds)
        is_over = is_over or hand.error is not None or hand.is_last_straw


def _begin(pace: Pace, hand: Hand) -> None:
    hand.began, hand.window = True, pace.window


def _told(work: Callable[[Hand], None], hand: Hand, done: "SimpleQueue[Hand]") -> None:
    """Work in a thread; whatever happens there is told to the thread that waits."""
    try:
        work(hand)
    except BaseException as error:  # noqa: BLE001 - raised again by `carry_out`
        hand.error = error
    done.put(hand)


def _judge(pace: Pace, hand: Hand) -> bool:
    """Tell the pace how it went; True where a window ended with a refusal."""
    if hand.error is not None or hand.again:
        return False
    if hand.refusal is not None:
        first = pace.was_refused(hand.window)
        hand.is_last_straw = pace.is_outage
        return first
    if hand.change.action is not Action.REJECT:
        pace.went_well()
    return False
