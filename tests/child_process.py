"""Work in a copy of this process, which may be killed and needs no imports of its own."""

import os
import signal
import traceback
from collections.abc import Callable


def run_in_child(work: Callable[[], object], *, after_s: float | None = None, sent: int = 0) -> int:
    """The exit code of a child that does some work; negative where a signal ended it.

    With `after_s` the child sends itself the signal `sent` when it has computed for so long; the
    time that a busy machine lets it wait does not count.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if after_s is not None:
                signal.signal(signal.SIGVTALRM, lambda *_: os.kill(os.getpid(), sent))
                signal.setitimer(signal.ITIMER_VIRTUAL, after_s)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it was, the child ends here
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
