"""What must become of the inputs that somebody made of flows, drives, tables and stores; see data_tricks."""

from __future__ import annotations

import json
import struct

import numpy as np

from data_bombs import BIG, DEEP, HALF, NESTED, member, npy_header, pickled, promised_rows, tar, tar_bomb
from data_crafts import (
    Trick,
    array,
    circle,
    column,
    huge_picture,
    loop,
    moved,
    pipe,
    plain,
    replaced,
    rows,
    second,
    sparse,
    swapped,
    table,
    text,
    to_itself,
    trick,
    twice,
    with_nan,
)

EVIL = (("out", "../../evil", b"0"), ("absolute", "/tmp/sciworld-evil", b"0"), ("link", "tub/link", b"2"))
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"

FLOWS: dict[str, Trick] = {
    "openpiv: swapped columns": plain(
        lambda path: path.write_text(
            "".join(f"{x * 0.5} {-y} {x} {y} 1\n" for y in range(3) for x in range(4)).replace("-0", "0.3")
        ),
        "a.txt",
        "fluid:openpiv",
        "either",
    ),
    "openpiv: a place that is NaN": trick("openpiv", replaced(b"16\t16\t", b"nan\t16\t", count=1)),
    "openpiv: a place twice": trick("openpiv", replaced(b"16\t16\t", b"16\t32\t", count=1)),
    "openpiv: a missing column": trick("openpiv", replaced(b"\t1.25\n", b"\n", count=1)),
    "openpiv: words": trick("openpiv", replaced(b"16\t16\t", b"here\t16\t", count=1)),
    "openpiv: one line of 100 MB": plain(sparse(100 << 20, b"1 1 1 1\n2 1 1 1\n"), "a.txt", "fluid:openpiv"),
    "openpiv: an odd path": trick("openpiv", moved, "read"),
    "insight: no CHC": trick("insight", replaced(b'"CHC"', b'"ABC"')),
    "insight: another place": trick("insight", replaced(b'"X mm", "Y mm"', b'"A mm", "B mm"')),
    "davis: another column": trick("davis", replaced(b"\n", b"\t1\n")),
    "images-bmp: 60000 rows and columns": trick("images-bmp", huge_picture("bmp", "*.bmp")),
    "images-png: 60000 rows and columns": trick("images-png", huge_picture("png", "*.png")),
    "images-jpeg: 60000 rows and columns": trick("images-jpeg", huge_picture("jpeg", "*.jpg")),
    "images-png: a link that leads back": trick("images-png", loop("loop"), "either"),
    "images-png: a picture that is a link to itself": trick("images-png", to_itself("*.png"), "either"),
    "images-png: a picture that is a pipe": trick("images-png", pipe("*.png"), "either"),
    "images-png: an odd path": trick("images-png", moved, "read"),
}

DRIVES: dict[str, Trick] = {
    **{
        f"donkeycar-archive: {how}, {mode}": plain(
            tar(member(name, b"x" if kind == b"0" else b"", kind, "/etc/passwd" if kind == b"2" else ""), mode=mode),
            "tub.tar.gz",
            "driving:donkeycar",
        )
        for how, name, kind in EVIL
        for mode in ("w", "w:gz")
    },
    "donkeycar-archive: a bomb": plain(tar_bomb, "tub.tar.gz", "driving:donkeycar"),
    "donkeycar-archive: a bomb, told by its bytes": plain(tar_bomb, "tub.tar.gz", None),
    "donkeycar: a manifest that nests without end": trick("donkeycar", text(f"{HALF}\n", "manifest.json")),
    "donkeycar: a catalog that nests": trick("donkeycar", text(f"{NESTED}\n", "catalog_0.catalog")),
    "donkeycar: a number of 10^5 digits": trick(
        "donkeycar", replaced(b'"_index": 1,', b'"_index": ' + b"1" * DEEP + b",", "catalog_0.catalog")
    ),
    "donkeycar: an angle that is NaN": trick(
        "donkeycar",
        text(
            json.dumps(
                {
                    "_index": 0,
                    "user/angle": float("nan"),
                    "user/throttle": float("inf"),
                    "cam/image_array": "0_cam_image_array_.jpg",
                }
            )
            + "\n",
            "catalog_0.catalog",
        ),
    ),
    "donkeycar: a picture from elsewhere": trick(
        "donkeycar", replaced(b'"0_cam_image_array_.jpg"', b'"../../../../etc/passwd"', "catalog_0.catalog")
    ),
    "donkeycar: a catalog from elsewhere": trick(
        "donkeycar", replaced(b'"catalog_0.catalog"', b'"/etc/passwd"', "manifest.json")
    ),
    "donkeycar: records twice": trick(
        "donkeycar",
        replaced(
            b'"catalog_0.catalog", "catalog_1.catalog"', b'"catalog_0.catalog", "catalog_0.catalog"', "manifest.json"
        ),
    ),
    "donkeycar: a picture that is a link to itself": trick("donkeycar", to_itself("images/3_*")),
    "donkeycar: a picture that is a pipe": trick("donkeycar", pipe("images/3_*")),
    "donkeycar: the first picture is a pipe": trick("donkeycar", pipe("images/0_*")),
    "donkeycar: a catalog that is a pipe": trick("donkeycar", pipe("catalog_1.catalog")),
    "donkeycar: a manifest that is a pipe": trick("donkeycar", pipe("manifest.json")),
    "donkeycar: a link that leads back": trick("donkeycar", loop("loop"), "either"),
    "donkeycar: a huge PNG": trick("donkeycar", huge_picture("png", "images/*.jpg")),
    "donkeycar: a huge JPEG": trick("donkeycar", huge_picture("jpeg", "images/*.jpg")),
    "donkeycar: a huge BMP": trick("donkeycar", huge_picture("bmp", "images/*.jpg")),
    "donkeycar: an odd path": trick("donkeycar", moved, "read"),
    "comma: NaN in its times": trick("comma", array("global_pose/frame_times", with_nan)),
    "comma: times that go back": trick("comma", array("global_pose/frame_times", swapped)),
    "comma: a time twice": trick("comma", array("global_pose/frame_times", twice)),
    "comma: positions of another shape": trick("comma", array("global_pose/frame_positions", lambda a: a[:, :2])),
    "comma: fewer orientations": trick("comma", array("global_pose/frame_orientations", lambda a: a[:-1])),
    "comma: an orientation that is NaN": trick("comma", array("global_pose/frame_orientations", with_nan), "either"),
    "comma: objects": trick("comma", text(pickled(), "processed_log/CAN/speed/t")),
    "comma: 10^12 rows": trick("comma", text(npy_header(f"({BIG},)"), "processed_log/CAN/speed/t")),
    "comma: a log that is a pipe": trick("comma", pipe("processed_log/CAN/speed/t")),
    "comma: rows of a log that go back": trick("comma", array("processed_log/CAN/speed/t", swapped), "are sorted"),
    "comma: a log with a time that is NaN": trick("comma", array("processed_log/CAN/speed/t", with_nan)),
    "kitti: a time that goes back": trick("kitti", replaced(b"26.06", b"24.06", "image_02/timestamps.txt", 1)),
    "kitti: a row of 29 numbers": trick("kitti", text("1 " * 29 + "\n", "oxts/data/0000000003.txt")),
    "kitti: a row with NaN": trick("kitti", text("nan " * 30 + "\n", "oxts/data/0000000003.txt")),
    "kitti: a row that is a pipe": trick("kitti", pipe("oxts/data/0000000003.txt")),
    "kitti: times that are a pipe": trick("kitti", pipe("oxts/timestamps.txt")),
    "kitti: a missing row": trick("kitti", lambda path: (path / "oxts/data/0000000003.txt").unlink(), "either"),
    "kitti: a huge picture": trick("kitti", huge_picture("png", "image_02/data/*.png")),
    "kitti: a link that leads back": trick("kitti", loop("oxts/data/loop"), "either"),
    "mp4: 65535 columns and rows": trick(
        "mp4", replaced(struct.pack(">HH", 50, 34), struct.pack(">HH", 65535, 65535)), "either"
    ),
    "mp4: an odd path": trick("mp4", moved, "read"),
    "mp4: a list of other files": plain(lambda path: path.write_text(PLAYLIST), "a.mp4", "driving:video"),
    "mp4: a list of other files, told by its name": plain(lambda path: path.write_text(PLAYLIST), "a.hevc", None),
    "mp4: a script of other files": plain(
        lambda path: path.write_text("ffconcat version 1.0\nfile a.hevc\n"), "a.hevc", None
    ),
    "avi: 60000 columns and rows": trick(
        "avi", replaced(struct.pack("<II", 50, 34), struct.pack("<II", 60_000, 60_000)), "either"
    ),
    "mkv: 60000 columns": trick("mkv", replaced(b"\xb0\x81\x32", b"\xb0\x81\xff"), "either"),
    "hevc: a link to itself": trick("hevc", to_itself()),
    "hevc: a pipe": trick("hevc", pipe()),
    "lerobot-v3: a time that is NaN": trick(
        "lerobot-v3",
        table(
            "data/chunk-000/file-000.parquet", lambda f: f.assign(timestamp=with_nan(f["timestamp"]).astype("float32"))
        ),
    ),
    "lerobot-v3: times that go back": trick(
        "lerobot-v3", table("data/chunk-000/file-000.parquet", lambda f: f.assign(timestamp=swapped(f["timestamp"])))
    ),
    "lerobot-v3: a missing column": trick(
        "lerobot-v3", table("data/chunk-000/file-000.parquet", lambda f: f.drop(columns="action.continuous"))
    ),
    "lerobot-v3: 10^12 rows": trick("lerobot-v3", promised_rows(BIG, "data/chunk-000/file-000.parquet"), "either"),
    "lerobot-v3: 10^12 frames a second": trick(
        "lerobot-v3", rows("meta/info.json", lambda info: info | {"fps": 1e300}), "either"
    ),
    "lerobot-v3: no frames a second": trick("lerobot-v3", rows("meta/info.json", lambda info: info | {"fps": 0})),
    "lerobot-v3: 10^12 episodes": trick(
        "lerobot-v3", rows("meta/info.json", lambda info: info | {"total_episodes": BIG}), "either"
    ),
    "lerobot-v3: a path that climbs": trick(
        "lerobot-v3", rows("meta/info.json", lambda info: info | {"data_path": "../../{chunk_index}"})
    ),
    "lerobot-v3: a template of a billion zeros": trick(
        "lerobot-v3", rows("meta/info.json", lambda info: info | {"data_path": "{chunk_index:01000000000d}"})
    ),
    "lerobot-v3: info that nests": trick("lerobot-v3", text(NESTED, "meta/info.json")),
    "lerobot-v3: info that is a link to itself": trick("lerobot-v3", to_itself("meta/info.json")),
    "lerobot-v3: info that is a pipe": trick("lerobot-v3", pipe("meta/info.json")),
    "lerobot-v3: rows that are a pipe": trick("lerobot-v3", pipe("data/*/file-000.parquet")),
    "lerobot-v3: a video that is a pipe": trick("lerobot-v3", pipe("videos/*/*/file-000.mp4")),
    "lerobot-v3: a link that leads back": trick("lerobot-v3", loop("data/loop"), "either"),
    "lerobot-v2: an episode of 10^12 rows": trick(
        "lerobot-v2", replaced(b'"length": 11', f'"length": {BIG}'.encode(), "meta/episodes.jsonl")
    ),
    "lerobot-v2: an episode of 10^5 digits": trick(
        "lerobot-v2", replaced(b'"length": 11', b'"length": ' + b"1" * DEEP, "meta/episodes.jsonl")
    ),
    "nuscenes: a chain in a circle": trick("nuscenes", circle),
    "nuscenes: a pose that is NaN": trick(
        "nuscenes", rows("v1.0-mini/ego_pose.json", second(translation=[float("nan"), 0, 0]))
    ),
    "nuscenes: a missing sensor": trick("nuscenes", rows("v1.0-mini/sensor.json", lambda table: table[:1])),
    "nuscenes: a picture from elsewhere": trick(
        "nuscenes",
        rows("v1.0-mini/sample_data.json", lambda table: [row | {"filename": "../../../etc/passwd"} for row in table]),
    ),
    "nuscenes: a table that nests": trick("nuscenes", text(NESTED, "v1.0-mini/scene.json")),
    "nuscenes: a picture that is a pipe": trick("nuscenes", pipe("samples/CAM_FRONT/*")),
    "nuscenes: a table that is a pipe": trick("nuscenes", pipe("v1.0-mini/scene.json")),
    "nuscenes: a huge picture": trick("nuscenes", huge_picture("jpeg", "samples/CAM_FRONT/*")),
    "nuscenes: times that go back": trick(
        "nuscenes", rows("v1.0-mini/sample_data.json", lambda table: [row | {"timestamp": 1} for row in table])
    ),
}

TABLES: dict[str, Trick] = {
    "csv: NaN in a column": trick("csv", column(0, lambda cells: with_nan(cells.astype(float)).astype(str)), "either"),
    "csv: an infinite dwell": trick("csv", column(2, lambda cells: np.append(cells[1:], "inf"))),
    "csv: a missing column": trick("csv", replaced(b"beam_x", b"beam_z")),
    "csv: a column twice": trick("csv", replaced(b"beam_y", b"beam_x")),
    "csv: half of the rows": trick(
        "csv", lambda path: path.write_text("".join(path.read_text().splitlines(True)[:6])) and None
    ),
    "csv: a line of 100 MB": trick("csv", sparse(100 << 20, b"beam_x,beam_y,t\n1,1,1\n")),
    "csv: a header of 10^6 columns": trick("csv", text("a," * 10**6 + "\n1\n")),
    "csv: decimal commas": trick(
        "csv", lambda path: path.write_text(path.read_text().replace(",", ";").replace(".", ",")) and None
    ),
    "csv: an open quote": trick("csv", replaced(b"\n", b'\n"', count=1)),
    "csv: a link to itself": trick("csv", to_itself()),
    "csv: a pipe": trick("csv", pipe()),
    "csv-times: a time that is NaN": trick(
        "csv-times", column(2, lambda cells: with_nan(cells.astype(float)).astype(str))
    ),
    "csv-times: times that go back": trick("csv-times", column(2, swapped), "either"),
    "csv-times: a time twice": trick("csv-times", column(2, twice), "several rows"),
    "csv-times: another clock": trick("csv-times", column(2, lambda cells: (cells.astype(float) + 1e9).astype(str))),
    "parquet: 10^12 rows": trick("parquet", promised_rows(BIG)),
    "parquet: 10^7 rows": trick("parquet", promised_rows(10**7), "either"),
    "parquet: text": trick("parquet", table("", lambda frame: frame.assign(beam_x="a"))),
    "parquet: a missing column": trick("parquet", table("", lambda frame: frame.drop(columns="beam_x"))),
    "parquet: infinite": trick("parquet", table("", lambda frame: frame.assign(beam_x=np.inf))),
    "parquet: a pipe": trick("parquet", pipe()),
}

STORES: dict[str, Trick] = {
    "store: 10^12 rows": trick(
        "store", rows("part-00000000/frames/zarr.json", lambda node: node | {"shape": [BIG, *node["shape"][1:]]})
    ),
    "store: metadata that nest": trick("store", text(NESTED, "zarr.json")),
    "store: a part that nests": trick("store", text(NESTED, "part-00000000/zarr.json")),
    "store: a part of nothing": trick("store", text("{}", "part-00000000/zarr.json")),
    "store: frames that are a link to themselves": trick("store", to_itself("part-00000000/frames/zarr.json")),
    "store: frames that are a pipe": trick("store", pipe("part-00000000/frames/c/*/*/*/*")),
    "store: a part that is a link to the store": trick("store", lambda path: (path / "part-00000001").symlink_to(path)),
    "store: an odd path": trick("store", moved, "read"),
}
