"""Keeps a copy of a run on a storage: what is lost with a machine is fetched by the next one, which goes on from there.

After each state, every file of the run folder that has changed is written to the archive, the state last, and then
`archive.json`, which says whose run it is, how far it has come and which process wrote it. An interrupted upload leaves
the state before.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from metagan.errors import MalformedFileError, MetaganError, TrainingError
from metagan.files import real_path, require_place, write_bytes
from metagan.storage import Storage, protocol_of, storage_errors
from metagan.training.run_folder import SHEETS, RunFolder
from metagan.training.state import has_state, previous_state, read_last_state

RECORD: Final = "archive.json"
FOLDERS: Final = ("", "snapshots", *SHEETS)
PATIENCE_S: Final = 60.0


@dataclass(frozen=True)
class Record:
    """The content of archive.json.

    Args:
        run: The run's id.
        kimg: Thousands of pictures that the archived state has seen.
        writer: The id of the process that wrote it; empty before a first state, and in those of earlier versions.
    """

    run: str
    kimg: float
    writer: str = ""


class RunArchive:
    """The copy of a run on a storage.

    Args:
        place: A folder, or an address such as s3://bucket/runs/apes.
        folder: The run's folder.
        say: Told what was fetched, and what could not be stored.

    Raises:
        TrainingError: If the address can't be used, or is in the run's own folder.
    """

    def __init__(self, place: str, folder: RunFolder, say: Callable[[str], None]) -> None:
        is_local = place and not protocol_of(place)
        if not place or (is_local and real_path(Path(place)).is_relative_to(real_path(folder.path))):
            raise TrainingError(
                "a copy in the run's own folder is lost with it" if place else "want a folder or an address",
                where=f"--archive {place!r}",
                fix="choose a place elsewhere",
            )
        if is_local:
            require_place(Path(place), folder=True)
        self._storage = Storage(place, TrainingError, patience_s=PATIENCE_S)
        self._folder, self.say = folder, say
        self._sent: dict[str, tuple[int, int]] = {}
        self._writer = secrets.token_hex(8)
        self._known = Record("", 0.0)  # as last read or written by this process

    def open(self) -> None:
        """Fetch the archived run if the folder has none; otherwise make sure that the archive is this run's.

        Raises:
            TrainingError: If the archive holds another run, or this one at a later point, or can't be reached.
        """
        self._storage.require_bucket()
        archived = _parse(self._storage.read(RECORD))
        if archived is None and self._storage.sizes():
            raise self._refusal("it holds other files", "choose an empty place")
        if archived is not None:
            self._take(archived)
        known = self._own()
        run = known.run if known else secrets.token_hex(8)
        self._record(archived or Record(run, 0.0))  # a storage that refuses does so now

    def put(self, kimg: float) -> None:
        """Store what has changed since the last call.

        Args:
            kimg: Thousands of pictures that the newest state has seen.

        Raises:
            TrainingError: If the storage fails for longer than a minute, or another process has written to the archive
                since this one opened it.
            MalformedFileError: If the archive's record can't be read.
        """
        found = _parse(self._storage.read(RECORD))
        if found is None:
            self._sent.clear()  # the archive has been removed
        elif found != self._known and found.writer != self._writer:
            raise self._refusal(
                f"another process has brought it to {found.kimg:g} kimg",
                "end one of the two, or choose another place for one",
            )
        for path in self._files():
            name = path.relative_to(self._folder.path).as_posix()
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if self._sent.get(name) != stamp:
                self._write(name, path.read_bytes())
                self._sent[name] = stamp
        self._record(Record(self._known.run, kimg, self._writer))

    def try_to_put(self, kimg: float) -> None:
        """Likewise, but a storage that fails is only reported: training goes on, and the next state is tried again."""
        try:
            self.put(kimg)
        except MetaganError as error:
            self.say(f"warning: the archive keeps its former state, {error}")

    def _take(self, archived: Record) -> None:
        """Fetch the archived run where the folder has no state; otherwise the two must be one run."""
        folder, known, kimg = self._folder, self._own(), archived.kimg
        is_new = known is None and not folder.config.exists() and folder.reached_kimg() == 0
        if not is_new and (known is None or known.run != archived.run):
            raise self._refusal(f"it holds another run than {folder.path}", "choose another place")
        if not has_state(folder.state):
            self.say(f"{folder.path}: fetches the run of {self._place}, at {kimg:g} kimg")
            self._fetch()
            return
        reached = read_last_state(folder.state).facts["seen"] / 1000
        if kimg > reached:
            raise self._refusal(
                f"its run is at {kimg:g} kimg, ahead of {folder.path} at {reached:g}",
                "choose another --out, into which it is fetched",
            )

    def _fetch(self) -> None:
        """Download the run, its state last: an interrupted download begins again."""
        names = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in self._storage.sizes(folder)]
        for name in sorted(names, key=lambda name: (name == self._folder.state.name, name != RECORD, name)):
            data = self._storage.read(name)
            if data is None:
                raise self._refusal(f"{name} is gone", "try again, when nobody writes there")
            path = self._folder.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)

    def _own(self) -> Record | None:
        path = self._folder.path / RECORD
        return _parse(path.read_bytes() if path.exists() else None)

    @property
    def _place(self) -> str:
        return self._storage.address("").rstrip("/")

    def _refusal(self, what: str, fix: str) -> TrainingError:
        return TrainingError(what, where=f"--archive {self._place}", fix=fix)

    def _write(self, name: str, content: bytes) -> None:
        with storage_errors(self._place, TrainingError):  # a folder's are OSErrors
            self._storage.write(name, content)

    def _record(self, record: Record) -> None:
        """Write archive.json, in the archive and in the run's folder."""
        content = json.dumps(asdict(record)).encode()
        self._write(RECORD, content)
        self._known = record
        self._folder.path.mkdir(parents=True, exist_ok=True)
        write_bytes(self._folder.path / RECORD, content)

    def _files(self) -> Iterator[Path]:
        """The run's files, the state last."""
        state = self._folder.state
        left_out = {state, previous_state(state), self._folder.path / RECORD}
        for folder in FOLDERS:
            for path in sorted((self._folder.path / folder).glob("*")):
                if path.is_file() and not path.name.startswith(".") and path not in left_out:
                    yield path
        if state.exists():
            yield state


def _parse(content: bytes | None) -> Record | None:
    """Parse archive.json; None without content.

    Raises:
        MalformedFileError: If it is no JSON object with a run and its kimg.
    """
    if content is None:
        return None
    try:
        found = json.loads(content)
        return Record(str(found["run"]), float(found["kimg"]), str(found.get("writer", "")))
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedFileError(
            f"can't be read ({error})", where=RECORD, fix="choose another place for --archive"
        ) from error
