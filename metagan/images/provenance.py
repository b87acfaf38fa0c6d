"""Metadata that marks a picture file as machine-made.

It is XMP with the IPTC's vocabulary: Photo Metadata Standard 2025.1, "Digital Source Type" and "AI System Used".
Article 50 of the European AI Act requires machine-readable marks; picture services read this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from metagan.values import has_controls, text_of

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:metagan="urn:metagan:xmp:"{origin}>
<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
<Iptc4xmpExt:AISystemUsed>{generator}</Iptc4xmpExt:AISystemUsed>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class Provenance:
    """The origin of a picture, as stored in its file.

    Args:
        generator: The generator's name, "apes (StyleGAN2)".
        seed: The seed it was drawn from; None where it comes from styles.
        psi: The truncation it was drawn with; None where that says nothing.
        lineage: The code of a bred picture's ancestors, or None.
    """

    generator: str
    seed: int | None
    psi: float | None
    lineage: str | None = None

    def xmp(self) -> bytes:
        """Return the XMP packet."""
        seed = None if self.seed is None else str(self.seed)
        psi = None if self.psi is None else f"{self.psi:g}"
        return _fill(self.generator, seed=seed, psi=psi, lineage=self.lineage).encode()


def xmp_pattern(generator: str) -> str:
    """Return an XMP packet with the placeholders `{seed}` and `{psi}`, for programs that draw pictures themselves."""
    return _fill(generator, seed="{seed}", psi="{psi}")


def _fill(generator: str, **facts: str | None) -> str:
    origin = "".join(
        f" metagan:{name}={quoteattr(value)}" for name, value in facts.items() if value is not None
    )
    return _PACKET.format(origin=origin, source_type=SOURCE_TYPE, generator=escape(_clean(generator)))


def _clean(text: str) -> str:
    """Text without what XML can't hold: stray bytes of file names and control characters become escapes."""
    return "".join(
        character if character.isprintable() or not has_controls(character) else ascii(character)[1:-1]
        for character in text_of(text)
    )
