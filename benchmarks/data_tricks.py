"""Inputs that somebody made on purpose, each with what must become of it.

    make, reader, expected = TRICKS[label]
    path = make(folder)

A label begins with the kind. expected : "error"; "read", for what is odd but whole; "either", where both are right; or
words that must stand in the history.
"""

from __future__ import annotations

import struct

import h5py
import numpy as np
import tifffile

from data_bombs import BIG, DEEP, HALF, NESTED, add_bomb, npy_header, pickled, zip_bomb, zip_of
from data_crafts import (
    Trick,
    hdf5,
    loop,
    moved,
    never_written,
    nion,
    page_loop,
    pipe,
    plain,
    put,
    replaced,
    tag,
    tags,
    text,
    to_itself,
    trick,
)
from data_tricks_drives import DRIVES, FLOWS, STORES, TABLES

ARRAYS: dict[str, Trick] = {
    "npy: 10^12 elements": plain(lambda path: path.write_bytes(npy_header(f"({BIG}, 5, 7)")), "a.npy", "stem:.npy"),
    "npy: a negative size": plain(lambda path: path.write_bytes(npy_header("(-1, 5, 7)")), "a.npy", "stem:.npy"),
    "npy: an overflowing size": plain(
        lambda path: path.write_bytes(npy_header(f"({2**62}, {2**62}, 7)")), "a.npy", "stem:.npy"
    ),
    "npy: a nested header": plain(lambda path: path.write_bytes(npy_header("(" * 20_000)), "a.npy", "stem:.npy"),
    "npy: objects": plain(lambda path: path.write_bytes(pickled()), "a.npy", "stem:.npy"),
    "npy: text": plain(lambda path: np.save(path, np.full((3, 5, 7), "a")), "a.npy", "stem:.npy"),
    "npy: records": plain(lambda path: np.save(path, np.zeros((3, 5, 7), "f4,i4")), "a.npy", "stem:.npy"),
    "npy: complex numbers": plain(lambda path: np.save(path, np.zeros((3, 5, 7), "c8")), "a.npy", "stem:.npy"),
    "npy: no frame": plain(lambda path: np.save(path, np.zeros((0, 5, 7))), "a.npy", "stem:.npy"),
    "npy: no pixel": plain(lambda path: np.save(path, np.zeros((3, 0, 7))), "a.npy", "stem:.npy"),
    "npy: seven axes": plain(lambda path: np.save(path, np.zeros((3,) * 7)), "a.npy", "stem:.npy"),
    "npy: all NaN": plain(lambda path: np.save(path, np.full((3, 5, 7), np.nan)), "a.npy", "stem:.npy", "read"),
    "npy: a link to itself": trick("npy", to_itself()),
    "npy: a pipe": trick("npy", pipe()),
    "npy: an odd path": trick("npy", moved, "read"),
    "npz: objects": plain(zip_of(frames_npy=pickled()), "a.npz", "stem:.npz"),
    "npz: 10^12 elements": plain(zip_of(frames_npy=npy_header(f"({BIG}, 5, 7)")), "a.npz", "stem:.npz"),
    "npz: no frames": plain(zip_of(time_npy=npy_header("(3,)")), "a.npz", "stem:.npz"),
    "npz: a name that climbs": plain(zip_of(____evil_npy=npy_header("(2, 2, 2)")), "a.npz", "stem:.npz", "either"),
    "npz: a bomb": plain(
        lambda path: zip_bomb(path, "frames.npy", npy_header("(12500000, 32, 32)")), "a.npz", "stem:.npz"
    ),
    "npz: a bomb of times": plain(
        lambda path: zip_bomb(path, "time.npy", npy_header("(16,)", "'<f8'")), "a.npz", "stem:.npz"
    ),
    "npz: NaN in its times": plain(
        lambda path: np.savez(path, frames=np.zeros((3, 5, 7)), time=[0, np.nan, 2]), "a.npz", "stem:.npz"
    ),
    "npz: times that go back": plain(
        lambda path: np.savez(path, frames=np.zeros((3, 5, 7)), time=[0, 2, 1]), "a.npz", "stem:.npz"
    ),
    "npz: a time twice": plain(
        lambda path: np.savez(path, frames=np.zeros((3, 5, 7)), time=[0, 1, 1]), "a.npz", "stem:.npz"
    ),
    "npz: fewer times": plain(
        lambda path: np.savez(path, frames=np.zeros((3, 5, 7)), time=[0, 1]), "a.npz", "stem:.npz"
    ),
    "npz: pixels of no size": plain(
        lambda path: np.savez(path, frames=np.zeros((3, 5, 7)), pixel_size=0.0), "a.npz", "stem:.npz"
    ),
    "ndata: objects": plain(zip_of(data_npy=pickled(), metadata_json=b"{}"), "a.ndata", "stem:.ndata"),
    "ndata: no metadata": plain(zip_of(data_npy=npy_header("(2, 2, 2)")), "a.ndata", "stem:.ndata"),
    "ndata: a bomb of metadata": plain(add_bomb, "a.ndata", "stem:.ndata"),
    "ndata: nested metadata": plain(
        zip_of(data_npy=npy_header("(2, 2, 2)"), metadata_json=NESTED.encode()), "a.ndata", "stem:.ndata"
    ),
    "ndata: metadata that are a list": plain(
        zip_of(data_npy=npy_header("(2, 2, 2)"), metadata_json=b"[1]"), "a.ndata", "stem:.ndata"
    ),
    "ndata: ten times the pixel size": plain(
        nion(dimensional_calibrations=[{"offset": 0, "scale": 0.5, "units": units} for units in ("s", "nm", "nm")]),
        "a.ndata",
        "stem:.ndata",
        "the former is used",
    ),
    "ndata: calibrations of other axes": plain(
        nion(dimensional_calibrations=[{"offset": 0, "scale": 0.5, "units": "nm"}]), "a.ndata", "stem:.ndata"
    ),
    "ndata: a calibration that is NaN": plain(
        nion(dimensional_calibrations=[{"offset": np.nan, "scale": np.nan, "units": "nm"}] * 3),
        "a.ndata",
        "stem:.ndata",
        "either",
    ),
    "zarr: 10^12 elements": trick("zarr", replaced(b"11,", f"{BIG},".encode(), "zarr.json", 1)),
    "zarr: huge chunks": trick("zarr", replaced(b"3,", f"{BIG},".encode(), "zarr.json", 1)),
    "zarr: nested metadata": trick("zarr", text(NESTED, "zarr.json")),
    "zarr: metadata that nest without end": trick("zarr", text(HALF, "zarr.json")),
    "zarr: chunks that are a link to themselves": trick("zarr", to_itself("c/0/0/0")),
    "zarr: a chunk that is a pipe": trick("zarr", pipe("c/0/0/0")),
    "zarr: a link that leads back": trick("zarr", loop("loop"), "either"),
    "zarr: an odd path": trick("zarr", moved, "read"),
}

TIFF: dict[str, Trick] = {
    "tiff: 2^31 columns": trick("tiff", tag(256, 2**31 - 1)),
    "tiff: 60000 rows and columns": trick("tiff", tags({256: 60_000, 257: 60_000})),
    "tiff: no rows": trick("tiff", tag(257, 0)),
    "tiff: 2^31 samples": trick("tiff", tag(277, 2**31 - 1)),
    "tiff: deflated, 60000 rows": trick("tiff-deflated", tag(257, 60_000)),
    "tiff: pages in a circle": trick("tiff", page_loop),
    "tiff: a page that is its own next": plain(
        lambda path: path.write_bytes(struct.pack("<2sHIHI", b"II", 42, 8, 0, 8)), "a.tif", "stem:.tif"
    ),
    "tiff: strips that end nowhere": trick("tiff", tag(273, 2**31)),
    "tiff: an odd path": trick("tiff", moved, "read"),
    "tiff: a link to itself": trick("tiff", to_itself()),
    "tiff-folder: a link that leads back": trick("tiff-folder", loop("loop.tif")),
    "tiff-folder: a frame that is a link to itself": trick("tiff-folder", to_itself("frame_3.tif")),
    "tiff-folder: a frame that is a pipe": trick("tiff-folder", pipe("frame_3.tif")),
    "tiff-folder: a frame of another shape": trick(
        "tiff-folder", lambda path: tifffile.imwrite(path / "frame_3.tif", np.zeros((7, 5), "uint16")) and None
    ),
    "imagej: 99 frames of 11": trick("imagej", replaced(b"=11\n", b"=99\n"), "these are used"),
    "imagej: no interval": trick("imagej", replaced(b"finterval=0.5", b"finterval=nan"), "either"),
    "ome: 99 frames of 11": trick("ome", replaced(b'SizeT="11"', b'SizeT="99"')),
    "ome: swapped axes": trick("ome", replaced(b'SizeX="7" SizeY="5"', b'SizeX="5" SizeY="7"'), "the pages are used"),
    "ome: entities that multiply": plain(
        lambda path: tifffile.imwrite(
            path,
            np.zeros((3, 5, 7), "uint8"),
            photometric="minisblack",
            metadata=None,
            description='<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "'
            + "x" * 9999
            + '">'
            + "".join(f'<!ENTITY {b} "{f"&{a};" * 99}">' for a, b in zip("abcd", "bcde", strict=True))
            + "]><OME><Image><Pixels>&e;</Pixels></Image></OME>",
        ),
        "a.ome.tif",
        "stem:.tif",
        "either",
    ),
    "ome: nested XML": plain(
        lambda path: tifffile.imwrite(
            path,
            np.zeros((3, 5, 7), "uint8"),
            photometric="minisblack",
            metadata=None,
            description='<?xml version="1.0"?><OME>' + "<a>" * DEEP + "</a>" * DEEP + "</OME>",
        ),
        "a.ome.tif",
        "stem:.tif",
        "either",
    ),
}

HDF5: dict[str, Trick] = {
    "movie: a huge array never written": trick(
        "movie", hdf5(never_written("nn_input", (10**6, 1000, 1000, 1), (1, 1000, 1000, 1)))
    ),
    "movie: a huge row never written": trick(
        "movie", hdf5(never_written("nn_input", (1, 100_000, 100_000, 1), (1, 1000, 1000, 1)))
    ),
    "movie: a link to another file": trick("movie", hdf5(put("nn_input", h5py.ExternalLink("/etc/passwd", "/a")))),
    "movie: a link to itself": trick("movie", hdf5(put("nn_input", h5py.SoftLink("/nn_input")))),
    "movie: a group that holds itself": trick(
        "movie", hdf5(lambda file: file.__setitem__("loop", file["/"])), "either"
    ),
    "movie: text": trick("movie", hdf5(put("nn_input", np.full((3, 5, 7, 1), b"a")))),
    "movie: labels of other frames": trick(
        "movie", hdf5(lambda file: file.__setitem__("defect_coord_99", np.zeros((2, 3), "S3")))
    ),
    "movie: a label with NaN": trick(
        "movie", hdf5(put("defect_coord_3", np.array([[b"nan", b"nan", b"Si"]], "S32"))), "either"
    ),
    "movie: nested metadata": trick(
        "movie", hdf5(lambda file: file["nn_input"].attrs.__setitem__("metadata", "[" * 60_000))
    ),
    "movie: a bare link to itself": trick("movie", to_itself()),
    "nion-h5: properties that are a list": trick(
        "nion-h5", hdf5(lambda file: file["data"].attrs.__setitem__("properties", "[1]"))
    ),
    "nion-h5: a huge array never written": trick(
        "nion-h5", hdf5(never_written("data", (10**6, 1000, 1000), (1, 1000, 1000)))
    ),
    "well: a huge array never written": trick(
        "well", hdf5(never_written("t0_fields/p", (2, 4, 7, 5), (1, 1, 7, 5))), "either"
    ),
    "well: 10^12 trajectories": trick("well", hdf5(lambda file: file.attrs.__setitem__("n_trajectories", BIG))),
    "well: swapped axes": trick(
        "well", hdf5(lambda file: file["dimensions"].attrs.__setitem__("spatial_dims", ["y", "x"]))
    ),
    "well: a field that is not there": trick(
        "well", hdf5(lambda file: file["t0_fields"].attrs.__setitem__("field_names", ["q"]))
    ),
    "well: no times": trick("well", hdf5(lambda file: file.__delitem__("dimensions/time"))),
    "well: a time that is NaN": trick("well", hdf5(lambda file: file["dimensions/time"].__setitem__(2, np.nan))),
    "well: times that go back": trick("well", hdf5(lambda file: file["dimensions/time"].__setitem__(2, 0.1))),
    "well: a time twice": trick("well", hdf5(lambda file: file["dimensions/time"].__setitem__(2, 0.5))),
    "well: an infinite axis": trick("well", hdf5(lambda file: file["dimensions/x"].__setitem__(2, np.inf)), "either"),
    "well: a field in another file": trick("well", hdf5(put("t0_fields/p", h5py.ExternalLink("/etc/passwd", "/a")))),
    "well: a field that is a link to itself": trick("well", hdf5(put("t0_fields/p", h5py.SoftLink("/t0_fields/p")))),
    "pdebench: a huge array never written": trick(
        "pdebench",
        hdf5(
            lambda file: [
                never_written(name, (2, 5_000_000, 512, 512), (1, 1, 512, 512))(file)
                for name in ("density", "pressure", "Vx", "Vy")
            ]
        ),
    ),
    "pdebench: times that go back": trick("pdebench", hdf5(lambda file: file["t-coordinate"].__setitem__(2, 0.5))),
    "pdebench: a missing field": trick("pdebench", hdf5(lambda file: file.__delitem__("Vx")), "either"),
    "pdebench: fields of two shapes": trick("pdebench", hdf5(put("Vx", np.zeros((2, 4, 5, 7), "float32")))),
    "jhtdb: a missing axis": trick("jhtdb", hdf5(lambda file: file.__delitem__("xcoor"))),
    "jhtdb: a step of another shape": trick("jhtdb", hdf5(put("Velocity_0002", np.zeros((3, 7, 5, 3), "float32")))),
    "jhtdb: a huge step never written": trick(
        "jhtdb", hdf5(never_written("Velocity_0001", (20_000, 20_000, 20_000, 3), (1, 1000, 1000, 3)))
    ),
    "netcdf4: a time that is NaN": trick("netcdf4", hdf5(lambda file: file["time"].__setitem__(2, np.nan))),
    "netcdf4: times that go back": trick("netcdf4", hdf5(lambda file: file["time"].__setitem__(2, 0.5))),
    "netcdf4: unknown units of time": trick(
        "netcdf4", hdf5(lambda file: file["time"].attrs.__setitem__("units", "moons"))
    ),
    "netcdf4: no field": trick("netcdf4", hdf5(lambda file: file.__delitem__("u"))),
    "netcdf3-records: a header that promises more": trick(
        "netcdf3-records", replaced(b"CDF\1\0\0\0\4", b"CDF\1\0\x0f\xff\xff")
    ),
    "netcdf3-records: 2^31 records": trick("netcdf3-records", replaced(b"CDF\1\0\0\0\4", b"CDF\1\x7f\xff\xff\xff")),
    "netcdf3: a huge dimension": trick(
        "netcdf3", replaced(struct.pack(">I", 7), struct.pack(">I", 2**31 - 1), count=1)
    ),
    "pivlab: a field that is a link to itself": trick("pivlab", hdf5(put("u_0", h5py.SoftLink("/u_0")))),
    "pivlab: a huge field never written": trick("pivlab", hdf5(never_written("u_0", (10**6, 10**6), (1000, 1000)))),
    "pivlab: coordinates that are NaN": trick("pivlab", hdf5(put("x_0", np.full((4, 3), np.nan)))),
}

TRICKS: dict[str, Trick] = ARRAYS | TIFF | HDF5 | FLOWS | DRIVES | TABLES | STORES
