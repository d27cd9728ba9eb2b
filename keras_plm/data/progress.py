"""How far a pass over texts is, on one line of a terminal; data code knows no Keras."""

import sys
import time

from keras_plm.checks import check_choice

VERBOSE = ("auto", 0, 1, 2)
IN_A_TERMINAL, IN_A_LOG = 0.2, 10.0  # seconds between two lines


def with_progress(items, what, total, texts_of, verbose="auto"):
    """Yield items, and say how much text they were so far.

    Args:
        items: iterable.
        what: str. What is done with them.
        total: int. The bytes of the files that they come from, a little more than those of texts;
            None: not known.
        texts_of: function from an item to the list of its str.
        verbose: 0: nothing is said. 1: one line, which is written anew (in a log: a line every 10
            seconds). 2: one line at the end. "auto": 1 in a terminal, else 0.

    Raises:
        ValueError: if `verbose` is none of these.
    """
    in_place = sys.stdout.isatty()
    check_choice("verbose", verbose, VERBOSE)
    verbose = int(in_place) if verbose == "auto" else verbose
    if not verbose:
        yield from items
        return
    done, began, written = 0, time.monotonic(), 0
    interval = IN_A_TERMINAL if in_place else IN_A_LOG

    def say(end):
        of = "" if total is None else f" of {_size(total)}"
        line = f"{what}: {_size(done)}{of}, {time.monotonic() - began:.0f} s"
        print("\r" * in_place + line, end=end, flush=True)

    for item in items:
        yield item
        done += sum(len(text.encode("utf-8", "replace")) for text in texts_of(item))
        if verbose == 1 and time.monotonic() - began > (written + 1) * interval:
            written = (time.monotonic() - began) // interval
            say("" if in_place else "\n")
    done = done if total is None else total
    say("\n")


def _size(count):
    """A number of bytes in words."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
