import threading

import pytest

from keras_plm.tasks.training.background_writing import BackgroundWriting, join_all


def fail(error):
    raise error


def test_one_after_the_other():
    writing, done, may_go_on = BackgroundWriting(), [], threading.Event()
    writing.start(lambda: may_go_on.wait(60) and done.append(1))
    assert done == []
    threading.Timer(0.1, may_go_on.set).start()
    writing.start(done.append, 2)
    writing.wait()
    assert done == [1, 2]


def test_an_error_comes_out_once_and_as_it_is():
    writing = BackgroundWriting()
    for then in (writing.wait, lambda: writing.start(fail, OSError("second"))):
        writing.start(fail, OSError("No space"))
        with pytest.raises(OSError, match="No space"):
            then()
        writing.wait()
    writing.start(fail, KeyboardInterrupt("Ctrl-C"))
    writing.join()
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        writing.raise_error()
    writing.raise_error()


def test_who_reads_waits_for_all_and_hears_no_error():
    done, writers = [], [BackgroundWriting(), BackgroundWriting()]
    may_go_on = threading.Event()
    writers[0].start(lambda: may_go_on.wait(60) and done.append(1))
    writers[1].start(fail, OSError("No space"))
    threading.Timer(0.1, may_go_on.set).start()
    join_all()
    assert done == [1]
    with pytest.raises(OSError, match="No space"):
        writers[1].wait()
