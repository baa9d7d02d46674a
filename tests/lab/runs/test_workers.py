"""Workers leave Ctrl-C to whoever started them, from their first moment on, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from neurogames.lab.runs.workers import finish

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SLOW = """
import time
from pathlib import Path
from neurogames.lab.runs.workers import finish

def loaded(place):
    Path(f"loading-{place}").touch()
    time.sleep(100)

class SlowToLoad:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        import slow
        return slow.loaded, (self.place,)

if __name__ == "__main__":
    list(finish(print, [(SlowToLoad(place),) for place in range(2)], workers=2))
"""


def how_interrupts_are_met(_: int) -> tuple[bool, bool]:
    """Whether Ctrl-C is ignored, and whether it was put off before Python had started."""
    return (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),
    )


def test_workers_never_hear_an_interrupt_and_the_starter_still_does():
    assert list(finish(how_interrupts_are_met, [(0,), (1,)], workers=2)) == [(True, True)] * 2
    assert how_interrupts_are_met(0) == (False, False)


def test_workers_that_are_still_loading_end_with_the_process_that_started_them(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("loading-*"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while _is_there(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_is_replaced_is_no_reason_to_stop_where_warnings_are_errors():
    # What joblib warns of in a thread of its own, on which all answers depend.
    text = "A worker stopped while some jobs were given to the executor. This can be caused by a memory leak."
    for _ in finish(max, [(1, 2)], workers=2):
        warnings.warn(text, UserWarning, stacklevel=1)
    with pytest.raises(UserWarning, match="A worker stopped"):
        warnings.warn(text, UserWarning, stacklevel=1)
