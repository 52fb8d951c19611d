"""Pictures and videos: what is decoded is what was coded, in any order; what is missing or damaged is said."""

import io
import pickle
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.controls import colours
from sciworld.domains import media
from sciworld.domains.media import open_images, open_video, read_image
from sciworld.errors import FormatError

T, Y, X = 23, 34, 50


def levels(count=T, y=Y, x=X, step=9):
    """Grey frames, each of one level, so that a frame shows its own number."""
    return np.repeat(step * np.arange(count), y * x).reshape(count, y, x).astype("uint8")


def write_video(path, frames, codec="ffv1", pixels="gray", rate=20, times=None, options=(), container=None):
    """frames : (time, y, x) or (time, y, x, 3), in the format that `pixels` takes from uint8."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options=dict(options))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for k, pixel in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixel, format="gray" if pixel.ndim == 2 else "rgb24")
            if times is not None:
                frame.pts, frame.time_base = int(1000 * times[k]), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_raw(path, codec="libx265", stated=True):
    """A raw stream without times; x265 says its rate in the stream unless told not to."""
    option = f"log-level=none:bframes=0:vui-timing-info={int(stated)}"
    return write_video(path, levels(), codec, "gray", options={"x265-params": option, "crf": "5"}, container="hevc")


def encoded(pixels, codec="png", name="rgb24", to=None):
    """One picture as the bytes of a file."""
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as file:
        stream = file.add_stream(codec, rate=1)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], to or name
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=name)))
        file.mux(stream.encode())
    return out.getvalue()


def frames_of(video):
    return xr.Variable(("time", "y", "x", "channel"), video.frames)


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_lossless_video_comes_back(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 255, (11, 5, 7), "uint8")
    video = open_video(write_video(tmp_path / f"a.{suffix}", pixels))
    assert np.array_equal(frames_of(video).values[..., 0], pixels)
    np.testing.assert_allclose(video.time, np.arange(11) / 20, atol=1e-3)
    assert "cut off" not in video.note
    assert (
        video.stated_times and "ffv1 gray as grey" in video.note and colours(video.frames.shape[-1]).names == ("grey",)
    )


def test_colours_come_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 7, 3), "uint8")
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = 5, 7, "bgr0"
        for one in pixels:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="rgb24").reformat(format="bgr0")))
        file.mux(stream.encode())
    video = open_video(tmp_path / "a.mkv")
    assert np.array_equal(frames_of(video).values, pixels)
    assert colours(video.frames.shape[-1]).names == (
        "red",
        "green",
        "blue",
    )


@pytest.mark.parametrize(("name", "top"), [("gray10le", 1023), ("gray12le", 4095), ("gray16le", 65535)])
def test_grey_of_many_bits_is_not_stretched(tmp_path, name, top):
    pixels = np.random.default_rng(0).integers(0, top, (5, 7), "uint16")
    pixels[0, 0] = top
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = 5, 7, name
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=name)))
        file.mux(stream.encode())
    found = frames_of(open_video(tmp_path / "a.mkv"))
    assert found.dtype == np.uint16 and np.array_equal(found.values[0, ..., 0], pixels)


def test_uneven_times_are_those_of_the_file(tmp_path):
    times = np.cumsum(np.random.default_rng(1).integers(10, 90, T)) / 1000
    video = open_video(write_video(tmp_path / "a.mkv", levels(), times=times))
    np.testing.assert_allclose(video.time, times, atol=1e-9)


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """A film with a key frame every 6, and frames that are coded out of order between them."""
    options = {"g": "6", "bf": "2", "crf": "1"}
    path = tmp_path_factory.mktemp("video") / "coded.mp4"
    write_video(path, levels(), "libx264", "yuv420p", options=options)
    found = frames_of(open_video(path)).values
    assert (np.abs(found[:, 0, 0, 0].astype(int) - 9 * np.arange(T)) < 4).all()
    return path, found


@settings(max_examples=30)
@given(rows=st.lists(st.slices(T), min_size=1, max_size=4), jump=st.integers(0, T - 1))
def test_blocks_in_any_order_are_those_of_the_whole(coded, rows, jump):
    path, whole = coded
    video = frames_of(open_video(path))
    for one in rows:
        if not len(range(T)[one]) and (one.step or 1) < 0:
            continue  # xarray itself cannot take these
        assert np.array_equal(video[one].values, whole[one])
        assert np.array_equal(video[jump, ::-2, 3:].values, whole[jump, ::-2, 3:])


@pytest.mark.parametrize("far", [0, 5])
def test_far_frames_are_reached_by_key_frames(coded, monkeypatch, far):
    monkeypatch.setattr(media, "FAR", far)
    path, whole = coded
    video = frames_of(open_video(path))
    for number in (20, 1, 13, 22, 7):
        assert np.array_equal(video[number].values, whole[number])


def test_lazy_frames_travel_and_share_decoders(coded, tmp_path):
    path, whole = coded
    video = pickle.loads(pickle.dumps(open_video(path)))
    found = {}

    def work(start):
        found[start] = frames_of(video)[start : start + 9].values

    threads = [threading.Thread(target=work, args=(start,)) for start in (12, 0, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(block, whole[start : start + 9]) for start, block in found.items()) and len(found) == 3
    for k in range(media.OPEN_VIDEOS + 2):
        copy = tmp_path / f"{k}.mp4"
        copy.write_bytes(path.read_bytes())
        assert np.array_equal(frames_of(open_video(copy))[3].values, whole[3])
    assert len(media._decoders) <= media.OPEN_VIDEOS


def test_a_raw_stream_has_the_rate_that_is_stated_or_none(tmp_path):
    path = write_raw(tmp_path / "a.hevc")
    video = open_video(path)
    np.testing.assert_allclose(video.time, np.arange(T) / 20)
    assert not video.stated_times and "no times in the file: 20 frames a second" in video.note
    silent = write_raw(tmp_path / "b.hevc", stated=False)
    with pytest.raises(FormatError, match=r"b\.hevc: states neither times nor a rate; give frame_seconds"):
        open_video(silent)
    video = open_video(silent, rate=4.0, at_most=9)
    np.testing.assert_allclose(video.time, np.arange(9) / 4)
    assert "only the first 9 of 23 frames" in video.note
    whole = frames_of(open_video(silent, rate=4.0)).values
    assert (np.abs(whole[:, 0, 0, 0].astype(int) - 9 * np.arange(T)) < 4).all()
    assert np.array_equal(frames_of(open_video(silent, rate=4.0))[5::-2].values, whole[5::-2])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "mpeg4"), ("avi", "mpeg4"), ("ts", "mpeg2video")]
)
def test_a_truncated_video_gives_what_is_whole_or_says_so(tmp_path, suffix, codec, share):
    rate = 25 if suffix == "ts" else 20
    frames = np.random.default_rng(2).integers(0, 255, (T, Y, X), "uint8") // 4 + levels()[..., :1, :1]
    path = write_video(tmp_path / f"a.{suffix}", frames, codec, "yuv420p", rate)
    whole = frames_of(open_video(path)).values
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    try:
        video = open_video(cut)
        found = frames_of(video).values
    except (FormatError, av.FFmpegError):
        return
    assert len(found) <= T
    number = np.abs(video.time[:, None] - open_video(path).time).argmin(axis=1)
    # The last packet may be a part that the container does not call damaged.
    assert np.array_equal(found[:-1], whole[number[:-1]])
    if suffix in ("avi", "mkv") and len(found) < T - 5:
        assert "cut off" in video.note


def test_a_film_without_its_key_frame_is_not_shifted(tmp_path):
    path = write_video(tmp_path / "a.ts", levels(), "libx264", "yuv420p", options={"g": "8", "bf": "0"})
    with av.open(str(path)) as file, av.open(str(tmp_path / "b.ts"), "w") as out:
        stream = file.streams.video[0]
        copied = out.add_stream_from_template(stream)
        for number, packet in enumerate(file.demux(stream)):
            if number >= 3 and packet.size:
                packet.stream = copied
                out.mux(packet)
    with pytest.raises(FormatError, match=r"b\.ts.*key frame"):
        frames_of(open_video(tmp_path / "b.ts")).load()


def test_what_is_no_video_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), "int16"), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    with pytest.raises(FormatError, match=r"a\.wav: no video"):
        open_video(tmp_path / "a.wav")


def test_a_file_that_changes_after_it_was_opened_is_noticed(tmp_path):
    path = write_video(tmp_path / "a.mkv", levels())
    video = frames_of(open_video(path))
    write_video(path, levels(9))
    with pytest.raises(FormatError, match=r"a\.mkv"):
        video[10:20].load()
    path.unlink()
    with pytest.raises(FormatError, match="moved or changed"):
        video[0].load()


@pytest.mark.parametrize("name", ["gray", "rgb24"])
def test_pictures_come_back(name):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7) if name == "gray" else (5, 7, 3), "uint8")
    assert np.array_equal(read_image(encoded(pixels, name=name)), pixels.reshape(5, 7, -1))


def test_pictures_of_16_bits_come_back():
    pixels = np.random.default_rng(0).integers(0, 65535, (5, 7), "uint16")
    assert np.array_equal(read_image(encoded(pixels, name="gray16le", to="gray16be"))[..., 0], pixels)


def test_images_are_read_when_they_are_used(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 5, 7, 3), "uint8")
    files = [tmp_path / f"{k} |ü.png" for k in range(9)]
    for file, one in zip(files, pixels, strict=True):
        file.write_bytes(encoded(one))
    frames = xr.Variable(("time", "y", "x", "channel"), pickle.loads(pickle.dumps(open_images(files))))
    assert frames.shape == pixels.shape and frames.dtype == np.uint8
    for rows in (slice(None), slice(7, 1, -2), 4, slice(2, 2)):
        assert np.array_equal(frames[rows, 1:, ::-1].values, pixels[rows, 1:, ::-1])
    files[3].write_bytes(encoded(pixels[3, :4]))
    with pytest.raises(FormatError, match=r"3 \|ü\.png: \(4, 7, 3\) uint8 where .* has \(5, 7, 3\) uint8"):
        frames[:].load()
    files[3].unlink()
    with pytest.raises(FormatError, match=r"3 \|ü\.png: cannot be read"):
        frames[3].load()
    assert np.array_equal(frames[4:].values, pixels[4:])


def test_a_picture_that_was_cut_off_is_never_painted_over():
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), "uint8")
    content = encoded(pixels, "mjpeg", to="yuvj420p")
    assert content[:2] == b"\xff\xd8" and read_image(content).shape == (48, 64, 3)
    assert read_image(content + b"\0\0\0").shape == (48, 64, 3)  # cameras pad
    for end in range(0, len(content) - 1, 97):
        with pytest.raises((EOFError, OSError, ValueError, StopIteration)):
            read_image(content[:end])
    with pytest.raises(EOFError, match="end mark"):
        read_image(content[:-2])
    small = encoded(pixels[:16, :16].copy(), "mjpeg", to="yuvj420p")  # as cameras put into the header
    header = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    with pytest.raises(EOFError, match="end mark"):
        read_image(content[:2] + header + content[2:-9])
    png = encoded(pixels)
    for end in range(0, len(png) - 1, 997):
        with pytest.raises((OSError, ValueError, StopIteration)):
            read_image(png[:end])


def test_a_video_opened_in_part_is_none_that_was_cut(coded):
    path, whole = coded
    part = open_video(path, at_most=3)
    assert np.array_equal(frames_of(part).values, whole[:3])
    assert np.array_equal(frames_of(open_video(path)).values, whole)
    assert np.array_equal(frames_of(part)[1:].values, whole[1:3])
