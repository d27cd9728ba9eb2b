"""One function at a time in a thread: a checkpoint is written while training goes on."""

import logging
import threading

logger = logging.getLogger("keras_plm")
_RUNNING = set()  # of all writers of this process, those that have begun and not ended


class BackgroundWriting:
    """Runs functions in a thread, one after the other; an error comes out where it is waited for.

    The thread is no daemon: Python ends when what it has begun is written.
    """

    def __init__(self):
        self._thread = self._error = None

    def start(self, function, *arguments):
        """Wait for what was started before, then run a function in the background.

        Args:
            function: function of the arguments.
            arguments: what it takes, which nobody else may change.

        Raises:
            Exception: what the function that was started before raised.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(function, arguments))
        _RUNNING.add(self)
        self._thread.start()

    def _run(self, function, arguments):
        try:
            function(*arguments)
        except BaseException as error:  # raised again by `wait`, if anybody waits
            logger.error("What was written in the background failed: %r", error)
            self._error = error
        finally:
            _RUNNING.discard(self)

    def join(self):
        """Wait until nothing runs, whether it failed or not."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self):
        """Wait until nothing runs.

        Raises:
            Exception: what the function raised; once.
        """
        self.join()
        self.raise_error()

    def raise_error(self):
        """Raise what a function raised, if it has failed already; once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def forget_error(self):
        """Wait until nothing runs, and leave it at what the log said of it."""
        self.join()
        self._error = None


def join_all():
    """Wait for all that runs in this process, as what reads what it writes must."""
    for writing in list(_RUNNING):
        writing.join()
