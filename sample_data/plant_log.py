"""A plant's maintenance log in Japanese: nine weeks of two shifts, with incidents that go on for days."""

from __future__ import annotations

import re
from datetime import date, timedelta

from sample_data.grammar import Writer, load_pools

SEED = 20240513
FIRST_DAY = date(2024, 5, 13)
DAYS = 63
AT_ANY_HOUR = ["pump", "rotor", "electric", "valve", "instr", "control", "heat", "utility", "piping", "packing"]
BY_DAY = [*AT_ANY_HOUR, "environment", "routine", "parts", "contractor", "people"]
# Highest and lowest temperature of an ordinary day, by month.
TEMPERATURES = {5: (23, 13), 6: (26, 18), 7: (31, 24)}
CREWS = {
    "日": ["田辺（K.T）", "大久保（R.O）", "西尾（M.N）", "小野寺（S.O）", "真鍋（H.M）"],
    "夜": ["藤川（Y.F）", "片桐（J.K）", "野添（A.N）", "三島（T.M）", "岩佐（N.I）"],
}
TITLE = """\
しおかぜ化成株式会社　瀬戸浦工場
設備保全日誌　第三系列および共通用役　2024年5月13日から7月14日まで

この日誌は見本として作られた創作であり、実在の会社、工場、人物とは関係がありません。
書き方　見たこと、したこと、残ったことを分けて書く。数字には単位を付ける。推測は推測と書く。
"""


def plant_log() -> str:
    """The whole log, always the same."""
    writer = Writer(load_pools("plant_log_ja"), SEED)
    stories = _stories()
    days = [_day(writer, number, stories) for number in range(1, DAYS + 1)]
    return "\n".join([TITLE, *days])


def _stories() -> dict[tuple[int, str], list[str]]:
    """What the incidents add to a shift: ``{(day, shift): [paragraph, ...]}``."""
    beats: dict[tuple[int, str], list[str]] = {}
    for lines in load_pools("plant_stories_ja").values():
        for line in lines:
            day, shift, text = line.split(" ", 2)
            beats.setdefault((int(day), shift), []).append(text)
    return beats


def _day(writer: Writer, number: int, stories: dict[tuple[int, str], list[str]]) -> str:
    today = FIRST_DAY + timedelta(days=number - 1)
    weekday = today.weekday()
    high, low = TEMPERATURES[today.month]
    high, low = high + writer.between(-4, 3), low + writer.between(-3, 2)
    parts = [
        f"■ {today.month}月{today.day}日（{'月火水木金土日'[weekday]}）　{writer.line('weather')}　"
        f"最高{high}℃　最低{low}℃\n"
    ]
    day, night = (stories.get((number, shift), []) for shift in "日夜")
    if weekday < 5:
        parts.append(_shift(writer, "日", BY_DAY, writer.between(6, 8), day))
    else:
        parts.append(_shift(writer, "日", AT_ANY_HOUR, 4, day))
    parts.append(_shift(writer, "夜", AT_ANY_HOUR, writer.between(2, 3), night))
    if weekday == 6:
        parts.append(_week(writer, number // 7))
    return "\n".join(parts)


def _shift(writer: Writer, shift: str, topics: list[str], count: int, told: list[str]) -> str:
    """One shift's entry; what the incidents tell comes among the first items."""
    items = [writer.line(f"item.{topic}") for topic in writer.shuffled(topics)[:count]]
    if shift == "日":
        items.append(writer.line("item.case"))
    for text in told:
        items.insert(writer.below(2), text)
    if shift == "夜":
        items.insert(writer.below(len(items) + 1), writer.line("item.vigil" if writer.chance(0.4) else "item.quiet"))
    lines = [f"【{shift}勤】記録　{writer.choose(CREWS[shift])}"]
    if topics is BY_DAY and writer.chance(0.6):
        lines.append(writer.line("opening"))
    lines += _laid_out(writer, shift, items)
    if writer.chance(0.6 if shift == "日" else 0.25):
        lines.append(writer.line("card"))
    if shift == "日" and writer.chance(0.6):
        lines.append(writer.line("reading"))
    # There are 40 notes, each written once: fewer than the days.
    if shift == "日" and topics is BY_DAY and writer.pools["note"]:
        lines.append(f"気付き　{writer.pools['note'].pop()}")
    if writer.chance(0.75):
        # Whoever takes the note works the other shift and is not the one spoken of.
        note, reader = writer.line("handover"), writer.choose(CREWS["夜" if shift == "日" else "日"])[:-5]
        taken = writer.chance(0.4) and reader not in note
        lines.append(f"申し送り　{note}" + (f"（受 {reader}）" if taken else ""))
    return "\n".join(lines) + "\n"


def _laid_out(writer: Writer, shift: str, items: list[str]) -> list[str]:
    """The items as numbered lines, by the clock, as two paragraphs or as points: crews write differently."""
    form = writer.below(4)
    if form == 1 and any(re.search(r"\d時|\d\d:\d\d", text) for text in items):
        form = 3  # an item that tells its own hour would contradict the clock
    if form == 0:
        return [f"{place}　{text}" for place, text in zip("①②③④⑤⑥⑦⑧⑨⑩⑪", items, strict=False)]
    if form == 1:
        # Hours of the shift, in order; the night shift passes midnight.
        first, length = (8, 9) if shift == "日" else (17, 14)
        minutes = sorted(writer.below(length * 60) for _ in items)
        return [
            f"{(first + minute // 60) % 24:02d}:{minute % 60 // 5 * 5:02d}　{text}"
            for minute, text in zip(minutes, items, strict=True)
        ]
    if form == 2:
        middle = (len(items) + 1) // 2
        return [paragraph for paragraph in ("".join(items[:middle]), "".join(items[middle:])) if paragraph]
    return [f"・{text}" for text in items]


def _week(writer: Writer, number: int) -> str:
    results = writer.lines("weekly.result", 2) + writer.lines("weekly.view", 2)
    plans = writer.lines("weekly.plan", 2)
    return f"◆ 第{number}週のまとめ\n{''.join(results)}\n来週の予定　{''.join(plans)}\n"
