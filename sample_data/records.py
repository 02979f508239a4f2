"""Training text of other trades than the samples: logs, diaries, clauses, minutes and tables, from pools of our own.

    python -m sample_data.records OUT          writes records_en.txt and records_ja.txt to the folder OUT

Technical prose alone teaches a small model nothing about the shape of a log or a work diary. The pools behind these
records share no line with those behind the samples, so a sample stays text that a model trained on them never saw.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from sample_data.grammar import Writer, load_pools

SEED = 80731
CHARACTERS = {"en": 3_000_000, "ja": 1_500_000}
COLUMNS = ("thing", "place", "state", "part", "fault")


class Records:
    """Documents one after the other, each of some ten to sixty lines, the same way for the same seed."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.writer = Writer(load_pools(f"records_{language}"), SEED)

    def text(self, characters: int) -> str:
        """At least so many characters of documents."""
        written: list[str] = []
        size = 0
        while size < characters:
            kinds: dict[str, Callable[[], list[str]]] = {
                "log": self.log,
                "diary": self.diary,
                "clauses": self.clauses,
                "minutes": self.minutes,
                "table": self.table,
            }
            document = "\n".join(kinds[self.writer.draw("document")]()) + "\n\n"
            written.append(document)
            size += len(document)
        return "".join(written)

    def log(self) -> list[str]:
        """Lines of one format, as a machine writes them, in the order of time."""
        writer = self.writer
        form = writer.draw("format")
        date = {pool: writer.line(pool) for pool in ("year", "month", "monthname", "day")}
        clocks = sorted(writer.line("clock") for _ in range(writer.between(20, 60)))
        return [writer.write(form, clock=clock, **date) for clock in clocks]

    def diary(self) -> list[str]:
        """Days of a work diary: a heading, what was done, what is left."""
        lines = []
        for _ in range(self.writer.between(2, 6)):
            if self.language == "ja":
                lines.append(self.writer.write("■ {1-12}月{1-28}日（[月|火|水|木|金|土|日]）　{weather}　最高{8-36}℃"))
                lines.append(self.writer.write("【[日勤|夜勤|早番|遅番]】記録　{family}"))
                lines += ["".join(self.sentences()) for _ in range(self.writer.between(1, 3))]
                lines += [f"{self.writer.line('tag')}　{self.writer.line('sentence')}" for _ in range(2)]
                lines.append("")
            else:
                lines.append(self.writer.write("[Mon|Tues|Wednes|Thurs|Fri]day, {1-28} [March|June|October], {person}"))
                lines += [" ".join(self.sentences()) for _ in range(self.writer.between(1, 4))]
        return lines

    def clauses(self) -> list[str]:
        """Numbered clauses under headings."""
        writer = self.writer
        lines = []
        first = writer.between(1, 30)
        for number in range(first, first + writer.between(2, 5)):
            title = writer.line("heading")
            lines.append(f"第{number}条（{title}）" if self.language == "ja" else f"\n{number}. {title}\n")
            for item in range(1, writer.between(3, 7)):
                label = f"{item}　" if self.language == "ja" else f"{number}.{item} "
                lines.append(label + writer.line("clause"))
        return lines

    def minutes(self) -> list[str]:
        """Minutes of a meeting."""
        writer = self.writer
        if self.language == "ja":
            lines = [writer.write("【議事録】{topic}会議　第{1-12}回")]
            lines.append(writer.write("出席　{family}、{family}、{family}、{family}"))
            for item in range(1, writer.between(2, 5)):
                lines.append(f"議題{item}　{writer.line('topic')}について")
                lines.append("".join(writer.lines("minute", writer.between(2, 5))))
                lines.append(writer.write("決定　{minute}"))
            return lines
        lines = [writer.write("Minutes of the meeting of {1-28} [May|July|November], present: {person}, {person}")]
        lines += [f"{item}. {' '.join(writer.lines('minute', 3))}" for item in range(1, writer.between(3, 8))]
        return lines

    def table(self) -> list[str]:
        """Rows of named things with numbers."""
        writer = self.writer
        columns = writer.shuffled(list(COLUMNS))[:3]
        mark = writer.choose([",", "\t", " | "])
        rows = [[writer.line(column) for column in columns] for _ in range(writer.between(8, 30))]
        return [mark.join([str(number), *row, writer.write("{0.1-99.9}")]) for number, row in enumerate(rows, 1)]

    def sentences(self) -> list[str]:
        """What a paragraph of a diary says."""
        return self.writer.lines("sentence", self.writer.between(2, 5))


def main(out: Path) -> None:
    """Write the records of both languages to the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    for language, characters in CHARACTERS.items():
        file = out / f"records_{language}.txt"
        file.write_text(Records(language).text(characters), "utf-8")
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
