"""HTML to PDF: the only importer of WeasyPrint.

The file is PDF/A-3a (archival, with its own data inside) and PDF/UA-1 (accessible) at once. WeasyPrint writes one
variant; `_finish` adds the other's identifier and what both validators ask for. Nothing is read but the report's own
sources, and nothing depends on clock, host or process: the same input gives the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from loopwright.errors import InfraError, UsageError

__all__ = ["DataFile", "typeset", "typesetter"]

SCHEME = "report:"
"""Links in templates and style sheets are relative to this; whatever resolves to anything else is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file that travels inside the PDF."""

    name: str
    data: bytes
    description: str


def typesetter() -> dict[str, str]:
    """Names and versions of what sets the type; they are printed, since the bytes depend on them.

    Raises:
        InfraError: WeasyPrint or a library it loads is missing.
    """
    weasyprint = _weasyprint()
    import pydyf  # comes with WeasyPrint
    from weasyprint.text import ffi

    pango: Any = ffi.pango
    packed = pango.pango_version()
    return {
        "weasyprint": weasyprint.__version__,
        "pydyf": pydyf.__version__,
        "pango": f"{packed // 10000}.{packed // 100 % 100}.{packed % 100}",
    }


def typeset(html: str, files: Mapping[str, bytes], attached: tuple[DataFile, ...], when: datetime) -> bytes:
    """The PDF's bytes.

    Args:
        html: the document; its links are paths of ``files``.
        files: style sheets and fonts, by path.
        attached: data files to embed.
        when: the date the document bears, from the record and never from a clock.

    Raises:
        InfraError: WeasyPrint or pango is missing.
        UsageError: the document names something that is not among its sources, or a font that is none.
    """
    weasyprint, lost = _weasyprint(), _LostFonts()
    from weasyprint.text.fonts import FontConfiguration

    fetcher = _fetcher(files)
    document = weasyprint.HTML(string=html, base_url=f"{SCHEME}///", url_fetcher=fetcher)

    def write(pad: int) -> bytes:
        attachments = [  # each can be read once
            weasyprint.Attachment(
                string=file.data, name=file.name, description=file.description, created=when, modified=when, relationship="Data",
                url_fetcher=fetcher,
            )
            for file in attached
        ]  # fmt: skip
        finish = partial(_finish, pad=pad)
        return document.write_pdf(
            pdf_variant="pdf/a-3a", attachments=attachments, finisher=finish, font_config=FontConfiguration()
        )

    try:
        with warnings.catch_warnings(), lost.watching():
            warnings.simplefilter("ignore", ResourceWarning)  # WeasyPrint 70 leaves its colour profile's file open
            made = _unambiguous(write)
    except weasyprint.urls.FatalURLFetchingError as error:
        said = str(error).removeprefix("Error fetching ").strip('"')
        raise UsageError(
            f"{said} is not part of the report's sources", "put it into reports/, or mend the link: nothing else is read"
        ) from error
    if lost.told:
        raise UsageError(f"reports/: {'; '.join(lost.told)}", "put the font's file back as it was, or mend its @font-face")
    return made


class _LostFonts(logging.Handler):
    """Fonts that WeasyPrint goes on without: a page in another font is not the page that was meant."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is said of a font."""
        if record.msg.startswith("Font-face"):
            self.told[record.getMessage()] = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """For as long as a document is set."""
        log = logging.getLogger("weasyprint")
        log.addHandler(self)
        try:
            yield
        finally:
            log.removeHandler(self)


def _unambiguous(write: Callable[[int], bytes]) -> bytes:
    """A file no stream of which ends in a carriage return: with the line end before ``endstream`` it would be read as part of that.

    The last two, the packed objects and the table of offsets, are made when all else is written: `pad` changes both.
    """
    for pad in range(16):
        data = write(pad)
        if b"\r\nendstream" not in data:
            return data
    raise InfraError("a PDF with unambiguous stream ends could not be set", "build the report again after the next entry")


def _weasyprint() -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where pango is missing it prints advice of its own
            import weasyprint  # half a second, and it loads pango
            import weasyprint.urls
    except (ImportError, OSError) as error:
        wanted = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        raise InfraError(f"a PDF cannot be set here: {error}", f"apt-get install {wanted}; then `loopwright doctor`") from error
    return weasyprint


def _fetcher(files: Mapping[str, bytes]) -> Callable[[str], Any]:
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class Sealed(URLFetcher):
        """Answers from memory; anything else stops the rendering instead of leaving a hole in the page."""

        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
            path = url.removeprefix(f"{SCHEME}///")
            if path not in files:
                raise ValueError(f"{url} is not part of the report's sources")
            kinds = {"css": "text/css", "woff2": "font/woff2", "svg": "image/svg+xml", "png": "image/png"}
            kind = kinds.get(path.rpartition(".")[2], "application/octet-stream")
            return URLFetcherResponse(url, files[path], {"Content-Type": kind})

    return Sealed(fail_on_errors=True)


_UA = (
    b'<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/"><pdfuaid:part>1</pdfuaid:part>'
    b"</rdf:Description>"
    b'<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"'
    b' xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">'
    b'<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">'
    b"<pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>"
    b"<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>"
    b"<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>"
    b'<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">'
    b"<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>"
    b"<pdfaProperty:category>internal</pdfaProperty:category>"
    b"<pdfaProperty:description>Part of ISO 14289</pdfaProperty:description>"
    b"</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>"
)
"""PDF/UA identifier, and the extension schema by which PDF/A allows it (ISO 19005-3, 6.6.2.3)."""


def _finish(document: Any, pdf: Any, *, pad: int) -> None:  # WeasyPrint's signature
    """Add the second conformance: XMP identifier, readable metadata, and the scope of every table head."""
    import pydyf

    metadata = pdf.objects[int(pdf.catalog["Metadata"].split()[0])]
    text = b"".join(metadata.stream)
    metadata.stream, metadata.compress = [text.replace(b"</rdf:RDF>", _UA + b" " * pad + b"</rdf:RDF>")], False
    pdf.catalog["Metadata"] = b" " * pad + pdf.catalog["Metadata"]  # white space among the packed objects
    by_reference = {item.reference: item for item in pdf.objects if isinstance(item, pydyf.Dictionary)}
    for item in by_reference.values():
        if item.get("S") == "/TH":
            row = by_reference[item["P"]]
            scope = "/Column" if by_reference[row["P"]].get("S") == "/THead" else "/Row"
            item["A"] = pydyf.Dictionary({"O": "/Table", "Scope": scope})
    for item in pdf.objects:  # see `_unambiguous` (ISO 32000-1, 7.3.8.1)
        if isinstance(item, pydyf.Stream) and item.compress and item.data.endswith(b"\r\nendstream"):
            item.compress = False
