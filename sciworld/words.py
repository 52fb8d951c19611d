"""Words: a free text as whole numbers to look up, the same on every machine.

Words are hashed (Weinberger et al. 2009, arXiv:0902.2206), so that there is no vocabulary to fit, nor to keep.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

COUNT = 16  # words that are read of a text
NUMBERS = 4096  # of words, and 0, which is none; of 100 words two or three share a number with another


def words_of(text: str) -> np.ndarray:
    """The first 16 distinct words of `text` as their numbers : (16,) int64 of 1 to 4095, and 0 where there are fewer.

    A word is a run of letters and digits, large or small.
    """
    found = list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))[:COUNT]
    numbers = np.zeros(COUNT, dtype=np.int64)
    numbers[: len(found)] = [zlib.crc32(word.encode()) % (NUMBERS - 1) + 1 for word in found]
    return numbers
