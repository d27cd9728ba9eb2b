"""What pickles hold, as far as it is strings, numbers, lists, tuples and dicts; nothing is run.

A pickle is a program for a machine with a stack. The library `pickletools` reads it as a list of
instructions and runs none; here those are followed that make such values. `OrderedDict` and
`Counter` are read as dicts. Whatever else an instruction names, calls or fills is refused, whether
it would matter or not. There is a bound to the number of instructions and, by it, to memory, less
than a GB: what a pickle says twice is kept once.
"""

import io
import pickletools

MOST_STEPS = 10_000_000  # six of them are a word of Transformer-XL's, of which there are 800,000
CONTAINER_STEPS = 10  # that a list, tuple or dict counts for, which takes more memory
MOST_BITS = 128  # of an integer; `torch.save` begins with one of 77
MOST_PICKLES = 8  # one after the other in a file; `torch.save` wrote five
MAPPINGS = {("collections", "OrderedDict"), ("collections", "Counter")}

CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
BYTE_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # what Python 2 wrote
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CONTAINERS = ("EMPTY_LIST", "EMPTY_DICT", "LIST", "TUPLE", "DICT", "REDUCE", *TUPLES)
NOTHING = ("PROTO", "FRAME")


class _Mark:
    """What stands on the stack where a list, tuple or dict begins."""


class _Name:
    """A name that stands for a dict."""


MARK, MAPPING = _Mark(), _Name()


def pickle_values(content, path):
    """Return what the pickles of a file hold: strings, numbers, lists, tuples and dicts.

    Args:
        content: bytes of one pickle, or of several one after the other.
        path: of the file, for messages.

    Returns:
        list of values.

    Raises:
        ValueError: if it is damaged, takes too many steps, or holds, names or calls anything else.
    """
    stream, values, budget = io.BytesIO(content), [], [MOST_STEPS]
    while stream.tell() < len(content):
        if len(values) == MOST_PICKLES:
            raise ValueError(f"{path} must hold {MOST_PICKLES} pickles at most")
        begin = stream.tell()
        try:
            values.append(_value(pickletools.genops(stream), budget))
        except _Refused as error:
            raise ValueError(f"{path} is refused: {error}") from None
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{path} is no pickle, or a damaged one, from byte {begin} on: {error!r:.200}"
            ) from None
    return values


class _Refused(Exception):
    """What a pickle wants that a vocabulary does not need."""


def _value(instructions, budget):
    """The value of one pickle."""
    stack, memo = [], {}
    for opcode, argument, position in instructions:
        name = opcode.name
        _spend(budget, CONTAINER_STEPS if name in CONTAINERS else 1)
        if name in NOTHING:
            continue
        if name == "STOP":
            (value,) = stack
            return _plain(value)
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in NUMBERS:
            stack.append(_number(argument, position))
        elif name in TEXTS:
            stack.append(argument)
        elif name in BYTE_TEXTS:
            stack.append(argument.encode("latin-1").decode("utf-8"))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append([] if name == "EMPTY_LIST" else {})
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("LIST", "TUPLE", "DICT"):
            items = _above_mark(stack)
            stack.append({"LIST": list, "TUPLE": tuple, "DICT": _paired}[name](items))
        elif name in TUPLES:
            items = [_plain(stack.pop()) for _ in range(TUPLES[name])]
            stack.append(tuple(items[::-1]))
        elif name in ("APPEND", "APPENDS"):
            items = [_plain(stack.pop())] if name == "APPEND" else _above_mark(stack)
            _of_type(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else _above_mark(stack)
            _of_type(stack[-1], dict).update(_paired(items))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("POP", "POP_MARK"):
            stack.pop() if name == "POP" else _above_mark(stack)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            parts = argument.split(" ") if name == "GLOBAL" else [stack.pop(), stack.pop()][::-1]
            stack.append(_named(parts, position))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_mapping(function, _of_type(arguments, tuple), budget))
        else:
            raise _Refused(
                f"a vocabulary needs no {name}, byte {position}. If you trust the file, load it "
                "where it was written and save a list of its words"
            )
    raise ValueError("it has no end")


def _spend(budget, steps):
    """Take steps from what is left."""
    budget[0] -= steps
    if budget[0] < 0:
        raise _Refused(f"it takes more than {MOST_STEPS:,} steps")


def _number(number, position):
    """A number that is not too long."""
    if isinstance(number, int) and number.bit_length() > MOST_BITS:
        raise _Refused(f"it has an integer of {number.bit_length()} bits, byte {position}")
    return number


def _named(parts, position):
    """What a name stands for; all names but two are refused."""
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise _Refused(f"the name at byte {position} is none")
    if tuple(parts) not in MAPPINGS:
        raise _Refused(
            f"it names {'.'.join(parts)!r:.100}, byte {position}, and only the names of "
            f"{sorted('.'.join(one) for one in MAPPINGS)} are read. If you trust the file, load it "
            "where it was written and save a list of its words"
        )
    return MAPPING


def _mapping(function, arguments, budget):
    """The dict that a call of one of the two names makes."""
    if function is not MAPPING or len(arguments) > 1:
        raise _Refused("it calls what is no name of a dict, or with several arguments")
    if not arguments:
        return {}
    (items,) = arguments
    if isinstance(items, dict):  # shared, not copied: nothing is filled in later
        return items
    _spend(budget, len(_of_type(items, list)))
    return _paired([one for pair in items for one in _pair(pair)])


def _pair(pair):
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise _Refused("it makes a dict of what are no pairs")
    return pair


def _paired(items):
    """A dict of keys and values that follow each other."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    for key in items[::2]:
        # The hash of nested tuples takes for ever, and large numbers may share theirs.
        if type(key) is not str and not (type(key) is int and abs(key) < 2**31):
            raise _Refused(f"it has a key that is no string and no index: {described(key)}")
    return dict(zip(items[::2], map(_plain, items[1::2])))


def _above_mark(stack):
    """Take what lies above the last mark, and the mark."""
    items = []
    while (item := stack.pop()) is not MARK:
        items.append(_plain(item))
    return items[::-1]


def _plain(value):
    """A value that is neither a mark nor a name."""
    if value is MARK or value is MAPPING:
        raise _Refused("it holds a name, or a mark, as a value")
    return value


def _of_type(value, kind):
    if type(value) is not kind:
        raise _Refused(f"it fills or calls with what is no {kind.__name__}: {described(value)}")
    return value


def described(value):
    """Return a value for a message; what is inside of containers is not shown, as it may be nested.

    Args:
        value: one of `pickle_values`.
    """
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r:.100}" if isinstance(value, (str, int)) else type(value).__name__
