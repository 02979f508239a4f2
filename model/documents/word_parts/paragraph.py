"""A paragraph to text: its runs without what is hidden or deleted, fields, symbols, notes, and its text boxes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from model.documents.scripts import lowered, raised
from model.documents.word_parts.drawings import chart_lines, diagram_lines
from model.documents.word_parts.equations import equation_text
from model.documents.word_parts.fields import MAX_DEPTH, Field
from model.documents.word_parts.names import attribute, child, name_of, number, value
from model.documents.word_parts.numbering import Numbering
from model.documents.word_parts.package import BrokenPackageError, Package, Relationship
from model.documents.word_parts.styles import Look, Styles, look_of
from model.documents.word_parts.symbols import in_font, symbol

# Text that a reader of the printed page does not see, or would see twice: deleted and moved-away revisions, the
# second version of a drawing for old programs, and the reading aids above kanji.
SKIPPED = frozenset(("w:del", "w:moveFrom", "w:rt", "w:delText", "w:delInstrText", "mc:Fallback"))
MAX_CARRIED = 100_000
"""Characters of paragraphs that join into one because their ends were deleted."""
_CHARACTERS = {"w:tab": "\t", "w:ptab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}
_NOTES = {"w:footnoteReference": "footnotes", "w:endnoteReference": "endnotes"}

Blocks = Callable[[etree._Element], Iterator[str]]


@dataclass
class Notes:
    """Footnotes and endnotes, numbered in the order in which the text refers to them."""

    elements: dict[tuple[str, str], etree._Element] = field(default_factory=dict)
    """Notes by ``"footnotes"`` or ``"endnotes"`` and their ids."""
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def reference(self, kind: str, identifier: str) -> str:
        """The mark in the text, ``"[1]"``; nothing for a note that does not exist."""
        key = (kind, identifier)
        if key not in self.elements:
            return ""
        return f"[{self.numbers.setdefault(key, len(self.numbers) + 1)}]"


@dataclass
class _Line:
    """The paragraph that is being put together."""

    look: Look
    parts: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    """Lines of text boxes and drawings, which follow the paragraph."""
    has_hidden: bool = False


def _joins_the_next(properties: etree._Element | None) -> bool:
    """Whether the end of the paragraph was deleted, so that the next one continues it."""
    mark = child(properties, "w:rPr")
    return child(mark, "w:del") is not None or child(mark, "w:moveFrom") is not None


@dataclass(kw_only=True)
class Paragraphs:
    """What paragraphs need to know of their document; fields may begin in one and end in another."""

    package: Package
    links: dict[str, Relationship]
    styles: Styles
    numbering: Numbering
    notes: Notes
    blocks: Blocks
    """Lines of a text box."""
    _fields: list[Field] = field(default_factory=list)
    _carried: str = ""  # text of paragraphs whose end was deleted

    def lines(self, element: etree._Element) -> Iterator[str]:
        """The text of ``w:p`` with its number, then its text boxes; nothing if all of it is hidden."""
        properties = child(element, "w:pPr")
        style_name = value(properties, "w:pStyle") or self.styles.default
        style = self.styles.style(style_name)
        line = _Line(style.look)
        carried, self._carried = self._carried, ""
        self._inline(element, line)
        self._close_fields(line)
        text = carried + "".join(line.parts)
        if _joins_the_next(properties) and len(text) < MAX_CARRIED:
            self._carried = text
        elif text.strip() or not line.has_hidden:
            direct = child(properties, "w:numPr")
            numbering = number(value(direct, "w:numId"), style.numbering or 0)
            if numbering:
                level = number(value(direct, "w:ilvl"), -1)
                if level < 0:
                    level = style.level if style.level is not None else -1
                if level < 0:
                    level = self.numbering.level_of_style(numbering, style_name)
                text = self.numbering.next(numbering, level) + text
            yield text
        yield from line.boxes

    def _inline(self, element: etree._Element, line: _Line) -> None:
        for part in element:
            name = name_of(part)
            if name in SKIPPED or not name or name.endswith("Pr"):
                continue
            if name == "w:r":
                self._run(part, line)
            elif name in ("m:oMath", "m:oMathPara"):
                self._emit(equation_text(part), line)
            elif name == "w:fldSimple":
                self._simple_field(part, line)
            else:
                self._inline(part, line)

    def _run(self, run: etree._Element, line: _Line) -> None:
        properties = child(run, "w:rPr")
        look = line.look.under(self.styles.style(value(properties, "w:rStyle")).look).under(look_of(properties))
        for part in run:
            name = name_of(part)
            if name == "w:fldChar":
                self._field(part, line, look)
            elif name == "w:instrText":
                if self._fields and not self._fields[-1].in_result:
                    self._fields[-1].instruction.append(part.text or "")
            elif name in SKIPPED or not name or name == "w:rPr":
                continue
            elif look.hidden:
                line.has_hidden = True
            else:
                self._content(part, name, line, look)

    def _content(self, part: etree._Element, name: str, line: _Line, look: Look) -> None:
        if name == "w:t":
            text = in_font(part.text or "", look.font)
            change = {"superscript": raised, "subscript": lowered}.get(look.position or "")
            self._emit(change(text) if change else text, line)
        elif name in _CHARACTERS:
            self._emit(_CHARACTERS[name], line)
        elif name == "w:sym":
            code = attribute(part, "w:char") or ""
            is_code = 0 < len(code) <= 6 and all(digit in "0123456789abcdefABCDEF" for digit in code)
            self._emit(symbol(int(code, 16), attribute(part, "w:font")) if is_code else "", line)
        elif name in _NOTES:
            self._emit(self.notes.reference(_NOTES[name], attribute(part, "w:id") or ""), line)
        elif name == "w:ruby":
            base = child(part, "w:rubyBase")
            if base is not None:
                self._inline(base, line)
        else:
            line.boxes += self._drawn(part)

    def _emit(self, text: str, line: _Line) -> None:
        """Add text to the paragraph, or to the instruction of the field that is open."""
        if self._fields and not self._fields[-1].in_result:
            self._fields[-1].instruction.append(text)
            self._fields[-1].text.append(text)
        elif all(opened.in_result for opened in self._fields):
            line.parts.append(text)

    def _field(self, part: etree._Element, line: _Line, look: Look) -> None:
        kind = attribute(part, "w:fldCharType")
        if kind == "begin" and len(self._fields) < MAX_DEPTH:
            self._fields.append(Field(form=child(part, "w:ffData")))
        elif kind == "separate" and self._fields:
            self._fields[-1].in_result = not self._fields[-1].is_drawn
        elif kind == "end" and self._fields:
            ended = self._fields.pop()
            if not ended.in_result and not look.hidden:
                self._emit(ended.shown(), line)

    def _close_fields(self, line: _Line) -> None:
        """Show the text among instructions that do not end in their paragraph: the mark of their end is missing."""
        for opened in self._fields:
            if not opened.in_result:
                opened.in_result = True
                line.parts += opened.text

    def carried(self) -> str:
        """The text of a last paragraph that was to join one that does not come."""
        text, self._carried = self._carried, ""
        return text

    def _simple_field(self, part: etree._Element, line: _Line) -> None:
        before = len(line.parts)
        self._inline(part, line)
        if len(line.parts) == before:
            self._emit(Field(instruction=[attribute(part, "w:instr") or ""]).shown(), line)

    def _drawn(self, element: etree._Element) -> Iterator[str]:
        """Lines of the text boxes, SmartArt, charts and WordArt in a drawing."""
        walker = etree.iterwalk(element, events=("start",))
        for _, part in walker:
            name = name_of(part)
            if name in SKIPPED:
                walker.skip_subtree()
            elif name == "w:txbxContent":
                # What a field of the paragraph is doing does not concern the box.
                around, self._fields = self._fields, []
                yield from self.blocks(part)
                self._fields = around
                walker.skip_subtree()
            elif name == "dgm:relIds":
                yield from self._other_part(attribute(part, "r:dm"), diagram_lines)
            elif name == "c:chart":
                yield from self._other_part(attribute(part, "r:id"), chart_lines)
            elif name == "v:textpath":
                yield from filter(str.strip, [part.get("string", "")])
            elif name == "a:p":
                yield from filter(str.strip, ["".join(run.text or "" for run in part.iter() if name_of(run) == "a:t")])

    def _other_part(self, identifier: str | None, lines: Callable[[etree._Element], Iterator[str]]) -> Iterator[str]:
        link = self.links.get(identifier or "")
        try:
            root = self.package.tree(link.target) if link is not None else None
        except BrokenPackageError:  # a drawing is worth less than the text around it
            return
        if root is not None:
            yield from lines(root)
