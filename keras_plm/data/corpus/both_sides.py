"""Tokenising what is read and what is written, each by the tokenizer of its side."""


def encode_sides(tokenizer, sentences, written, num_threads, with_offsets=False):
    """Turn sentences into ids, those that are translations by `tokenizer.target`.

    Args:
        tokenizer: a `Tokenizer`.
        sentences: list of str.
        written: collection of int. Which of the sentences are translations of others.
        num_threads: int. How many threads may share them.
        with_offsets: bool. Whether offsets are asked for.

    Returns:
        As `Tokenizer.encode`, or with offsets as `Tokenizer.encode_with_offsets`, in the order of
        the sentences.
    """
    if tokenizer.target is tokenizer:
        written = ()
    written = set(written)
    found = [None] * len(sentences)
    read = [number for number in range(len(sentences)) if number not in written]
    for one, numbers in ((tokenizer, read), (tokenizer.target, sorted(written))):
        own = [sentences[number] for number in numbers]
        encode = one.encode_with_offsets if with_offsets else one.encode
        made = encode(own, num_threads=num_threads) if own else ()
        pairs = zip(*made) if with_offsets else made
        for number, value in zip(numbers, pairs):
            found[number] = value
    return tuple([list(part) for part in zip(*found)] or ([], [])) if with_offsets else found
