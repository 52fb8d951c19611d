"""Particle images: pairs and sequences by their names, pixels as stored, each file read when it is used."""

import os
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from sciworld import recording
from sciworld.cli.data import ingest as ingest_command
from sciworld.domains.fluid.images import is_folder_of_images
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.ingest.open import open_recording
from sciworld.store import Store

T, NY, NX = 3, 5, 7
MIRROR = os.environ.get("SCIWORLD_MIRROR")
real = pytest.mark.skipif(not MIRROR, reason="SCIWORLD_MIRROR is not set")


def write_bmp(path, pixels):
    """A BMP of 8 bits with a palette of greys; rows from the bottom, padded to four bytes."""
    rows, cols = pixels.shape
    body = b"".join(row.tobytes().ljust(-(-cols // 4) * 4, b"\0") for row in pixels[::-1])
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, cols, rows, 1, 8, 0, len(body), 0, 0, 256, 0)
    offset = 14 + len(head) + len(palette)
    path.write_bytes(b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + palette + body)


def read_bmp(path):
    """The pixels of such a file, by hand."""
    content = path.read_bytes()
    offset, _, cols, rows, _, bits = struct.unpack_from("<IIiiHH", content, 10)
    assert bits == 8
    palette = np.frombuffer(content, np.uint8, 1024, offset - 1024).reshape(256, 4)
    assert (palette[:, :1] == palette[:, :3]).all()
    body = np.frombuffer(content, np.uint8, rows * -(-cols // 4) * 4, offset).reshape(rows, -1)
    return palette[body[::-1, :cols], 0]


def write_png(path, pixels):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows, cols = pixels.shape
    head = struct.pack(">IIBBBBB", cols, rows, 8 * pixels.itemsize, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def write_jpeg(path, pixels):
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("mjpeg")
        stream.height, stream.width = pixels.shape
        stream.pix_fmt, stream.codec_context.color_range = "yuvj420p", 2
        frame = av.VideoFrame.from_ndarray(np.repeat(pixels[..., None], 3, axis=2), format="rgb24")
        for packet in [*stream.encode(frame.reformat(format="yuvj420p")), *stream.encode(None)]:
            container.mux(packet)


def write_tiff(path, pixels):
    tifffile.imwrite(path, pixels)


WRITERS = {".bmp": write_bmp, ".png": write_png, ".tif": write_tiff, ".jpg": write_jpeg}


def film(folder, names, dtype="uint8"):
    """Pictures of noise, one a name : (picture, y, x)."""
    folder.mkdir(parents=True, exist_ok=True)
    high = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, high, (len(names), NY, NX), dtype=dtype, endpoint=True)
    for name, pixels in zip(names, values, strict=True):
        WRITERS[Path(name).suffix](folder / name, pixels)
    return values


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".bmp", "uint8"), (".png", "uint8"), (".png", "uint16"), (".tif", "uint8"), (".tif", "uint16")],
)
def test_pixels_are_those_of_the_files(tmp_path, suffix, dtype):
    names = [f"wake 2|{k}é{suffix}" for k in (1, 2, 10)]
    values = film(tmp_path / "a|b", names, dtype)
    (tmp_path / "a|b" / "notes.txt").write_text("camera 1")
    ds = open_recording(tmp_path / "a|b", "fluid:images")
    np.testing.assert_array_equal(ds["frames"].values, values[..., None])
    assert ds["frames"].dtype == dtype
    np.testing.assert_array_equal(ds["frames"][2:0:-1, 1:, ::2].values, values[2:0:-1, 1:, ::2, None])
    np.testing.assert_array_equal(ds["frames"][1].values, values[1, ..., None])
    assert "a sequence of 3" in ds.attrs["history"] and "1 other files are left out" in ds.attrs["history"]
    assert "comment" in ds["time"].attrs and ds.attrs["session"] == "a|b"


def test_a_sequence_is_in_the_order_of_its_numbers(tmp_path):
    names = ["run10.bmp", "run1.bmp", "run2.bmp"]
    values = film(tmp_path, names)
    ds = open_recording([tmp_path / name for name in names], options={"frame_seconds": 0.25})
    np.testing.assert_array_equal(ds["frames"].values[..., 0], values[[1, 2, 0]])
    np.testing.assert_allclose(ds["time"].values, [0, 0.25, 0.5])
    assert "comment" not in ds["time"].attrs


def test_the_size_of_a_pixel_is_stated_by_the_user(tmp_path):
    film(tmp_path, ["run1.bmp", "run2.bmp"])
    assert open_recording(tmp_path)["view"].attrs["units"] == "pixel"
    ds = open_recording(tmp_path, options={"pixel_size": 2e5})
    assert ds["view"].attrs["units"] == "A" and "the pixel size is 200000 A" in ds.attrs["history"]
    np.testing.assert_array_equal(ds["view"].values, [[2e5, 0, 0, 0, 2e5, 0]] * 2)


def test_the_command_takes_pulses_and_pixels(tmp_path):
    film(tmp_path / "jet", [f"Jet_{k}{half}.bmp" for k in (1, 2) for half in "AB"])
    app = typer.Typer()
    app.command()(ingest_command)
    stated = ["--frame-seconds", "0.5", "--pulse-seconds", "0.002", "--pixel-size", "20:um"]
    got = CliRunner().invoke(app, [str(tmp_path / "jet"), "--out", str(tmp_path / "store"), *stated])
    assert got.exit_code == 0, got.output
    (ds,) = list(Store.open(tmp_path / "store"))
    np.testing.assert_allclose(ds["time"].values, [0, 0.002, 0.5, 0.502])
    np.testing.assert_allclose(ds["view"].values[0, [0, 4]], 2e5)


@pytest.mark.parametrize(
    "names",
    [
        ["Jet_0002A", "Jet_0010A", "Jet_0002B", "Jet_0010B"],
        ["exp1_002_a", "exp1_010_a", "exp1_002_b", "exp1_010_b"],
        ["R2.T000.H001.LA", "R10.T000.H001.LA", "R2.T000.H001.LB", "R10.T000.H001.LB"],
        ["f_2_0", "f_10_0", "f_2_1", "f_10_1"],
    ],
)  # fmt: skip
def test_pairs_are_told_by_their_names(tmp_path, names):
    values = film(tmp_path, [f"{name}.bmp" for name in names])
    counted = open_recording(tmp_path)
    np.testing.assert_array_equal(counted["frames"].values[..., 0], values[[0, 2, 1, 3]])
    assert "2 pairs of exposures A and B" in counted.attrs["history"] and "counted" in counted.attrs["history"]
    np.testing.assert_array_equal(counted["states"].values[:, 0], [0, 1, 0, 1])
    timed = open_recording(tmp_path, options={"frame_seconds": 0.5, "pulse_seconds": 0.001})
    np.testing.assert_allclose(timed["time"].values, [0, 0.001, 0.5, 0.501])
    with pytest.raises(SettingsError, match="give both frame_seconds and pulse_seconds"):
        open_recording(tmp_path, options={"frame_seconds": 0.5})


@pytest.mark.parametrize(
    ("names", "alone"),
    [
        (["Jet_1A", "Jet_1B", "Jet_2B"], r"Jet_2B\.bmp: has no partner"),
        (["Jet_1A", "Jet_2A", "Jet_3A"], None),  # all first exposures
        (["x1a", "x1b", "x1c"], None),  # letters that count on
        (["img_0", "img_1"], None),  # numbers
        (["run_1_0", "run_1_1", "run_2_0"], None),
    ],
)
def test_what_is_no_pair(tmp_path, names, alone):
    film(tmp_path, [f"{name}.bmp" for name in names])
    if alone:
        with pytest.raises(FormatError, match=alone):
            open_recording(tmp_path)
    else:
        assert f"a sequence of {len(names)}" in open_recording(tmp_path).attrs["history"]
        with pytest.raises(SettingsError, match="leave out pulse_seconds"):
            open_recording(tmp_path, options={"pulse_seconds": 0.1})


def test_one_pair_needs_no_frame_seconds(tmp_path):
    film(tmp_path, ["p_1a.png", "p_1b.png"])
    ds = open_recording(tmp_path, options={"pulse_seconds": 1e-4})
    np.testing.assert_allclose(ds["time"].values, [0, 1e-4])
    with pytest.raises(SettingsError, match="comes before the next pair"):
        open_recording(tmp_path, options={"frame_seconds": 0.1, "pulse_seconds": 0.1})


def test_pictures_are_read_when_they_are_used(tmp_path):
    names = [f"im_{k}.bmp" for k in range(T)]
    values = film(tmp_path, names)
    write_bmp(tmp_path / names[1], np.zeros((NY + 1, NX), np.uint8))
    ds = open_recording(tmp_path)
    np.testing.assert_array_equal(ds["frames"][::2].values[..., 0], values[::2])
    with pytest.raises(FormatError, match=r"im_1\.bmp: \(6, 7, 1\) uint8 where im_0\.bmp has \(5, 7, 1\) uint8"):
        ds["frames"].values  # noqa: B018
    write_png(tmp_path / names[1], values[1].astype(np.uint16))
    with pytest.raises(FormatError, match=r"im_1\.bmp: \(5, 7, 1\) uint16"):
        ds["frames"][1].values  # noqa: B018
    (tmp_path / names[1]).unlink()
    with pytest.raises(FormatError, match=r"im_1\.bmp: no such file"):
        ds["frames"][1].values  # noqa: B018


def test_folders_of_other_things_are_left_to_other_readers(tmp_path):
    film(tmp_path / "tiff", ["a1.tif", "a2.tif"], "uint16")
    film(tmp_path / "mixed", ["a1.bmp", "a2.png"])
    film(tmp_path / "preview", ["a1.tif", "look.png"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "self").symlink_to(tmp_path / "loop" / "self")
    found = {folder.name: is_folder_of_images(folder) for folder in tmp_path.iterdir()}
    assert found == {"tiff": False, "mixed": True, "preview": False, "empty": False, "loop": False}
    stem = open_recording(tmp_path / "tiff")
    assert "TIFF stack" in stem.attrs["history"] and stem.sizes["time"] == 2
    with pytest.raises(FormatError, match=r"several formats, BMP \(a1\.bmp\), PNG \(a2\.png\)"):
        open_recording(tmp_path / "mixed")
    for name in ("empty", "loop"):
        with pytest.raises(FormatError, match="a folder without pictures"):
            open_recording(tmp_path / name, "fluid:images")
    path = tmp_path / "mixed" / "a1.bmp"
    with pytest.raises(FormatError, match=r"a1\.bmp: is in the list twice"):
        open_recording([path, path])


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_cut_picture_is_named(tmp_path, suffix):
    names = [f"im_{k}{suffix}" for k in range(2)]
    film(tmp_path, names)
    path = tmp_path / names[1]
    content = path.read_bytes()
    for end in [0, 1, 10, 30, len(content) // 2, len(content) - 9]:
        path.write_bytes(content[:end])
        with pytest.raises(SciworldError, match=path.name):
            open_recording(tmp_path, "fluid:images")["frames"].values  # noqa: B018


def test_a_png_with_one_wrong_byte_is_named(tmp_path):
    film(tmp_path, ["p.png"])
    content = bytearray((tmp_path / "p.png").read_bytes())
    content[-13] ^= 1  # the checksum of the pixels
    (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(FormatError, match=r"p\.png: a truncated or damaged PNG"):
        open_recording(tmp_path / "p.png")


def test_sizes_that_no_file_can_hold_are_refused(tmp_path):
    film(tmp_path, ["a.jpg", "b.bmp"])
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xff\xf0\xff\xf0"
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.jpg: a JPEG file that states more pixels than it can hold"):
        open_recording(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "b.bmp").read_bytes())
    content[18:26] = struct.pack("<ii", 100_000, 100_000)
    (tmp_path / "b.bmp").write_bytes(content)
    with pytest.raises(FormatError, match=r"b\.bmp: a truncated or damaged BMP"):
        open_recording(tmp_path / "b.bmp")


def test_twelve_bits_are_kept_in_sixteen(tmp_path):
    """Rows of 12 bits a pixel, padded to bytes, as cameras write them."""
    values = np.random.default_rng(1).integers(0, 4096, (NY, NX), dtype=np.uint16)
    bits = [np.unpackbits(row.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:].ravel() for row in values]
    body = b"".join(np.packbits(row).tobytes() for row in bits)
    short = {256: NX, 257: NY, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: NY, 279: len(body)}
    tags = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in short.items())
    body += b"\0" * (len(body) % 2)
    directory = struct.pack("<H", len(short)) + tags + bytes(4)
    (tmp_path / "p.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory)
    ds = open_recording(tmp_path / "p.tif", "fluid:images")
    np.testing.assert_array_equal(ds["frames"].values[0, ..., 0], values)
    assert ds["frames"].dtype == np.uint16


def test_a_tiff_of_several_pages_is_a_movie_of_its_own(tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((2, NY, NX), np.uint16), photometric="minisblack")
    with pytest.raises(FormatError, match=r"two\.tif: 2 pages"):
        open_recording(tmp_path / "two.tif", "fluid:images")


@real
def test_the_real_wake():
    """A sequence of palette BMP, held against a decoder of these lines alone."""
    paths = sorted((Path(MIRROR) / "fluid/pivlab").glob("PIVlab_Karman_0*.bmp"))
    ds = open_recording(paths)
    assert ds["frames"].shape == (4, 765, 1024, 1) and ds["frames"].dtype == np.uint8
    assert ds["frames"].values.sum(axis=(1, 2, 3), dtype=np.int64).tolist() == [25407520, 25290450, 25727952, 25340286]
    for frame, path in zip(ds["frames"], paths, strict=True):
        np.testing.assert_array_equal(frame.values[..., 0], read_bmp(path))
    assert "a sequence of 4" in ds.attrs["history"]
    assert recording.channel_table(ds).names == ("grey",)


@real
def test_the_real_jet():
    """Ten pairs of grey JPEG. Decoders differ by one grey value in a pixel of a hundred, never in the mean."""
    paths = sorted((Path(MIRROR) / "fluid/pivlab").glob("Jet_*.jpg"))
    ds = open_recording(paths, options={"frame_seconds": 0.1, "pulse_seconds": 1e-4})
    assert ds["frames"].shape == (20, 1040, 1392, 1) and ds["frames"].dtype == np.uint8
    np.testing.assert_allclose(ds["time"].values[:4], [0, 1e-4, 0.1, 0.1001])
    # Sums by libjpeg.
    for k, total in ((0, 18284041), (1, 20228920), (18, 18546799), (19, 19695749)):
        assert abs(int(ds["frames"][k].values.sum(dtype=np.int64)) - total) < 0.005 * 1040 * 1392
    assert "10 pairs of exposures A and B" in ds.attrs["history"]
    with pytest.raises(FormatError, match="several formats, JPEG"):
        open_recording(Path(MIRROR) / "fluid/pivlab")
