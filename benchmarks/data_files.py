"""Small whole files of every format that is read, written by the functions that the tests write theirs with.

    path = FILES["donkeycar"](folder)

READER names the reader of each kind; CONTROLS are the kinds whose path is a table of controls, beside `frames.tif`;
REAL are files below the folder that SCIWORLD_MIRROR names.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
import xarray as xr

TESTS = Path(__file__).resolve().parents[1] / "tests"
for place in ("", "domains", "domains/stem", "domains/fluid", "domains/driving", "ingest"):
    sys.path.insert(0, str(TESTS / place))

import test_comma  # noqa: E402
import test_donkeycar  # noqa: E402
import test_fluid_damage  # noqa: E402
import test_fluid_images  # noqa: E402
import test_fluid_readers  # noqa: E402
import test_ingest  # noqa: E402
import test_kitti  # noqa: E402
import test_lerobot  # noqa: E402
import test_media  # noqa: E402
import test_nuscenes  # noqa: E402
import test_readers  # noqa: E402

from sciworld.ingest.open import open_recordings  # noqa: E402
from sciworld.store import Store  # noqa: E402

T, Y, X = test_readers.T, test_readers.Y, test_readers.X
MAP = test_ingest.MAP
FLOW = ("well.hdf5", "pde.h5", "openpiv.txt", "run.vec", "davis.txt", "session.mat")

Writer = Callable[[Path], Path]


def written(name: str, write: Callable[..., object], **more: object) -> Writer:
    """A writer of counts into one file, with a function of the readers' tests."""

    def writer(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / name, test_readers.counts(), **more)
        return folder / name

    return writer


def packed_npz(folder: Path) -> Path:
    """A compressed .npz file."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "packed.npz", frames=test_readers.counts(), time=np.arange(T) * 0.5)
    return folder / "packed.npz"


def deflated(folder: Path) -> Path:
    """A TIFF stack whose pages are compressed, of a shape that has several strips."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.random.default_rng(0).integers(0, 9, (T, 40, 30)).astype("uint16")
    tifffile.imwrite(
        folder / "deflated.tif", frames, photometric="minisblack", metadata=None, compression="zlib", rowsperstrip=16
    )
    return folder / "deflated.tif"


def numbered(folder: Path) -> Path:
    """A folder of TIFF files that are the frames of one movie."""
    movie = folder / "movie"
    movie.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(test_readers.counts()):
        tifffile.imwrite(movie / f"frame_{k}.tif", frame)
    return movie


def flow(name: str) -> Writer:
    """A writer of one of the small files of flows."""

    def writer(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        test_fluid_readers.corpus(folder)
        for other in FLOW:
            if other != name:
                (folder / other).unlink()
        return folder / name

    return writer


def groups(folder: Path) -> Path:
    """A file of PDEBench with a group a sample."""
    folder.mkdir(parents=True, exist_ok=True)
    test_fluid_readers.write_pdebench(folder / "groups.h5", "groups")
    return folder / "groups.h5"


def jhtdb(folder: Path) -> Path:
    """A cutout of the Johns Hopkins turbulence databases."""
    folder.mkdir(parents=True, exist_ok=True)
    test_fluid_damage.write_jhtdb(folder / "cut.h5")
    return folder / "cut.h5"


def netcdf(name: str, **more: str) -> Writer:
    """A writer of NetCDF."""

    def writer(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        test_fluid_readers.write_netcdf(folder / name, np.arange(4) * 2.0, "s", **more)
        return folder / name

    return writer


def netcdf_records(folder: Path) -> Path:
    """NetCDF 3 whose times are records, as many as its header says."""
    path = netcdf("records.nc", engine="scipy", form="NETCDF3_CLASSIC")(folder)
    xr.load_dataset(path).to_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC", unlimited_dims=["time"])
    return path


def vectors(folder: Path) -> Path:
    """Vectors whose numbers have several digits, none of which may go unnoticed; rows end as Insight ends them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = [(x * 16.25, y * 16.25, *rng.normal(size=2).round(4), 1) for y in range(5) for x in range(7)]
    head = 'TITLE="a" VARIABLES="X mm", "Y mm", "U m/s", "V m/s", "CHC", ZONE\r\n'
    (folder / "jet.vec").write_bytes((head + "".join(f"{', '.join(map(str, row))}\r\n" for row in rows)).encode())
    return folder / "jet.vec"


def decimals(folder: Path) -> Path:
    """OpenPIV's text, with a header and long numbers in the last column."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = [(x * 16, y * 16, *rng.normal(size=2).round(4), 1.25) for y in range(5) for x in range(7)]
    text = "# x y u v s2n\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (folder / "openpiv.txt").write_text(text)
    return folder / "openpiv.txt"


def images(suffix: str) -> Writer:
    """A writer of a folder of pictures of particles."""

    def writer(folder: Path) -> Path:
        test_fluid_images.film(folder / "piv", [f"im_{k}{suffix}" for k in range(4)])
        return folder / "piv"

    return writer


def tub_v1(folder: Path) -> Path:
    """A Donkeycar tub of version 1."""
    tub = folder / "tub"
    tub.mkdir(parents=True)
    for k, row in enumerate(test_donkeycar.records()):
        name = f"{k + 1}_cam-image_array_.jpg"
        (tub / name).write_bytes(test_donkeycar.picture(test_donkeycar.PIXELS[k]))
        kept = {key: row[key] for key in ("user/angle", "user/throttle", "user/mode")}
        (tub / f"record_{k + 1}.json").write_text(
            json.dumps({"cam/image_array": name, **kept, "milliseconds": 50 * k + 7})
        )
    return tub


def tub_archive(folder: Path) -> Path:
    """A tub in an archive."""
    folder.mkdir(parents=True, exist_ok=True)
    return test_donkeycar.pack(folder / "tub.tar.gz", test_donkeycar.write_tub(folder.parent / "source" / "tub"))


def film(name: str, codec: str, pixels: str, **more: object) -> Writer:
    """A writer of a video of noise, which no codec makes small."""

    def writer(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 255, (23, 34, 50), "uint8")
        return test_media.write_video(folder / name, noise, codec, pixels, **more)

    return writer


def raw_film(folder: Path) -> Path:
    """A raw stream of H.265 that states its rate."""
    folder.mkdir(parents=True, exist_ok=True)
    return test_media.write_raw(folder / "drive.hevc")


def can_bus(folder: Path) -> Path:
    """nuScenes with steering from the CAN bus."""
    root = test_nuscenes.write(folder / "nuscenes")
    for scene in range(2):
        test_nuscenes.write_can(root, scene, 1)
    return root


def csv(folder: Path) -> Path:
    """Beams in a CSV file, beside the frames that they act on."""
    folder.mkdir(parents=True, exist_ok=True)
    test_ingest.session(folder, "frames")
    return (folder / "frames.csv").rename(folder / "beams.csv")


def csv_times(folder: Path) -> Path:
    """Beams with the time at which each acted."""
    path = csv(folder)
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    rows[:, 2] = 2.0 * np.arange(len(rows)) + 0.123
    np.savetxt(path, rows, delimiter=",", header="beam_x,beam_y,t", comments="", fmt="%.6f")
    return path


def parquet(folder: Path) -> Path:
    """Beams in a Parquet file."""
    path = csv(folder)
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    names = ("beam_x", "beam_y", "t")
    pq.write_table(pa.table(dict(zip(names, rows.T, strict=True))), folder / "beams.parquet", row_group_size=4)
    path.unlink()
    return folder / "beams.parquet"


def store(folder: Path) -> Path:
    """A store of this library, with controls."""
    recordings = open_recordings(test_donkeycar.write_tub(folder / "tub"))
    Store.create(folder / "store").append(recordings)
    return folder / "store"


FILES: dict[str, Writer] = {
    "npy": written("frames.npy", test_readers.write_npy),
    "npz": written("frames.npz", test_readers.write_npz),
    "npz-packed": packed_npz,
    "zarr": written("frames.zarr", test_readers.write_zarr),
    "tiff": written("frames.tif", test_readers.write_tiff),
    "tiff-deflated": deflated,
    "tiff-folder": numbered,
    "imagej": written("imagej.tiff", test_readers.write_imagej),
    "ome": written("ome.ome.tif", test_readers.write_ome),
    "movie": written("movie.hdf5", test_readers.write_movie),
    "nion-h5": written("nion.h5", test_readers.write_nion_h5),
    "nhdf": written("nion.nhdf", test_readers.write_nion_h5),
    "ndata": written("nion.ndata", test_readers.write_ndata),
    "well": flow("well.hdf5"),
    "pdebench": flow("pde.h5"),
    "pdebench-groups": groups,
    "jhtdb": jhtdb,
    "netcdf4": netcdf("new.nc"),
    "netcdf3": netcdf("old.nc", engine="scipy", form="NETCDF3_CLASSIC"),
    "netcdf3-records": netcdf_records,
    "openpiv": decimals,
    "insight": vectors,
    "davis": flow("davis.txt"),
    "pivlab": flow("session.mat"),
    "images-bmp": images(".bmp"),
    "images-png": images(".png"),
    "images-jpeg": images(".jpg"),
    "images-tiff": images(".tif"),
    "donkeycar": lambda folder: test_donkeycar.write_tub(folder / "tub"),
    "donkeycar-v1": tub_v1,
    "donkeycar-archive": tub_archive,
    "comma": lambda folder: test_comma.write_segment(folder / "b0c9|2018-08-02" / "40"),
    "comma-video": lambda folder: test_comma.write_segment(folder / "b0c9|2018-08-02" / "41", video=T),
    "kitti": lambda folder: test_kitti.write_drive(folder / "2011_09_26_drive_0001_sync"),
    "mp4": film("drive.mp4", "libx264", "yuv420p", options={"crf": "5", "g": "8"}),
    "mkv": film("drive.mkv", "ffv1", "gray"),
    "avi": film("drive.avi", "mpeg4", "yuv420p", options={"b": "4000000"}),
    "hevc": raw_film,
    "lerobot-v3": lambda folder: test_lerobot.write_v3(folder / "l2d"),
    "lerobot-v3-images": lambda folder: test_lerobot.write_v3(folder / "l2d", images=True),
    "lerobot-v2": lambda folder: test_lerobot.write_v2(folder / "l2d"),
    "nuscenes": can_bus,
    "csv": csv,
    "csv-times": csv_times,
    "parquet": parquet,
    "store": store,
}

READER = {
    "npy": "stem:.npy", "npz": "stem:.npz", "npz-packed": "stem:.npz", "zarr": "stem:.zarr", "tiff": "stem:.tif",
    "tiff-deflated": "stem:.tif", "tiff-folder": "stem:.tif", "imagej": "stem:.tif", "ome": "stem:.tif",
    "movie": "stem:.hdf5", "nion-h5": "stem:.h5", "nhdf": "stem:.nhdf", "ndata": "stem:.ndata", "well": "fluid:well",
    "pdebench": "fluid:pdebench", "pdebench-groups": "fluid:pdebench", "jhtdb": "fluid:jhtdb",
    "netcdf4": "fluid:netcdf", "netcdf3": "fluid:netcdf", "netcdf3-records": "fluid:netcdf",
    "openpiv": "fluid:openpiv", "insight": "fluid:insight",
    "davis": "fluid:davis", "pivlab": "fluid:pivlab", "images-bmp": "fluid:images", "images-png": "fluid:images",
    "images-jpeg": "fluid:images", "images-tiff": "fluid:images", "donkeycar": "driving:donkeycar",
    "donkeycar-v1": "driving:donkeycar", "donkeycar-archive": "driving:donkeycar", "comma": "driving:comma",
    "comma-video": "driving:comma", "kitti": "driving:kitti", "mp4": "driving:video", "mkv": "driving:video",
    "avi": "driving:video", "hevc": "driving:video", "lerobot-v3": "driving:lerobot",
    "lerobot-v3-images": "driving:lerobot", "lerobot-v2": "driving:lerobot", "nuscenes": "driving:nuscenes",
}  # fmt: skip
# The kinds whose path is a table of controls: the map, and the column of times.
CONTROLS = {"csv": (MAP, ""), "csv-times": ("x=beam_x:A,y=beam_y:A", "t"), "parquet": (MAP, "")}
# Kinds of which every byte of data has a checksum.
CHECKSUMS = ("npz-packed", "images-png", "donkeycar-archive", "real-tub", "store")
STORE = "store"

# Below the folder of real files: what is damaged there, and its reader.
REAL = {
    "real-openpiv": ("fluid/piv_vectors/openpiv_vec/exp1_001_b.vec", "fluid:openpiv"),
    "real-davis": ("fluid/piv_vectors/PIV_Challenge/B00001.txt", "fluid:davis"),
    "real-insight": ("fluid/piv_vectors/Insight/Run000001.T000.D000.P000.H001.L.vec", "fluid:insight"),
    "real-netcdf": ("fluid/piv_vectors/interTest/testInterCreates_nc.nc", "fluid:netcdf"),
    "real-haadf": ("stem/haadf_single_atoms/Ptporph1.tif", "stem:.tif"),
    "real-movie": ("stem/si_graphene/010.hdf5", "stem:.hdf5"),
    "real-tub": ("driving/donkeycar/tub.tar.gz", "driving:donkeycar"),
    "real-comma": ("driving/comma2k19/40", "driving:comma"),
    "real-highway": ("driving/commavq/highway_256x128_20fps.mp4", "driving:video"),
}


def real_files() -> dict[str, tuple[Path, str]]:
    """The real files that are there, with their readers."""
    mirror = Path(os.environ.get("SCIWORLD_MIRROR") or "/nonexistent")
    return {kind: (mirror / name, reader) for kind, (name, reader) in REAL.items() if (mirror / name).exists()}
