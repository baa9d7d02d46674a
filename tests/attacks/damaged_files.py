"""Files that somebody has damaged or made up, for every reader: an answer, or one line of refusal, soon.

    python -m tests.attacks.damaged_files 10000 --seed 1

makes 10,000 files for each reader from good ones and says which were not answered as they should be; the suite does the
same with a few. Packed files are damaged as they are, and inside with a good packing around. A file is told by its
reader and its number, so that one that was found can be made again.
"""

from __future__ import annotations

import argparse
import gzip
import io
import mmap
import os
import random
import re
import resource
import signal
import struct
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from PIL import Image
from torch import nn

from neurogames.games import read_efg, read_nfg
from neurogames.lab.data.datasets import FOLDER_VARIABLE, load_dataset
from neurogames.lab.data.images import load_images
from neurogames.lab.data.model_sources import read_model
from neurogames.lab.data.models import load_model, save_model
from neurogames.lab.runs.run_folder import open_run, read_settings
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies.agents.edge_lists import read_edge_list
from neurogames.lab.studies.analysis.rows import rows_for
from neurogames.lab.whole_file import sealed, unsealed

SECONDS, CHARACTERS = 5.0, 1500
"""Most processor time and the longest message for one small file."""
_HANGS = 60
"""Seconds after which a process is ended that does not get on."""

NFG = """NFG 1 R "Selten" { "Player 1" "Player 2" }
{ { "1" "2" "3" } { "1" "2" } }
"a \\"comment\\""
1 1 0 2/3 0 -2.5 1e2 1 0 3 2 0
"""
NFG_OUTCOMES = 'NFG 1 R "o" { "a" "b" } { 2 2 } { { "x" 1, 1 } { "" 0, 2 } } 1 2 0 1'
EFG = """EFG 2 R "coin" { "Ann" "Bob" } "a comment"
c "" 1 "" { "H" 1/2 "T" 0.5 } 0
p "" 1 1 "(1)" { "a" "b" } 0
t "" 1 "x" { 1 -1 }
t "" 2 "y" { 0 2 }
p "" 2 1 "(2)" { "l" "r" } 0
t "" 1
t "" 3 "z" { 1/3, 1e1 }
"""
EDGES = """# who knows whom
ann bob 2.5
bob,eve
1\t2 1e-3

eve ann
2 1 0.001
"""


@dataclass(frozen=True)
class Attacked:
    """A reader and what it is attacked with.

    Attributes:
        good: contents that it reads.
        read: reads a file.
        ending: of the name of the file.
        inside: damages the content within its packing.
        kilobytes: most further memory.
    """

    good: Sequence[bytes]
    read: Callable[[Path], object]
    ending: str
    inside: Callable[[bytes, random.Random], bytes] | None = None
    kilobytes: int = 400_000


def readers(folder: Path) -> dict[str, Attacked]:
    """Every reader with good files, made in a folder that stays."""
    table = pd.DataFrame({"size": np.arange(24) / 7, "kind": ["red", "blue"] * 12, "price": np.arange(24) % 5})
    text = table.to_csv(index=False).encode()
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    save_model(model, folder / "good.pt")
    save_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), folder / "convolution.pt")
    torch.save(model.state_dict(), folder / "state.pt")
    write_dataset(
        xr.Dataset({"error": (("seed", "rule"), np.eye(3)), "name": ("rule", list("abc"))}, attrs={"a": [1, None]}),
        folder / "good.nc",
    )
    open_run(folder / "run", {"data": "wine", "keep_probs": [0.5, 1.0], "inner": {"x": True}})
    np.savez(folder / "good.npz", inputs=np.zeros((6, 4), dtype=np.float32), targets=np.arange(6) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), folder / "script.pt")

    def of_table(path: Path) -> object:
        return load_dataset(path, target="price")

    def of_state(path: Path) -> object:
        return load_model(path, activation="relu" if b"neurogames model" not in path.read_bytes() else None)

    def of_idx(path: Path) -> object:
        return _mnist(folder, path)

    def of_settings(path: Path) -> object:
        (folder / "other").mkdir(exist_ok=True)
        (folder / "other" / "settings.toml").write_bytes(path.read_bytes())
        return read_settings(folder / "other")

    content = {each: (folder / each).read_bytes() for each in ("good.pt", "convolution.pt", "state.pt", "good.nc")}
    return {
        "nfg": Attacked([NFG.encode(), NFG_OUTCOMES.encode()], read_nfg, ".nfg"),
        "efg": Attacked([EFG.encode(), EFG.encode("utf-8-sig")], read_efg, ".efg"),
        "csv": Attacked([text], of_table, ".csv"),
        "csv.gz": Attacked([gzip.compress(text)], of_table, ".csv.gz", _within_gzip),
        "edges": Attacked([EDGES.encode(), EDGES.replace("\n", "\r\n").encode("utf-8-sig")], read_edge_list, ".txt"),
        "edges.gz": Attacked([gzip.compress(EDGES.encode())], read_edge_list, ".txt.gz", _within_gzip),
        "parquet": Attacked([_parquet(table, "snappy"), _parquet(table, None)], of_table, ".parquet"),
        "idx": Attacked([gzip.compress(_idx())], of_idx, ".gz", _within_gzip),
        "images": Attacked([_images()], load_images, ".zip", _within_zip),
        "netCDF": Attacked([content["good.nc"]], read_dataset, ".nc"),
        "model": Attacked([content["good.pt"], content["convolution.pt"]], load_model, ".pt", _within_zip),
        "state": Attacked([content["state.pt"]], of_state, ".pt", _within_zip),
        "settings": Attacked([(folder / "run" / "settings.toml").read_bytes()], of_settings, ".toml"),
        "npz": Attacked([(folder / "good.npz").read_bytes()], lambda path: _rows(model, path), ".npz", _within_zip),
        # Torch's own reader asks for as much memory as a file says, up to 4 GiB.
        "TorchScript": Attacked(
            [(folder / "script.pt").read_bytes()], lambda path: read_model(str(path)), ".pt", kilobytes=2**22
        ),
    }


FOREIGN_LIBRARIES = {
    "netCDF within its seal": ("netCDF", lambda content, rng: sealed(damaged(unsealed(content), rng))),
    "TorchScript within its packing": ("TorchScript", lambda content, rng: _within_zip(content, rng)),
}
"""Damage that only somebody who means it can do, to formats whose libraries are not made for that."""


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A content with one to four changes: bits, bytes, parts, lengths and words.

    >>> damaged(b"NFG 1 R", random.Random(0)) != b"NFG 1 R"
    True
    """
    result = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(result) + 1)
        end = min(len(result), place + rng.choice((1, 2, 8, 40)))
        kind = rng.randrange(9)
        if kind == 0 and result:
            result[place % len(result)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            result[place:end] = rng.randbytes(end - place)
        elif kind == 2:
            del result[place:end]
        elif kind == 3:
            result[place:place] = result[place:end] * rng.choice((1, 2, 500))
        elif kind == 4 and rng.random() < 0.3:
            del result[place:]
        elif kind == 5:
            result[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(_LENGTHS))
        elif kind == 6:
            result[place:place] = rng.choice(_WORDS)
        elif kind == 7:
            words = list(re.finditer(rb"[0-9.]+|[A-Za-z_]+|\"[^\"]*\"", result))
            if words:
                word = rng.choice(words)
                result[word.start() : word.end()] = rng.choice(_WORDS)
        else:
            other = rng.randrange(len(result) + 1)
            result[place:end] = result[other : other + end - place]
    return bytes(result)


_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**6, 10**9)
_WORDS = (
    *(b"0", b"-1", b"99999", b"999999999999999999999", b"1e999", b"1e-999999999", b"nan", b"-inf", b"1/0", b"1" * 5000),
    *(
        b"{",
        b"}",
        b'"',
        b'\\"',
        b"\\",
        b",",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"'",
        b"[",
        b"]",
        b"#",
        b"=",
    ),
    *(b"2020-01-01", b"True", b"1+2j", b"x" * 3000, b"{ " * 300, b"[" * 3000, b", " * 300, b"\xf0\x9f\x8e\xb2"),
)


def answer(attacked: Attacked, content: bytes, path: Path) -> str:
    """What is wrong with the answer to a file; nothing if it was read, or refused as it should be."""
    path.write_bytes(content)
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            attacked.read(path)
    except ValueError as error:
        text = str(error)
        if len(text.splitlines()) != 1 or len(text) > CHARACTERS or type(error) is not ValueError:
            return f"{type(error).__name__} of {len(text)} characters: {text[:300]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    seconds = time.process_time() - begun
    if seconds > SECONDS:
        return f"{seconds:.1f} s"
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"{more} kB more" if more > attacked.kilobytes else ""


def file_of(attacked: Attacked, name: str, seed: int, number: int) -> bytes:
    """The file with this number."""
    rng = random.Random(f"{name} {seed} {number}")
    content = rng.choice(attacked.good)
    if attacked.inside is not None and (name in FOREIGN_LIBRARIES or rng.random() < 0.6):
        return attacked.inside(content, rng)
    return damaged(content, rng)


def _within_gzip(content: bytes, rng: random.Random) -> bytes:
    return gzip.compress(damaged(gzip.decompress(content), rng), 1)


def _within_zip(content: bytes, rng: random.Random) -> bytes:
    """One member damaged, packed again with the right sums."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            new.writestr(name, damaged(old.read(name), rng) if name == chosen else old.read(name))
    return made.getvalue()


def _parquet(table: pd.DataFrame, compression: Any) -> bytes:
    made = io.BytesIO()
    table.to_parquet(made, index=False, compression=compression)
    return made.getvalue()


def _idx() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    return bytes((0, 0, 8, 3)) + struct.pack(">III", *pixels.shape) + pixels.tobytes()


def _mnist(folder: Path, images: Path) -> object:
    """MNIST with one file of it replaced."""
    place = folder / "mnist"
    place.mkdir(exist_ok=True)
    labels = bytes((0, 0, 8, 1)) + struct.pack(">I", 12) + bytes(range(12))
    for part in ("train", "t10k"):
        (place / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
        (place / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx()))
    (place / "train-images-idx3-ubyte.gz").write_bytes(images.read_bytes())
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        return load_images("mnist")
    finally:
        os.environ.pop(FOLDER_VARIABLE)
        if before is not None:
            os.environ[FOLDER_VARIABLE] = before


def _images() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for part in ("train", "test"):
            for label in ("cat", "dog"):
                for ending in ("png", "jpg", "bmp"):
                    pixels = np.random.default_rng(len(archive.namelist())).integers(0, 256, (8, 8), dtype=np.uint8)
                    image = io.BytesIO()
                    Image.fromarray(pixels).save(image, {"jpg": "jpeg"}.get(ending, ending))
                    archive.writestr(f"{part}/{label}/1.{ending}", image.getvalue())
    return made.getvalue()


def _rows(model: nn.Module, path: Path) -> object:
    return rows_for(model, str(path), rows=5, rng=np.random.default_rng(0))


def main() -> None:
    """Attack every reader in a process of its own, and say what was found, and how often."""
    parser = argparse.ArgumentParser(description="attack every reader of files")
    parser.add_argument("count", type=int, help="files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of readers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        all_readers = readers(folder)
        for name, (base, inside) in FOREIGN_LIBRARIES.items():
            known = all_readers[base]
            all_readers[name] = Attacked(known.good, known.read, known.ending, inside, 2**22)
        for name, attacked in all_readers.items():
            if not options.only or name in options.only:
                _attack(name, attacked, options.seed, options.count, folder)


def _attack(name: str, attacked: Attacked, seed: int, count: int, folder: Path) -> None:
    """Run all files of one reader; a fork that dies is told, and followed by another."""
    shared, begun = mmap.mmap(-1, 16), time.monotonic()
    kinds: dict[str, list[int]] = {}
    number = 0
    while number < count:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            for each in range(number, count):
                signal.alarm(_HANGS)
                shared[:8] = struct.pack("<q", each)
                found = answer(attacked, file_of(attacked, name, seed, each), folder / f"attack{attacked.ending}")
                if found:
                    os.write(write, f"{each}\t{found[:400]}\n".encode("utf-8", "replace"))
            os._exit(0)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as lines:
            for line in lines:
                each, _, found = line.rstrip("\n").partition("\t")
                kinds.setdefault(re.sub(r"\d+", "#", found)[:90], []).append(int(each))
        _, status = os.waitpid(child, 0)
        number = count
        if status:
            number = struct.unpack("<q", shared[:8])[0] + 1
            kinds.setdefault(f"the process ended with status {status}", []).append(number - 1)
    wrong = sum(map(len, kinds.values()))
    print(f"{name}: {count} files, {wrong} answered wrongly, {time.monotonic() - begun:.0f} s", flush=True)
    for kind, numbers in kinds.items():
        print(f"    {len(numbers)} x {kind} (number {numbers[0]})", flush=True)


if __name__ == "__main__":
    main()
