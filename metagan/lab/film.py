"""Writes films frame by frame: mp4 and webm with ffmpeg, animated webp and gif with Pillow, or numbered PNG files.

No writer keeps more than a few frames in memory. ffmpeg encodes in its own process while the next frames are drawn.
Each file says that a machine made the film: mp4, gif and webp as XMP (Adobe's XMP Specification, part 3), webm as tags.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from metagan.errors import OptionError
from metagan.files import replacing, sweep_killed, write_bytes
from metagan.images.encode import encode, require_size
from metagan.images.provenance import SOURCE_TYPE, Provenance
from metagan.values import Size, printable

Frame = NDArray[np.uint8]
FORMATS: Final = (".mp4", ".webm", ".webp", ".gif")
XMP_BOX: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # of XMP in ISO base media files
ENCODERS: Final = {
    ".mp4": ("-c:v", "libx264", "-preset", "veryfast", "-crf", "17", "-movflags", "+faststart"),
    ".webm": (
        "-c:v",
        "libvpx-vp9",
        "-b:v",
        "0",
        "-crf",
        "24",
        "-row-mt",
        "1",
        "-deadline",
        "good",
        "-cpu-used",
        "4",
    ),
}
AHEAD_BYTES: Final = 64 << 20  # of frames that wait for ffmpeg
LEAST_HUNDREDTHS: Final = 2  # of a second, that browsers show a gif's frame
LEAST_PX: Final = 256  # smaller frames are enlarged in films: players blur them


@dataclass(frozen=True)
class FilmOptions:
    """How to write a film.

    Args:
        fps: Frames per second.
        provenance: The file's provenance.
        loop: Whether animated webp and gif repeat.
        threads: Threads of ffmpeg; None for ffmpeg's default.
    """

    fps: float
    provenance: Provenance
    loop: bool = True
    threads: int | None = None


def film_format(path: Path) -> str:
    """Return the format that a film's name asks for: one of FORMATS, or "" for a folder of numbered PNGs.

    Raises:
        OptionError: If the name has another ending, or its format needs ffmpeg and there is none.
    """
    ending = path.suffix.lower()
    if ending not in (*FORMATS, ""):
        raise OptionError(
            f"want a name that ends in {', '.join(FORMATS)}, or one without an ending for a folder of PNGs",
            where=f"--out {path}",
            fix="give such a name",
        )
    if ending in ENCODERS:
        find_ffmpeg()
    return ending


def find_ffmpeg() -> str:
    """Return the ffmpeg program: the system's, or that of the package imageio-ffmpeg.

    Raises:
        OptionError: If there is neither.
    """
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        from imageio_ffmpeg import get_ffmpeg_exe

        with contextlib.suppress(RuntimeError):
            return str(get_ffmpeg_exe())
    msg = "mp4 and webm: there is no ffmpeg on this machine"
    raise OptionError(
        msg, fix="`pip install 'metagan[film]'` brings one, or ask for a name that ends in .webp or .gif"
    )


def write_film(path: Path, frames: Iterable[Frame], count: int, options: FilmOptions) -> None:
    """Write a film atomically, or a folder of PNGs frame by frame.

    Args:
        path: The film; its ending chooses the format, see `film_format`.
        frames: RGB [h, w, 3], all of one size, taken one after the other.
        count: Number of frames.
        options: How to write it.

    Raises:
        OptionError: If ffmpeg is missing, or can't encode the film, or a folder has frames already.
    """
    ending = film_format(path)
    if ending == "":
        require_no_frames(path)
        for number, frame in enumerate(frames):
            write_bytes(frame_path(path, number), encode(frame, "png", options.provenance))
        return
    sweep_killed(path)
    with replacing(path) as beside:
        if ending in ENCODERS:
            _write_by_ffmpeg(beside, ending, frames, options)
        elif ending == ".gif":
            with beside.open("wb") as file:
                _write_gif(file, frames, options)
        else:
            _write_webp(beside, frames, count, options)


def require_film_size(path: Path, size: Size) -> None:
    """Refuse a film whose frames its format can't hold, before they are drawn.

    Args:
        path: The film; its ending chooses the format.
        size: Of a frame, before `enlarge`.

    Raises:
        OptionError: If a side is longer than the format allows.
    """
    ending = film_format(path)
    if ending:
        fix = "draw fewer pictures side by side, or name a folder, for numbered PNGs"
        require_size(ending.removeprefix("."), enlarged(size), printable(str(path)), fix)


def enlarged(size: Size) -> Size:
    """The size of a frame after `enlarge`."""
    return size.times(max(1, -(-LEAST_PX // size.shortest)))


def enlarge(frame: Frame, least_px: int = LEAST_PX) -> Frame:
    """Enlarge a frame by a whole factor, so that its shorter side has at least `least_px` pixels."""
    times = -(-least_px // min(frame.shape[:2]))
    return frame if times <= 1 else frame.repeat(times, axis=0).repeat(times, axis=1)


def to_frame(picture: Frame) -> Frame:
    """Convert a picture [h, w, 1, 3 or 4] to RGB, alpha over white."""
    if picture.shape[2] == 1:
        return picture.repeat(3, axis=2)
    if picture.shape[2] == 4:
        alpha = picture[:, :, 3:].astype(np.uint16)
        over = picture[:, :, :3] * alpha + 255 * (255 - alpha)
        return (over // 255).astype(np.uint8)
    return picture


# --------------------------------------------------------------------------------------------
# Numbered PNGs


def frame_path(folder: Path, number: int) -> Path:
    """Return the path of a frame among numbered PNGs."""
    return folder / f"frame{number:06d}.png"


def require_no_frames(folder: Path) -> None:
    """Refuse a folder that has frames of another film, which would mix with a new one's.

    Raises:
        OptionError: If it has any.
    """
    if next(folder.glob("frame*.png"), None) is not None:
        raise OptionError(
            "holds frames of another film, or of other options",
            where=folder,
            fix="choose another folder, or remove this one",
        )


# --------------------------------------------------------------------------------------------
# ffmpeg


def _write_by_ffmpeg(path: Path, ending: str, frames: Iterable[Frame], options: FilmOptions) -> None:
    with tempfile.TemporaryFile() as log:
        frames = iter(frames)
        first = next(frames, None)  # for the size
        if first is None:
            raise ValueError("a film wants at least one frame")
        height, width = (side - side % 2 for side in first.shape[:2])  # 4:2:0 needs even sides
        command = _ffmpeg_command(path, ending, width, height, options)
        process = subprocess.Popen(  # noqa: S603  a program that was looked up, and no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            _feed(process, chain([first], frames), first.shape)
            if process.wait() != 0:
                raise _failed(path, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
    if ending == ".mp4":
        packet = XMP_BOX + options.provenance.xmp()
        with path.open("ab") as file:
            file.write((len(packet) + 8).to_bytes(4, "big") + b"uuid" + packet)


class _Feed:
    """Passes frames to ffmpeg in a thread, so that drawing and encoding overlap."""

    def __init__(self, pipe: IO[bytes], ahead: int) -> None:
        self._pipe = pipe
        self._waiting: Queue[bytes | None] = Queue(ahead)
        self.ended = Event()  # ffmpeg takes no more
        self._thread = Thread(target=self._write, name="to ffmpeg")
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Queue another frame, or wait while the queue is full."""
        self._waiting.put(data)

    def close(self) -> None:
        """Wait until ffmpeg has read all frames."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        try:
            while (data := self._waiting.get()) is not None:
                self._pipe.write(data)
            self._pipe.close()
        except OSError:  # it has ended, and says why
            self.ended.set()
            while self._waiting.get() is not None:
                pass


def _feed(process: subprocess.Popen[bytes], frames: Iterable[Frame], shape: tuple[int, ...]) -> None:
    if process.stdin is None:
        raise AssertionError("ffmpeg was started with a pipe")
    height, width = (side - side % 2 for side in shape[:2])
    feed = _Feed(process.stdin, max(2, AHEAD_BYTES // (height * width * 3)))
    try:
        for frame in frames:
            if feed.ended.is_set():
                break
            feed.put(_same_size(frame, shape)[:height, :width].tobytes())
    except BaseException:
        process.kill()
        raise
    finally:
        feed.close()


def _same_size(frame: Frame, shape: tuple[int, ...]) -> Frame:
    if frame.shape != shape:
        raise ValueError(f"a film's frames have one size, {shape}, got {frame.shape}")
    return frame


def _ffmpeg_command(path: Path, ending: str, width: int, height: int, options: FilmOptions) -> list[str]:
    threads = () if options.threads is None else ("-threads", str(options.threads))
    generator = options.provenance.generator
    tags = {"title": generator, "comment": f"{generator}; made by a machine ({SOURCE_TYPE})"}
    return [
        *(find_ffmpeg(), "-nostdin", "-loglevel", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{options.fps:g}"),
        *("-i", "pipe:0", "-an", *ENCODERS[ending], "-pix_fmt", "yuv420p", *threads),
        *(part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")),
        *("-f", ending[1:], str(path)),
    ]


def _failed(path: Path, log: IO[bytes]) -> OptionError:
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    msg = f"{path.name}: ffmpeg failed: {said[-1] if said else 'it says nothing'}"
    return OptionError(msg, fix="ask for .webp or a folder of PNGs, or install another ffmpeg")


# --------------------------------------------------------------------------------------------
# Pillow


def _write_gif(file: IO[bytes], frames: Iterable[Frame], options: FilmOptions) -> None:
    """Write a gif one frame at a time, each with its own palette; Pillow's own writer keeps all frames in memory."""
    begun = False
    for frame, hundredths in _timed(frames, options.fps):
        image = Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT)
        if not begun:
            parts, _ = GifImagePlugin.getheader(image)
            file.write(b"GIF89a" + b"".join(parts)[6:])  # of 1989: the first to have times
            if options.loop:
                file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            # XMP's trailer brings readers of sub-blocks to its end, wherever they come from.
            trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
            file.write(b"\x21\xff\x0bXMP DataXMP" + options.provenance.xmp() + trailer)
            begun = True
        for part in GifImagePlugin.getdata(image, duration=hundredths * 10, include_color_table=True):
            file.write(part)
    if not begun:
        raise ValueError("a film wants at least one frame")
    file.write(b";")


def _timed(frames: Iterable[Frame], fps: float) -> Iterator[tuple[Frame, int]]:
    """Yield a gif's frames, each with its time in hundredths of a second, which add up to the film's.

    Frames that are too short for browsers, which slow them down, are left out, but never the last one.
    """
    until, left_out = 0, None
    for number, frame in enumerate(frames, 1):
        lasts = round(100 * number / fps) - until
        left_out = frame if lasts < LEAST_HUNDREDTHS else None
        if left_out is None:
            yield frame, lasts
            until += lasts
    if left_out is not None:
        yield left_out, LEAST_HUNDREDTHS


class _Reel(Image.Image):
    """An image that gives Pillow's animated WebP writer one frame after the other, without keeping any."""

    def __init__(self, frames: Iterable[Frame], count: int) -> None:
        super().__init__()
        self._frames = iter(frames)
        self.n_frames = count
        self._at = -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Take the next frame, if its number is requested."""
        if frame == self._at + 1:
            image = Image.fromarray(next(self._frames))
            self.im, self._mode, self._size = image.im, image.mode, image.size
            self._at = frame

    def tell(self) -> int:
        """Return the current frame's number."""
        return self._at


def _write_webp(path: Path, frames: Iterable[Frame], count: int, options: FilmOptions) -> None:
    reel = _Reel(frames, count)
    lossless = max(reel.size) <= LEAST_PX
    with path.open("wb") as file:
        reel.save(
            file,
            "WEBP",
            save_all=True,
            duration=1000 / options.fps,
            loop=0 if options.loop else 1,
            lossless=lossless,
            quality=60 if lossless else 88,
            method=0,
            xmp=options.provenance.xmp(),
        )
