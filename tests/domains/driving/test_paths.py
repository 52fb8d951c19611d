"""Names that tables and archives state: those that lead elsewhere are told from those that stay."""

from pathlib import Path

import pytest

from sciworld.domains.driving.paths import inside, stays
from sciworld.errors import FormatError

AWAY = ("/a", "..", "../a", "a/../../b", "a/..", "a\\b", "..\\a", "a\0b")


def test_what_stays_is_joined():
    for name in ("a", "a/b.jpg", "./a", "..a", "a..b/c"):
        assert stays(name) and inside(Path("root"), name, Path("table")) == Path("root") / name


@pytest.mark.parametrize("name", AWAY)
def test_what_leads_elsewhere_is_refused(name):
    assert not stays(name)
    with pytest.raises(FormatError, match=r"table: names the file .* outside the data set"):
        inside(Path("root"), name, Path("table"))


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_folder_is_no_file(name):
    assert stays(name)  # an archive of a folder has it as a member
    with pytest.raises(FormatError, match="outside the data set"):
        inside(Path("root"), name, Path("table"))
