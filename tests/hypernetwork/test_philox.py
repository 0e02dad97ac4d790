import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.hypernetwork.philox import Stream, philox4x32, random_signs, random_words

# The known-answer vectors that the authors publish with Random123.
KNOWN_ANSWERS = [
    ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, (2**32 - 1,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_published_vectors(counter, key, expected):
    words = philox4x32(np.array([counter], dtype=np.uint32), key)
    assert words.tolist() == [expected]


@given(st.integers(0, 300), st.integers(0, 70), st.integers(0, 40))
def test_any_window_reads_the_same_sequence(start, count, lead):
    whole = random_words(5, 2, Stream.PERMUTATION, 0, start + count + lead)
    assert np.array_equal(
        random_words(5, 2, Stream.PERMUTATION, start, count), whole[start : start + count]
    )
    signs = random_signs(5, 2, Stream.INPUT_SIGNS, 0, start + count + lead)
    assert np.array_equal(
        random_signs(5, 2, Stream.INPUT_SIGNS, start, count), signs[start : start + count]
    )


def test_positions_beyond_32_bits_of_counters_differ():
    far = random_words(0, 0, Stream.DENSE_SIGNS, 4 * 2**32, 4)
    assert far.tolist() != random_words(0, 0, Stream.DENSE_SIGNS, 0, 4).tolist()


def test_a_sign_is_minus_one_where_its_bit_is_set():
    word = int(random_words(9, 1, Stream.OUTPUT_SIGNS, 0, 1)[0])
    expected = [-1 if word >> i & 1 else 1 for i in range(32)]
    assert random_signs(9, 1, Stream.OUTPUT_SIGNS, 0, 32).tolist() == expected


def test_seeds_layers_and_streams_are_separate_sequences():
    drawn = {
        tuple(random_words(seed, layer, stream, 0, 4).tolist())
        for seed in range(3)
        for layer in range(3)
        for stream in Stream
    }
    assert len(drawn) == 3 * 3 * len(Stream)
